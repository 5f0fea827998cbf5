// How much a folder holds.
import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { translated } from '../../store/mod.ts'

/** What the files below `dir` take, in bytes, each filled up to whole blocks of 4,096. */
export async function folderBytes(dir: string): Promise<number> {
  const names = await readdir(dir, { recursive: true }).catch((error: unknown) => {
    throw translated(error, `reading ${dir}`)
  })
  let sum = 0
  for (const name of names) {
    const state = await lstat(join(dir, name))
    sum += state.isFile() ? Math.ceil(state.size / 4096) * 4096 : 4096
  }
  return sum
}
