// A result is made aside and put in place whole: whoever looks at its name sees the old one, the new one, or nothing.
import { existsSync } from 'node:fs'
import { lstat, mkdtemp, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { PsyblobError, visible } from '../../core/mod.ts'
import { flushFolder, hasCode, makeFolder, translated } from '../../store/mod.ts'

/** Names of folders that `workBeside` makes, with the process that made them. */
const working = /\.work-(\d+)-\w{6}$/

/** Runs `use` with a new folder beside `out` for all that is needed on the way; it is gone afterwards. What killed runs left goes as well. */
export async function workBeside<Result>(out: string, use: (work: string) => Promise<Result>): Promise<Result> {
  const path = resolve(out)
  await makeFolder(dirname(path))
  const start = join(dirname(path), `.${basename(path)}.work-`)
  await removeAbandoned(dirname(path), basename(start))
  let work: string
  try {
    work = await mkdtemp(`${start}${process.pid}-`)
  } catch (error) {
    throw translated(error, `making a folder in ${dirname(path)}`)
  }
  try {
    return await use(work)
  } catch (error) {
    throw translated(error, `making ${path}`)
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

async function removeAbandoned(folder: string, start: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const writer = name.startsWith(start) ? working.exec(name)?.[1] : undefined
    if (writer !== undefined && !existsSync(`/proc/${writer}`)) await rm(join(folder, name), { recursive: true, force: true })
  }
}

export type Replaceable = {
  /** What lies in a folder that may be replaced; anything else in it is somebody's own. */
  readonly names: readonly string[]
}

/** Throws `usage` when there is something at `out` that is no earlier result. Asked before the work begins. */
export async function checkReplaceable(out: string, { names }: Replaceable): Promise<void> {
  const state = await lstat(out).catch((error: unknown) => {
    if (hasCode(error, 'ENOENT')) return undefined
    throw translated(error, `looking at ${out}`)
  })
  if (state === undefined) return
  const strange = state.isDirectory() ? (await readdir(out)).find((name) => !names.includes(name)) : ''
  if (strange === undefined) return
  throw new PsyblobError(
    'usage',
    `${visible(out)} ${strange === '' ? 'is no folder' : `has ${visible(strange)} in it, which is no part of a release`}`,
    {
      hint: 'name a new folder, or one that an earlier build has made',
    },
  )
}

/** Puts the folder `made` in the place of `out`; what was there goes. Both lie on the same file system. */
export async function putInPlace(made: string, out: string): Promise<void> {
  const path = resolve(out)
  const old = `${made}.old`
  try {
    await rename(path, old).catch((error: unknown) => {
      if (!hasCode(error, 'ENOENT')) throw error
    })
    await rename(made, path)
    await flushFolder(dirname(path))
    await rm(old, { recursive: true, force: true })
  } catch (error) {
    throw translated(error, `writing ${out}`)
  }
}

/** Throws `usage` when something lies at `out` that is no plain file, and `conflict` when a file does that `keep` protects. Asked before the work begins. */
export async function checkOutFile(out: string, { keep = false }: { readonly keep?: boolean } = {}): Promise<void> {
  const state = await stat(out).catch((error: unknown) => {
    if (hasCode(error, 'ENOENT')) return undefined
    throw translated(error, `looking at ${out}`)
  })
  if (state === undefined) return
  if (state.isBlockDevice())
    throw new PsyblobError('usage', `${visible(out)} is a device: an image is a file`, {
      hint: `name a file, then write it to the stick: cp IMAGE ${visible(out)}, and sync`,
    })
  if (!state.isFile()) throw new PsyblobError('usage', `${visible(out)} is there and is no plain file`, { hint: 'name another file' })
  if (keep)
    throw new PsyblobError('conflict', `${visible(out)} exists already`, {
      hint: 'name another file, move it away, or say --force: what it holds may be the only copy of a key',
    })
}

/** Puts the file `made` in the place of `out`, flushed. Both lie on the same file system. */
export async function putFileInPlace(made: string, out: string): Promise<void> {
  const path = resolve(out)
  try {
    const file = await open(made, 'r+')
    await file.sync().finally(() => file.close())
    await rename(made, path)
    await flushFolder(dirname(path))
  } catch (error) {
    throw translated(error, `writing ${out}`)
  }
}
