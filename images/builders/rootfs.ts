// `build rootfs`: a root file system as one tar file, the same bytes for the same recipe and repositories.
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { globTest } from '../../store/mod.ts'
import { alpineParts, alpinePrograms, alpineTar } from './alpine.ts'
import type { Artifact, BuildContext, RootEntry } from './builder.ts'
import { cached } from './cache.ts'
import { debianParts, debianPrograms, debianTar } from './debian.ts'
import { layOver, recipeEntries } from './overlay.ts'
import { plainPrograms, plainTar } from './plain.ts'
import type { Recipe } from './recipe.ts'
import { treeOf, writeTar } from './root-tar.ts'
import { makeMountPoints, removeTraces } from './traces.ts'

export type RootfsOptions = {
  /** A tar file that is not there yet. */
  readonly out: string
  /** Laid over everything else: psyblob itself, its service. */
  readonly entries: readonly RootEntry[]
  /** More patterns of what is left out, e.g. what the kernel's package brought. */
  readonly without?: readonly string[]
}

/** The programs that `rootfs` runs for this recipe. */
export function rootfsPrograms({ root, commands }: Recipe): readonly string[] {
  if (root.distribution === 'debian') return debianPrograms
  return root.distribution === 'alpine' ? alpinePrograms() : plainPrograms(commands)
}

/** Leaves `out`; its packages are installed anew only when something has changed. */
export async function rootfs(recipe: Recipe, { out, entries, without = [] }: RootfsOptions, context: BuildContext): Promise<Artifact> {
  const base = await baseTar(recipe, context)
  const tar = await open(base)
  try {
    const { size } = await arranged(tar, base, { recipe, out, entries, without, context })
    return { name: 'rootfs', path: out, size }
  } finally {
    await tar.close()
  }
}

type Arrangement = Required<RootfsOptions> & { readonly recipe: Recipe; readonly context: BuildContext }

async function arranged(tar: FileHandle, what: string, { recipe, out, entries, without, context }: Arrangement) {
  context.report({ type: 'step', step: 'lay files over it' })
  const tree = await treeOf(tar, { what })
  removeTraces(tree)
  tree.drop(globTest([...recipe.exclude, ...without]))
  await layOver(tree, [...(await recipeEntries(recipe)), ...entries])
  makeMountPoints(tree)
  return writeTar(tree, out, context)
}

/** The distribution's part of the root file system, from the cache when nothing that it is made of has changed. */
async function baseTar(recipe: Recipe, context: BuildContext): Promise<string> {
  const { root } = recipe
  const { report, work } = context
  if (root.distribution === 'none') {
    report({ type: 'step', step: 'root file system', about: `from ${root.from}` })
    return plainTar({ from: root.from, dir: recipe.dir, commands: recipe.commands }, context)
  }
  const about = root.distribution === 'debian' ? `${root.distribution} ${root.suite}` : root.distribution
  report({ type: 'step', step: 'look for changes', about })
  const [parts, make] =
    root.distribution === 'debian'
      ? [await debianParts(root, recipe, context), (path: string) => debianTar(root, recipe, { out: path, context })]
      : [await alpineParts(root, recipe, context), (path: string) => alpineTar(root, recipe, { out: path, context })]
  const told = (path: string) => {
    report({ type: 'step', step: 'install packages', about })
    return make(path)
  }
  if (parts !== undefined) {
    const { path, isNew } = await cached(context, { kind: 'rootfs', parts }, told)
    if (!isNew) report({ type: 'step', step: 'nothing has changed', about: 'packages as installed before' })
    return path
  }
  const path = join(work, 'base.tar')
  await told(path)
  return path
}
