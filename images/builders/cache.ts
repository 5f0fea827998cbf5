// What the next build may use again: files named by a hash of all that went into them. A crash leaves nothing or the whole file.
import { createHash, randomUUID } from 'node:crypto'
import { open, readdir, rename, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { makeFolder, pathExists, translated } from '../../store/mod.ts'
import type { BuildContext } from './builder.ts'

/** Milliseconds; what nobody wanted for so long goes when the next one is made. */
const unusedAfter = 14 * 24 * 60 * 60 * 1000
/** Milliseconds. Whoever writes a file touches it more often; the writer may be in another container, or on another machine. */
const abandonedAfter = 24 * 60 * 60 * 1000

export type Kept = { readonly path: string; readonly isNew: boolean }

/** Where the file made of `parts` is among those called `kind`; `make` makes it when it is not there. Equal parts must give equal files. */
export async function cached(
  context: BuildContext,
  { kind, parts }: { readonly kind: string; readonly parts: unknown },
  make: (path: string) => Promise<void>,
): Promise<Kept> {
  const folder = join(context.cache, kind)
  const path = join(folder, createHash('sha256').update(JSON.stringify(parts)).digest('hex'))
  await makeFolder(folder)
  if (await pathExists(path)) {
    const now = new Date()
    await utimes(path, now, now).catch(() => undefined)
    return { path, isNew: false }
  }
  await removeUnused(folder)
  const temporary = `${path}.${randomUUID()}.tmp`
  try {
    await make(temporary)
    const file = await open(temporary, 'r')
    try {
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw translated(error, `writing ${path}`)
  }
  return { path, isNew: true }
}

async function removeUnused(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const path = join(folder, name)
    const most = name.endsWith('.tmp') ? abandonedAfter : unusedAfter
    const touched = (await stat(path).catch(() => undefined))?.mtimeMs
    if (touched !== undefined && Date.now() - touched > most) await rm(path, { force: true })
  }
}
