// An Alpine root file system by apk: its packages unpacked into a folder, their scripts run in it, the folder packed as a tar file.
import { createHash } from 'node:crypto'
import { copyFile, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { PsyblobError, visible } from '../../core/mod.ts'
import type { BuildContext } from './builder.ts'
import { fingerprints } from './freshness.ts'
import type { Recipe, RootSource } from './recipe.ts'
import { packed } from './root-folder.ts'
import { rootRightsPrograms } from './root-rights.ts'

type Alpine = Extract<RootSource, { distribution: 'alpine' }>

/** Where an Alpine machine keeps the keys of its repositories. */
const systemKeys = '/etc/apk/keys'

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
    (await keyFiles(root, recipe)).map(async (key) => [
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
  await mkdir(keys)
  for (const key of await keyFiles(root, recipe)) await copyFile(key, join(keys, basename(key)))
  await writeFile(repositories, root.repositories.map((line) => `${line}\n`).join(''))
  await packed({ dir, out, commands: recipe.commands }, context, (asRoot) =>
    asRoot([
      ...(['apk', '--root', dir, '--initdb', '--arch', recipe.architecture, '--keys-dir', keys] as const),
      ...['--repositories-file', repositories, '--no-cache', '--no-progress', 'add', ...root.packages],
    ]),
  )
}

/** The recipe's keys, a folder meaning every file in it; else this machine's, where it is an Alpine. Throws `not-found`. */
async function keyFiles(root: Alpine, recipe: Recipe): Promise<readonly string[]> {
  const named = root.keys.length > 0 ? root.keys.map((key) => resolve(recipe.dir, key)) : [systemKeys]
  const files: string[] = []
  for (const path of named) {
    const state = await stat(path).catch((cause: unknown) => {
      throw new PsyblobError('not-found', `keys: there is no ${visible(path)}`, {
        cause,
        hint: "name the *.rsa.pub files of Alpine's package alpine-keys under keys: in the recipe",
      })
    })
    if (state.isDirectory()) files.push(...(await readdir(path)).sort().map((name) => join(path, name)))
    else files.push(path)
  }
  return files
}
