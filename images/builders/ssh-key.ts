// The SSH host key of a node, made or looked at by ssh-keygen.
import { chmod, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PsyblobError, visible } from '../../core/mod.ts'
import type { BuildContext } from './builder.ts'

export type SshKey = {
  /** As sshd looks for it: `ssh_host_ed25519_key`. */
  readonly name: string
  readonly secret: Uint8Array
  /** One line without its end: kind, key, comment. */
  readonly publicKey: string
}

const names: Readonly<Record<string, string>> = {
  'ssh-ed25519': 'ssh_host_ed25519_key',
  'ssh-rsa': 'ssh_host_rsa_key',
  'ecdsa-sha2-nistp256': 'ssh_host_ecdsa_key',
  'ecdsa-sha2-nistp384': 'ssh_host_ecdsa_key',
  'ecdsa-sha2-nistp521': 'ssh_host_ecdsa_key',
}

/** A new Ed25519 key. */
export async function newSshKey(nodename: string, { run, work, signal }: BuildContext): Promise<SshKey> {
  const file = join(work, 'ssh-key')
  await run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', `root@${nodename}`, '-f', file], { signal })
  const publicKey = (await readFile(`${file}.pub`, 'utf8')).trim()
  return { name: 'ssh_host_ed25519_key', secret: await readFile(file), publicKey }
}

/** A private key called `what`. Throws `malformed` when it is none, or has a passphrase: nobody is there to type it when a node boots. */
export async function readSshKey(
  secret: Uint8Array,
  { what, nodename }: { readonly what: string; readonly nodename: string },
  { run, work, signal }: BuildContext,
): Promise<SshKey> {
  // ssh-keygen looks at nothing that others might read
  const file = join(work, 'ssh-key')
  await writeFile(file, secret, { mode: 0o600 })
  await chmod(file, 0o600)
  const { code, stdout } = await run(['ssh-keygen', '-y', '-P', '', '-f', file], { allow: [1, 255], signal })
  const [kind = '', key = '', ...comment] = stdout.toString('utf8').trim().split(' ')
  const name = names[kind]
  if (code !== 0 || name === undefined)
    throw new PsyblobError('malformed', `${visible(what)} is no private SSH key without a passphrase`, {
      hint: 'ssh-keygen -p -f FILE takes the passphrase away; psyblob makes a key when --ssh-key is left out',
    })
  return { name, secret, publicKey: `${kind} ${key} ${comment.length === 0 ? `root@${nodename}` : comment.join(' ')}` }
}
