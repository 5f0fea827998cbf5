// A root file system that something else made: a folder, or a tar file, compressed or not.
import { mkdir, open, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { PsyblobError, visible } from '../../core/mod.ts'
import { readFull } from '../../store/mod.ts'
import type { BuildContext } from './builder.ts'
import { packed, packing } from './root-folder.ts'
import { rootRightsPrograms } from './root-rights.ts'
import { treeOf, writeTar } from './root-tar.ts'

const compressors: readonly { readonly program: string; readonly magic: readonly number[] }[] = [
  { program: 'gzip', magic: [0x1f, 0x8b] },
  { program: 'xz', magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a] },
  { program: 'zstd', magic: [0x28, 0xb5, 0x2f, 0xfd] },
  { program: 'bzip2', magic: [0x42, 0x5a, 0x68] },
]

export function plainPrograms(commands: readonly string[]): readonly string[] {
  return commands.length === 0 ? ['tar'] : ['tar', 'chroot', ...rootRightsPrograms()]
}

/** A tar file with what `from` holds once `commands` have run in it: `from` itself when that is one. */
export async function plainTar(
  { from, dir, commands }: { readonly from: string; readonly dir: string; readonly commands: readonly string[] },
  context: BuildContext,
): Promise<string> {
  const { run, signal, work } = context
  const source = resolve(dir, from)
  const state = await stat(source).catch((cause: unknown) => {
    throw new PsyblobError('not-found', `there is no ${visible(source)}`, { cause, hint: 'name a tar file or a folder' })
  })
  const tar = state.isDirectory() ? join(work, 'folder.tar') : await uncompressed(source, context)
  if (state.isDirectory()) await run(['tar', ...packing, '-cf', tar, '-C', source, '.'], { signal })
  if (commands.length === 0) return tar
  const [root, plain, out] = [join(work, 'unpacked'), join(work, 'plain.tar'), join(work, 'changed.tar')]
  await mkdir(root)
  await withoutDevices(tar, { out: plain, what: from, context })
  await packed({ dir: root, out, commands }, context, (asRoot) => asRoot(['tar', ...packing, '-xpf', plain, '-C', root]))
  return out
}

/** Only root can unpack devices, and nobody needs them. */
async function withoutDevices(tar: string, { out, what, context }: { out: string; what: string; context: BuildContext }): Promise<void> {
  const file = await open(tar)
  try {
    await writeTar(await treeOf(file, { what }), out, context)
  } finally {
    await file.close()
  }
}

async function uncompressed(source: string, { run, signal, work }: BuildContext): Promise<string> {
  const file = await open(source)
  const start = new Uint8Array(6)
  try {
    await readFull(file, start, 0)
  } finally {
    await file.close()
  }
  const found = compressors.find(({ magic }) => magic.every((byte, at) => start[at] === byte))
  if (found === undefined) return source
  const output = join(work, 'uncompressed.tar')
  await run([found.program, '-dc', source], { output, signal })
  return output
}
