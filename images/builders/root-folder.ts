// A root file system as a folder: unpacked, worked on by commands, and packed again with its owners, links and attributes.
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { BuildContext } from './builder.ts'
import { rootRights } from './root-rights.ts'

/** Runs `fill` on the empty folder `dir`, then `commands` in it, packs it into the tar file `out`, and removes it. */
export async function packed(
  { dir, out, commands }: { readonly dir: string; readonly out: string; readonly commands: readonly string[] },
  context: BuildContext,
  fill: (asRoot: (argv: readonly [string, ...string[]]) => Promise<void>) => Promise<void>,
): Promise<void> {
  const before = await rootRights(context)
  const env = { SOURCE_DATE_EPOCH: String(context.epoch) }
  const asRoot = async ([program, ...rest]: readonly [string, ...string[]], signal = context.signal) => {
    const [first, ...others] = [...before, program]
    await context.run([first ?? program, ...others, ...rest], { signal, env })
  }
  try {
    // in a namespace nobody may make devices: what is written to /dev/null there becomes a file, which is left out later
    if (before.length === 0) await makeDevices(dir, context)
    await fill(asRoot)
    for (const command of commands) await asRoot(['chroot', dir, '/bin/sh', '-ec', command])
    await asRoot(['tar', ...packing, '-cf', out, '-C', dir, '.'])
  } finally {
    // what another owner has in a namespace only the namespace can remove
    if (before.length > 0) await asRoot(['rm', '-rf', dir], undefined).catch(() => undefined)
    await rm(dir, { recursive: true, force: true })
  }
}

/** What scripts of packages write to and read from. */
async function makeDevices(dir: string, { run, signal }: BuildContext): Promise<void> {
  await mkdir(join(dir, 'dev'))
  for (const [name, minor] of Object.entries({ null: '3', zero: '5', random: '8', urandom: '9' }))
    await run(['mknod', '-m', '666', join(dir, 'dev', name), 'c', '1', minor], { signal, allow: [1] })
}

/** How GNU tar keeps what a root file system is made of. */
export const packing = ['--format=posix', '--numeric-owner', '--xattrs', '--xattrs-include=*'] as const
