// Files that survive a power cut: temporary name, flush, rename, flush of the folder. Also reading with a limit, and removing for good.
import { type FileHandle, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { pathExists } from 'fs-extra'
import { PsyblobError } from '../core/mod.ts'

let counter = 0

/** A name beside `path` that nobody else uses: a file there is always unfinished and may be removed. */
export function temporaryBeside(path: string): string {
  return join(dirname(path), `.${basename(path)}.${process.pid}.${++counter}.tmp`)
}

/** True for names that `temporaryBeside` makes. */
export function isTemporary(name: string): boolean {
  return name.startsWith('.') && name.endsWith('.tmp')
}

/** Makes a folder and those above it. Throws `no-space` and what else `translated` knows. */
export async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true })
  } catch (error) {
    // Node's recursive mkdir calls a full disk ENOENT
    if (!hasCode(error, 'ENOENT')) throw translated(error, `making ${path}`)
    throw new PsyblobError('no-space', `no space left while making ${path}`, { cause: error, hint: 'make room, or name another place' })
  }
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

/** The bytes of a file of at most `limit` bytes; undefined when there is none. Throws `malformed` when it is longer. */
export async function readLimited(path: string, limit: number): Promise<Uint8Array | undefined> {
  try {
    const { size } = await stat(path)
    if (size > limit) throw new PsyblobError('malformed', `${path} is ${size} bytes long, allowed are ${limit}`)
    const bytes = await readFile(path)
    if (bytes.length > limit) throw new PsyblobError('malformed', `${path} is ${bytes.length} bytes long, allowed are ${limit}`)
    return bytes
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return undefined
    throw translated(error, `reading ${path}`)
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
      hint: 'make room (psyblob gc drops what nothing needs), then run the same command again',
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
export { pathExists }
