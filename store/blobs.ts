// Many blobs from the remotes into the store: those of a tree, most of them small. Each is there whole and right, or not at all.
import { writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import type { CID, Report } from '../core/mod.ts'
import { cidOfFile } from './file-cid.ts'
import { connections } from './link.ts'
import type { LocalStore } from './local.ts'
import type { Mirrors } from './mirrors.ts'
import { pool } from './pool.ts'
import { BlobSink } from './sinks.ts'

export type FetchBlobsOptions = {
  readonly store: LocalStore
  readonly mirrors: Mirrors
  readonly report: Report
  readonly signal?: AbortSignal | undefined
}

/** Larger blobs go to the disk as they come. Bytes. */
const inMemory = 1024 * 1024
/** Small answers wait for the way there and back: as many as the largest servers bear. */
const workers = 2 * connections

/** Blobs that are in the store already are hashed and not fetched. Answers the bytes that were fetched. Errors: `unavailable`, `corrupt`, `no-space`. */
export async function fetchBlobs(wanted: ReadonlyMap<CID, number>, { store, mirrors, report, signal }: FetchBlobsOptions): Promise<number> {
  const total = [...wanted.values()].reduce((sum, size) => sum + size, 0)
  const count = { done: 0, fetched: 0 }
  const onBytes = (bytes: number, fetched: boolean) => {
    count.done += bytes
    if (fetched) count.fetched += bytes
    report({ type: 'bytes', done: count.done, total, fetched: count.fetched })
  }
  const jobs = [...wanted].map(([cid, size]) => async (stop: AbortSignal) => {
    if ((await store.hasBlob(cid, size)) && cidOfFile(store.blobPath(cid)) === cid) return onBytes(size, false)
    await store.adoptBlob(cid, async (temporary) => {
      if (size > inMemory) await fetchLarge(temporary, { cid, size, mirrors, signal: stop, onWrite: (bytes) => onBytes(bytes, true) })
      else {
        writeFileSync(temporary, await mirrors.get(cid, { size, signal: stop }), { mode: 0o600, flag: 'wx' })
        onBytes(size, true)
      }
      return true
    })
  })
  await pool(jobs, { workers, signal })
  return count.fetched
}

type Large = {
  readonly cid: CID
  readonly size: number
  readonly mirrors: Mirrors
  readonly signal: AbortSignal
  readonly onWrite: (bytes: number) => void
}

async function fetchLarge(path: string, { cid, size, mirrors, signal, onWrite }: Large): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    await mirrors.fetch(cid, { size, end: size, signal }, new BlobSink({ file, cid, size, onWrite }))
    await file.truncate(size)
  } finally {
    await file.close()
  }
}
