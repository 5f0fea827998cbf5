// Programs that must act as root, for an ordinary user in a user namespace with subordinate ids.
import { isPsyblobError, PsyblobError } from '../../core/mod.ts'
import type { BuildContext } from './builder.ts'

const namespace = ['unshare', '--user', '--map-root-user', '--map-auto', '--'] as const

/** What has to be installed for it. */
export function rootRightsPrograms(): readonly string[] {
  return isRoot() ? [] : ['unshare', 'newuidmap']
}

/** The words that stand before a program so that it runs as root; none when we are. Throws `unsupported` when this user may not. */
export async function rootRights({ run, signal }: BuildContext): Promise<readonly string[]> {
  if (isRoot()) return []
  try {
    await run([...namespace, 'true'], { signal })
    return namespace
  } catch (cause) {
    if (!isPsyblobError(cause)) throw cause
    throw new PsyblobError('unsupported', 'a root file system is made by root, or in a user namespace, which this user may not make', {
      cause,
      hint: 'run it as root, or give this user lines in /etc/subuid and /etc/subgid and allow user namespaces',
    })
  }
}

function isRoot(): boolean {
  return process.getuid?.() === 0
}
