// Files that survive a power cut: temporary name, flush, rename, flush of the folder. Also reading with a limit, and removing for good.
import { constants, existsSync } from 'node:fs'
import { access, type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { PsyblobError } from '../core/mod.ts'

let counter = 0

/** A name beside `path` that nobody else uses: a file there is always unfinished and may be removed. */
export function temporaryBeside(path: string): string {
  return join(dirname(path), `.${basename(path)}.${process.pid}.${++counter}.tmp`)
}

const temporary = /^\..+\.(\d+)\.\d+\.tmp$/

/** True for names that `temporaryBeside` makes. */
export function isTemporary(name: string): boolean {
  return temporary.test(name)
}

/** Milliseconds: who writes to a file touches it more often. */
const abandonedAfter = 60_000

/** Removes the unfinished files in `folder` whose writer is gone: no such process here, and nobody has touched them for a minute. */
export async function removeAbandoned(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    const writer = temporary.exec(name)?.[1]
    if (writer === undefined || existsSync(`/proc/${writer}`)) continue
    const path = join(folder, name)
    const touched = (await stat(path).catch(() => undefined))?.mtimeMs
    if (touched !== undefined && Date.now() - touched > abandonedAfter) await rm(path, { force: true })
  }
}

/** Makes a folder and those above it, each durable before anything in it is. Throws `no-space` and what else `translated` knows. */
export async function makeFolder(path: string): Promise<void> {
  try {
    const first = await mkdir(path, { recursive: true })
    if (first === undefined) return
    for (let folder = dirname(path); folder.length >= dirname(first).length; folder = dirname(folder)) {
      await flushFolder(folder)
      if (folder === dirname(folder)) return
    }
  } catch (error) {
    // Node's recursive mkdir calls a full disk ENOENT, and a read-only one too
    if (!hasCode(error, 'ENOENT')) throw translated(error, `making ${path}`)
    await access(await nearest(path), constants.W_OK).catch((refused: unknown) => {
      throw translated(refused, `making ${path}`)
    })
    throw new PsyblobError('no-space', `no space left while making ${path}`, { cause: error, hint: 'make room, or name another place' })
  }
}

/** The folder itself, or the one above it that is there. */
async function nearest(path: string): Promise<string> {
  const above = dirname(path)
  return above === path || (await stat(path).catch(() => undefined)) !== undefined ? path : nearest(above)
}

/** Makes the renames in `folder` durable. */
export async function flushFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } catch (error) {
    // some file systems (FUSE, network ones) cannot flush a folder; there is nothing else to do for them
    if (!hasCode(error, 'EINVAL', 'ENOTSUP')) throw error
  } finally {
    await handle.close()
  }
}

/** Writes all of `bytes` at `position`: one call may write less than it was given. */
export async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done)
    done += bytesWritten
  }
}

/** Fills `bytes` from `position` and answers how many there were before the end of the file. */
export async function readFull(file: FileHandle, bytes: Uint8Array, position: number): Promise<number> {
  // Node takes a number beyond those for "where the last read ended"
  if (!Number.isSafeInteger(position + bytes.length)) return 0
  let done = 0
  while (done < bytes.length) {
    const { bytesRead } = await file.read(bytes, done, bytes.length - done, position + done)
    if (bytesRead === 0) break
    done += bytesRead
  }
  return done
}

/** Replaces or makes `path` so that after a crash it holds the old bytes or the new ones. Its folder is made when absent. */
export async function writeWhole(path: string, bytes: Uint8Array, mode = 0o644): Promise<void> {
  await makeFolder(dirname(path))
  const temporary = temporaryBeside(path)
  try {
    const file = await open(temporary, 'wx', mode)
    try {
      await writeAll(file, bytes, 0)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
    await flushFolder(dirname(path))
  } catch (error) {
    await rm(temporary, { force: true })
    throw translated(error, `writing ${path}`)
  }
}

/**
 * The bytes of a file of at most `limit` bytes; undefined when there is none. Throws `malformed` when it is longer, or no file at all:
 * a pipe or a device in its place must neither block nor go on for ever.
 */
export async function readLimited(path: string, limit: number): Promise<Uint8Array | undefined> {
  let file: FileHandle | undefined
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    const state = await file.stat()
    const refuse = (why: string) =>
      new PsyblobError('malformed', `${path} ${why}`, { hint: 'something else lies there: check the path, or move it away' })
    if (!state.isFile()) throw refuse('is no plain file')
    const bytes = Buffer.allocUnsafeSlow(Math.min(state.size, limit) + 1)
    const got = await readFull(file, bytes, 0)
    if (got > limit) throw refuse(`is longer than ${limit} bytes`)
    return bytes.subarray(0, got)
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return undefined
    throw translated(error, `reading ${path}`)
  } finally {
    await file?.close()
  }
}

export function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code))
}

/** Errors of the file system in psyblob's words; anything else comes back as it was. */
export function translated(error: unknown, what: string): unknown {
  if (hasCode(error, 'ENOSPC', 'EDQUOT', 'EFBIG')) {
    return new PsyblobError('no-space', `no space left while ${what}`, {
      cause: error,
      hint: 'make room there, then run the same command again: it goes on where it stopped',
    })
  }
  if (hasCode(error, 'EROFS'))
    return new PsyblobError('unsupported', `the file system is read-only while ${what}`, {
      cause: error,
      hint: 'mount it writable, or name another place',
    })
  if (hasCode(error, 'EACCES', 'EPERM'))
    return new PsyblobError('unsupported', `not allowed while ${what}`, {
      cause: error,
      hint: 'run as a user who may, usually root on a node',
    })
  if (hasCode(error, 'EIO'))
    return new PsyblobError('corrupt', `the disk reports an error while ${what}`, {
      cause: error,
      hint: 'look at the kernel log; the disk may be failing',
    })
  if (hasCode(error, 'ENOTDIR', 'EISDIR', 'EEXIST'))
    return new PsyblobError('usage', `something else is in the way while ${what}`, {
      cause: error,
      hint: 'move it away, or name another place',
    })
  return error
}

/** True when something lies there, a link that leads somewhere included. */
export async function pathExists(path: string): Promise<boolean> {
  // few commands ask this, and the package takes as long to load as they take to run
  return (await import('fs-extra')).default.pathExists(path)
}
