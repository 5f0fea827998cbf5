// What changed between two releases, and what an update from one to the other would fetch.
import { ChunkTable, type CID, type Entry, joinRuns, type Report, runBytes } from '../core/mod.ts'
import type { LocalStore } from './local.ts'
import type { Mirrors } from './mirrors.ts'
import { indexOf } from './plan.ts'
import type { VerifiedManifest } from './signed.ts'

export type DifferenceLine = {
  readonly path: string
  readonly change: 'added' | 'removed' | 'changed' | 'same'
  readonly sizeBefore: number | null
  readonly sizeAfter: number | null
  /** Bytes that a node with the old release fetches for this entry, its chunk index included. */
  readonly fetch: number
  readonly requests: number
}

export type Difference = { readonly lines: readonly DifferenceLine[]; readonly fetch: number; readonly requests: number }

export type DifferenceOptions = {
  readonly store: LocalStore
  readonly mirrors: Mirrors
  readonly report: Report
  readonly signal?: AbortSignal | undefined
}

/** Compares two releases of a product; indexes come from the store or the remotes. */
export async function difference(from: VerifiedManifest, to: VerifiedManifest, options: DifferenceOptions): Promise<Difference> {
  const before = new Map(from.manifest.records.map((record) => [record.path, record]))
  const after = new Map(to.manifest.records.map((record) => [record.path, record]))
  const blobs = new Set(from.manifest.records.map((record) => record.bin?.cid))
  const lines: DifferenceLine[] = []
  for (const path of [...new Set([...before.keys(), ...after.keys()])].sort()) {
    const old = before.get(path)
    const now = after.get(path)
    const sizes = { path, sizeBefore: old?.bin?.size ?? null, sizeAfter: now?.bin?.size ?? null }
    if (now === undefined) lines.push({ ...sizes, change: 'removed', fetch: 0, requests: 0 })
    else if (old !== undefined && JSON.stringify({ ...old, bin: old.bin?.cid }) === JSON.stringify({ ...now, bin: now.bin?.cid }))
      lines.push({ ...sizes, change: 'same', fetch: 0, requests: 0 })
    else {
      const cost =
        now.bin === null || blobs.has(now.bin.cid) ? { fetch: 0, requests: 0 } : await costOfEntry(from.manifest.records, now, options)
      lines.push({ ...sizes, change: old === undefined ? 'added' : 'changed', ...cost })
    }
  }
  return { lines, fetch: lines.reduce((sum, line) => sum + line.fetch, 0), requests: lines.reduce((sum, line) => sum + line.requests, 0) }
}

async function costOfEntry(
  old: readonly Entry[],
  now: Entry,
  options: DifferenceOptions,
): Promise<{ readonly fetch: number; readonly requests: number }> {
  const { bin } = now
  if (bin === null) return { fetch: 0, requests: 0 }
  const index = await indexOf(bin, { ...options, keepIndexes: false })
  if (index === undefined || bin.index === undefined) return { fetch: bin.size, requests: bin.size > 0 ? 1 : 0 }
  const tables: ChunkTable[] = []
  for (const { bin: former } of old) {
    const formerIndex = former === null ? undefined : await indexOf(former, { ...options, keepIndexes: false })
    if (formerIndex !== undefined) tables.push(new ChunkTable(formerIndex))
  }
  const own = new ChunkTable(index)
  const missing = (chunk: number) =>
    own.find(index.digest(chunk)) === chunk && !tables.some((table) => table.find(index.digest(chunk)) !== undefined)
  const runs = joinRuns(index, missing)
  return { fetch: bin.index.size + runs.reduce((sum, run) => sum + runBytes(index, run), 0), requests: runs.length + 1 }
}

/** Every blob a manifest names, indexes included, with its size. */
export function blobsOf(release: VerifiedManifest): ReadonlyMap<CID, number> {
  const blobs = new Map<CID, number>()
  for (const { bin, ccs } of release.manifest.records) {
    if (bin !== null) blobs.set(bin.cid, bin.size)
    if (bin?.index !== undefined) blobs.set(bin.index.cid, bin.index.size)
    if (ccs !== null) blobs.set(ccs.cid, ccs.size)
  }
  return blobs
}
