// `build squashfs`: a squashfs of a tar file or a folder, the same bytes whatever the number of processors, the folder and the hour.
import { constants, copyFile, open, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { globTest, translated } from '../../store/mod.ts'
import type { Artifact, BuildContext } from './builder.ts'
import { cached } from './cache.ts'
import { plainTar } from './plain.ts'
import type { Recipe } from './recipe.ts'
import { treeOf, writeTar } from './root-tar.ts'

export const squashfsPrograms = ['mksquashfs', 'tar'] as const

/** Measured for small updates: spec/recipe.md 7. */
export const defaultSquashfs: Recipe['squashfs'] = { compression: 'zstd', level: 15, block: 128 * 1024, fragments: false }

export type SquashfsOptions = Recipe['squashfs'] & {
  /** The new file. */
  readonly out: string
  /** What the release calls it: `squashfs`, `modloop`. */
  readonly name: string
  /** Patterns of what is left out. */
  readonly exclude?: readonly string[]
  /** Everything belongs to root, whoever owns it here. */
  readonly isRoots?: boolean
}

/** Leaves `options.out`, from the tar file or folder `input`. */
export async function squashfs(input: string, options: SquashfsOptions, context: BuildContext): Promise<Artifact> {
  const { out, name, exclude = [], isRoots = false } = options
  const { report, run, signal, work } = context
  report({ type: 'step', step: name, about: `from ${basename(input)}` })
  const plain = await plainTar({ from: input, dir: '.', commands: [] }, context)
  const sorted = join(work, `${name}.tar`)
  const tar = await open(plain)
  let sha256: string
  try {
    const tree = await treeOf(tar, { what: input, isRoots })
    tree.drop(globTest(exclude))
    sha256 = (await writeTar(tree, sorted, context)).sha256
  } finally {
    await tar.close()
  }
  const words = squashfsWords(options)
  const { stdout } = await run(['mksquashfs', '-version'], { signal, allow: [0, 1] })
  const [tool] = stdout.toString().split('\n')
  const { path } = await cached(context, { kind: 'squashfs', parts: { sha256, words, epoch: context.epoch, tool } }, async (temporary) => {
    report({ type: 'step', step: `compress ${name}` })
    await run(['mksquashfs', '-', temporary, '-tar', ...words], {
      input: { file: sorted },
      signal,
      // an option for the same would be refused beside it
      env: { SOURCE_DATE_EPOCH: String(context.epoch) },
    })
  })
  try {
    await copyFile(path, out, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE)
  } catch (error) {
    throw translated(error, `writing ${out}`)
  }
  return { name, path: out, size: (await stat(out)).size }
}

function squashfsWords({ compression, level, block, fragments }: Recipe['squashfs']): readonly string[] {
  const dictionary = { zstd: '-Xcompression-level', gzip: '-Xcompression-level', xz: undefined, lz4: undefined }[compression]
  return [
    ...['-comp', compression],
    ...(level === undefined || dictionary === undefined ? [] : [dictionary, String(level)]),
    ...['-b', String(block)],
    // a fragment holds the ends of many files: one that changes would change it for all
    ...(fragments ? [] : ['-no-fragments']),
    ...['-root-mode', '0755', '-root-uid', '0', '-root-gid', '0'],
    ...['-noappend', '-no-recovery', '-no-progress', '-quiet'],
  ]
}
