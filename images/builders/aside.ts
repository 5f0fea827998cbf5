// A result is made aside and put in place whole: whoever looks at its name sees the old one, the new one, or nothing.
import { randomUUID } from 'node:crypto'
import { link, lstat, mkdtemp, open, readdir, rename, rm, stat, utimes } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { PsyblobError, visible } from '../../core/mod.ts'
import { flushFolder, hasCode, makeFolder, translated } from '../../store/mod.ts'
import { isEnded, ownMark } from './process-mark.ts'

/** Names of folders that `workBeside` makes, with the mark of the process that made them; once it was only a PID. */
const working = /\.work-([\da-f]+-\d+-\d+|\d+|unmarked)-\w{6}$/

/** Milliseconds. A work folder that nobody touched for so long is abandoned, wherever its process is; one that is in use is touched. */
const abandonedAfter = 24 * 60 * 60 * 1000
const touchedEvery = 10 * 60 * 1000

/** Runs `use` with a new folder beside `out` for all that is needed on the way; it is gone afterwards. What killed runs left goes as well. */
export async function workBeside<Result>(out: string, use: (work: string) => Promise<Result>): Promise<Result> {
  const path = resolve(out)
  await makeFolder(dirname(path))
  await restoreReplaced(path)
  await removeAbandoned(path)
  let work: string
  try {
    work = await mkdtemp(join(dirname(path), `.${basename(path)}.work-${(await ownMark()) ?? 'unmarked'}-`))
  } catch (error) {
    throw translated(error, `making a folder in ${dirname(path)}`)
  }
  const touching = setInterval(() => {
    const now = new Date()
    void utimes(work, now, now).catch(() => undefined)
  }, touchedEvery).unref()
  try {
    return await use(work)
  } catch (error) {
    throw translated(error, `making ${path}`)
  } finally {
    clearInterval(touching)
    await rm(work, { recursive: true, force: true })
  }
}

/** It may hold secrets, so it goes as soon as its process is known to have ended. */
async function removeAbandoned(path: string): Promise<void> {
  const folder = dirname(path)
  for (const name of await readdir(folder)) {
    const mark = name.startsWith(`.${basename(path)}.work-`) ? working.exec(name)?.[1] : undefined
    if (mark === undefined) continue
    const work = join(folder, name)
    const touched = (await stat(work).catch(() => undefined))?.mtimeMs
    const isOld = touched !== undefined && Date.now() - touched > abandonedAfter
    if ((await isEnded(mark)) ?? isOld)
      await rm(work, { recursive: true, force: true }).catch((error: unknown) => {
        // another user's is that user's to remove; and another build may be at it as well
        if (!hasCode(error, 'EACCES', 'EPERM', 'ENOENT', 'ENOTEMPTY')) throw translated(error, `removing ${work}`)
      })
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

/** Puts the folder `made` in the place of `out`; what was there goes, or stays where this fails. Both lie on the same file system. */
export async function putInPlace(made: string, out: string): Promise<void> {
  const path = resolve(out)
  try {
    const old = await exchange(made, path)
    await flushFolder(dirname(path))
    if (old !== undefined) await rm(old, { recursive: true, force: true })
  } catch (error) {
    throw translated(error, `writing ${out}`)
  }
}

/** Names that the old folder has between two renames: no other program makes such a one. */
const replaced = /\.old-[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/

/** Answers where the old folder is now. A run that is killed in here leaves it for `restoreReplaced`. */
async function exchange(made: string, path: string, tries = 3): Promise<string | undefined> {
  const aside = join(dirname(path), `.${basename(path)}.old-${randomUUID()}`)
  const old = await rename(path, aside).then(
    () => aside,
    (error: unknown) => {
      if (hasCode(error, 'ENOENT')) return undefined
      throw error
    },
  )
  try {
    await rename(made, path)
    return old
  } catch (error) {
    const isTaken = hasCode(error, 'ENOTEMPTY', 'EEXIST')
    // another build of the same name was quicker by a moment, or has put back what we moved: that is the old one then
    if (isTaken && old !== undefined) await rm(old, { recursive: true, force: true })
    if (isTaken && tries > 0) return exchange(made, path, tries - 1)
    // where even that fails the next run does it
    if (!isTaken && old !== undefined) await rename(old, path).catch(() => undefined)
    throw error
  }
}

/** What a killed run had moved away comes back when nothing took its place, and goes when something did. */
async function restoreReplaced(path: string): Promise<void> {
  const folder = dirname(path)
  for (const name of await readdir(folder)) {
    if (!name.startsWith(`.${basename(path)}.old-`) || !replaced.test(name)) continue
    const old = join(folder, name)
    try {
      const isThere = await lstat(path).then(
        () => true,
        () => false,
      )
      if (isThere) await rm(old, { recursive: true, force: true })
      else await rename(old, path)
    } catch (error) {
      // the run that it belongs to goes on, and was quicker
      if (!hasCode(error, 'ENOENT', 'ENOTEMPTY', 'EEXIST')) throw translated(error, `putting ${old} back`)
    }
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
  if (keep) throw existing(out)
}

function existing(out: string): PsyblobError {
  return new PsyblobError('conflict', `${visible(out)} exists already`, {
    hint: 'name another file, move it away, or say --force: what it holds may be the only copy of a key',
  })
}

/** Puts the file `made` in the place of `out`, flushed. Both lie on the same file system. With `keep` it throws `conflict` when something is there, however late it came. */
export async function putFileInPlace(made: string, out: string, { keep = false }: { readonly keep?: boolean } = {}): Promise<void> {
  const path = resolve(out)
  try {
    const file = await open(made, 'r+')
    await file.sync().finally(() => file.close())
    if (keep) await moveToFree(made, path)
    else await rename(made, path)
    await flushFolder(dirname(path))
  } catch (error) {
    if (keep && hasCode(error, 'EEXIST')) throw existing(out)
    throw translated(error, `writing ${out}`)
  }
}

/** As rename(2), but fails with EEXIST in place of replacing anything. */
async function moveToFree(made: string, path: string): Promise<void> {
  try {
    await link(made, path)
  } catch (error) {
    if (!hasCode(error, 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS')) throw error
    // FAT has no links: an empty file takes the name first, and is all that a power cut leaves
    await (await open(path, 'wx', 0o600)).close()
    return rename(made, path).catch(async (failed: unknown) => {
      await rm(path)
      throw failed
    })
  }
  await rm(made)
}
