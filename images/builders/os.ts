// `build os`: everything that a slot holds, as a release folder ready to be published.
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { checkReplaceable, putInPlace } from './aside.ts'
import type { Artifact, BuildContext, RootEntry } from './builder.ts'
import { initramfs } from './initramfs.ts'
import { kernel, kernelPrograms } from './kernel.ts'
import type { Recipe } from './recipe.ts'
import { rootfs, rootfsPrograms } from './rootfs.ts'
import { squashfs, squashfsPrograms } from './squashfs.ts'

/** What a release folder may hold. */
const releaseNames = ['kernel', 'initramfs', 'squashfs', 'modloop', 'System.map', 'config', 'dtbs']

/** What the kernel's package brings into the root file system, and the release has for itself. */
const kernelsOwn = ['/boot/*', '/lib/modules/*', '/usr/lib/modules/*', '/vmlinuz*', '/initrd.img*']

/** The programs that `buildOs` runs for this recipe. */
export function osPrograms(recipe: Recipe): readonly string[] {
  return [...rootfsPrograms(recipe), ...kernelPrograms(recipe), ...squashfsPrograms, 'busybox']
}

export type OsOptions = {
  /** A folder: a new one, an empty one, or one that an earlier build made. */
  readonly out: string
  /** Laid over the root file system: psyblob itself, its service. */
  readonly entries: readonly RootEntry[]
}

/** Leaves the release folder `out`. A build that fails or is killed leaves what was there before. */
export async function buildOs(recipe: Recipe, { out, entries }: OsOptions, context: BuildContext): Promise<readonly Artifact[]> {
  await checkReplaceable(out, { names: releaseNames })
  const [release, modules, root] = ['release', 'modules', 'rootfs.tar'].map((name) => join(context.work, name)) as [string, string, string]
  await mkdir(release)
  await mkdir(modules)
  const artifacts = [
    ...(await kernel(recipe, { out: release, modules }, context)),
    await initramfs(recipe, { out: join(release, 'initramfs'), modules }, context),
  ]
  await rootfs(recipe, { out: root, entries, without: kernelsOwn }, context)
  artifacts.push(
    await squashfs(root, { ...recipe.squashfs, name: 'squashfs', out: join(release, 'squashfs') }, context),
    // modules/VERSION at its top, as Alpine has it
    await squashfs(join(modules, 'lib'), { ...recipe.squashfs, name: 'modloop', out: join(release, 'modloop'), isRoots: true }, context),
  )
  await putInPlace(release, out)
  return artifacts.map((artifact) => ({ ...artifact, path: join(out, artifact.path.slice(release.length + 1)) }))
}
