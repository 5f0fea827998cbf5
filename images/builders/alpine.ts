// An Alpine root file system by apk: its packages unpacked into a folder, their scripts run in it, the folder packed as a tar file.
import { createHash } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { apkKeys, copyApkKeys } from './apk-keys.ts'
import type { BuildContext } from './builder.ts'
import { fingerprints } from './freshness.ts'
import type { Recipe, RootSource } from './recipe.ts'
import { packed } from './root-folder.ts'
import { rootRightsPrograms } from './root-rights.ts'

type Alpine = Extract<RootSource, { distribution: 'alpine' }>

export function alpinePrograms(): readonly string[] {
  return ['apk', 'chroot', 'tar', ...rootRightsPrograms()]
}

/** All that the root file system depends on; undefined when a repository does not tell what it has. */
export async function alpineParts(root: Alpine, recipe: Recipe, context: BuildContext): Promise<unknown> {
  // a line may begin with a tag: `@edge https://…`
  const addresses = root.repositories.map(
    (line) => `${line.replace(/^@\S+\s+/, '').replace(/\/$/, '')}/${recipe.architecture}/APKINDEX.tar.gz`,
  )
  const indexes = await fingerprints(
    addresses.map((address) => [address]),
    context,
  )
  if (indexes === undefined) return undefined
  const { stdout } = await context.run(['apk', '--version'], { signal: context.signal })
  const keys = await Promise.all(
    (await apkKeys(recipe)).map(async (key) => [
      basename(key),
      createHash('sha256')
        .update(await readFile(key))
        .digest('hex'),
    ]),
  )
  return {
    ...root,
    keys,
    indexes,
    commands: recipe.commands,
    architecture: recipe.architecture,
    epoch: context.epoch,
    tool: stdout.toString(),
  }
}

/** Writes the root file system to the tar file `out`. */
export async function alpineTar(root: Alpine, recipe: Recipe, { out, context }: { out: string; context: BuildContext }): Promise<void> {
  const [dir, keys, repositories] = ['root', 'keys', 'repositories'].map((name) => join(context.work, `apk-${name}`)) as [
    string,
    string,
    string,
  ]
  await mkdir(dir)
  await copyApkKeys(recipe, keys)
  await writeFile(repositories, root.repositories.map((line) => `${line}\n`).join(''))
  await packed({ dir, out, commands: recipe.commands }, context, (asRoot) =>
    asRoot([
      ...(['apk', '--root', dir, '--initdb', '--arch', recipe.architecture, '--keys-dir', keys] as const),
      ...['--repositories-file', repositories, '--no-cache', '--no-progress', 'add', ...root.packages],
    ]),
  )
}
