// The keys that apk trusts a recipe's repositories by.
import { copyFile, mkdir, readdir, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { PsyblobError, visible } from '../../core/mod.ts'
import { translated } from '../../store/mod.ts'
import type { Recipe } from './recipe.ts'

/** Where an Alpine machine keeps the keys of its repositories. */
const systemKeys = '/etc/apk/keys'

/** The recipe's keys, a folder meaning every file in it; else this machine's, where it is an Alpine. Throws `not-found`. */
export async function apkKeys({ dir, root }: Recipe): Promise<readonly string[]> {
  const keys = root.distribution === 'alpine' ? root.keys : []
  const files: string[] = []
  for (const path of keys.length > 0 ? keys.map((key) => resolve(dir, key)) : [systemKeys]) {
    if (!(await stateOf(path)).isDirectory()) {
      files.push(path)
      continue
    }
    const names = await readdir(path).catch((error: unknown) => {
      throw translated(error, `reading ${path}`)
    })
    for (const file of names.sort().map((name) => join(path, name))) if ((await stateOf(file)).isFile()) files.push(file)
  }
  return files
}

/** Puts them all into the new folder `to`. Throws `not-found`. */
export async function copyApkKeys(recipe: Recipe, to: string): Promise<void> {
  await mkdir(to)
  for (const key of await apkKeys(recipe)) await copyFile(key, join(to, basename(key)))
}

function stateOf(path: string): ReturnType<typeof stat> {
  return stat(path).catch((cause: unknown) => {
    throw new PsyblobError('not-found', `keys: there is no ${visible(path)}`, {
      cause,
      hint: "name the *.rsa.pub files of Alpine's package alpine-keys under keys: in the recipe",
    })
  })
}
