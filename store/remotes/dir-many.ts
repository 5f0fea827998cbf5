// Many small blobs at once in a repository folder: looked for without waiting, written a group at a time, flushed side by side.
import { closeSync, fsync, openSync, renameSync, rmSync, statSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { promisify } from 'node:util'
import { type CID, cidOf, PsyblobError, shardOf } from '../../core/mod.ts'
import { blake3 } from '../blake3.ts'
import { flushFolder, hasCode, makeFolder, temporaryBeside, translated } from '../files.ts'

const flush = promisify(fsync)
/** Of a group: blobs, whose files are open, and bytes, which the disk gets at once. */
const mostBlobs = 256
const mostBytes = 32 * 1024 * 1024
/** Folders that are flushed at a time. */
const side = 4

export type SizedBlob = { readonly cid: CID; readonly size: number }
export type GivenBlob = {
  readonly cid: CID
  /** Valid until the next is asked for. */
  readonly bytes: Uint8Array
}

export function blobName(cid: CID): string {
  return `blobs/${shardOf(cid)}/${cid}`
}

/** True when a file of that size lies there. */
export function isThere(dir: string, { cid, size }: SizedBlob): boolean {
  const path = join(dir, blobName(cid))
  try {
    const state = statSync(path, { throwIfNoEntry: false })
    return state?.isFile() === true && state.size === size
  } catch (error) {
    if (hasCode(error, 'ENOTDIR')) return false
    throw translated(error, `reading ${path}`)
  }
}

type Open = { readonly cid: CID; readonly file: number; readonly temporary: string; readonly path: string }

// A blob is born here too: temporary name, hashed, flushed, renamed. Its folder is flushed at the end, once for all blobs in it; until then a
// crash may take the name away again, but what has the name is whole.
export async function putMany(
  dir: string,
  blobs: Iterable<GivenBlob>,
  { label, signal }: { readonly label: string; readonly signal?: AbortSignal | undefined },
): Promise<void> {
  const shards = new Set<string>()
  let group: Open[] = []
  let bytes = 0
  const finish = async () => {
    await Promise.all(
      group.map(({ file, path }) => flush(file).catch((error: unknown) => Promise.reject(translated(error, `writing ${path}`)))),
    )
    for (const { file, temporary, path } of group) {
      closeSync(file)
      renameSync(temporary, path)
    }
    group = []
    bytes = 0
  }
  try {
    for (const blob of blobs) {
      const path = join(dir, blobName(blob.cid))
      if (!shards.has(dirname(path))) await makeFolder(dirname(path))
      shards.add(dirname(path))
      const got = cidOf(blake3().digest(blob.bytes))
      if (got !== blob.cid)
        throw new PsyblobError('corrupt', `storing a blob in ${label}: expected ${blob.cid}, got ${got}`, {
          hint: 'nothing was stored; run the same command again',
        })
      group.push(written(blob, path))
      bytes += blob.bytes.length
      if (group.length < mostBlobs && bytes < mostBytes) continue
      await finish()
      await setImmediate(undefined, { signal })
    }
    await finish()
  } finally {
    for (const { file, temporary } of group) {
      try {
        closeSync(file)
      } catch {
        // closed a moment ago: the failure that brought us here tells more
      }
      rmSync(temporary, { force: true })
    }
  }
  const folders = [...shards]
  while (folders.length > 0) await Promise.all(folders.splice(0, side).map(flushFolder))
}

function written({ cid, bytes }: GivenBlob, path: string): Open {
  const temporary = temporaryBeside(path)
  try {
    const file = openSync(temporary, 'wx', 0o644)
    try {
      for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done, bytes.length - done, done)
      return { cid, file, temporary, path }
    } catch (error) {
      closeSync(file)
      throw error
    }
  } catch (error) {
    rmSync(temporary, { force: true })
    throw translated(error, `writing ${path}`)
  }
}
