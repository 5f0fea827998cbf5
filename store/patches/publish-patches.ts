// The patches of a release: for each image that changed, from what it was in the releases before (spec/patch.md 8).
import {
  type ChunkIndex,
  type CID,
  type Entry,
  type EntryBlob,
  isPsyblobError,
  limits,
  type Manifest,
  parseChunkIndex,
} from '../../core/mod.ts'
import type { RemoteWriter } from '../remote.ts'
import { ChunkSources } from '../seeds.ts'
import { isPatchable } from './content.ts'
import { type FormerOptions, formerReleases } from './former-releases.ts'
import { keptPatches } from './lost-patches.ts'
import { worthIt } from './make.ts'
import { type PatchEntry, type PatchPlace, storePatch } from './patch-blob.ts'

/** `count`: from how many releases before. */
export type PatchOptions = FormerOptions & PatchPlace

/** Smaller blobs are fetched sooner than a patch is applied. Bytes. */
const patchedAbove = 256 * 1024

export type PatchedRecords = { readonly records: readonly Entry[]; readonly made: number; readonly bytes: number }

/** The entries with their patches, which are blobs of the repository by then. The blobs of the release are there already. */
export async function patchRecords(records: readonly Entry[], options: PatchOptions): Promise<PatchedRecords> {
  const formers = await formerReleases(options)
  const named = new Map(options.current.records.flatMap(({ bin }) => (bin?.patches === undefined ? [] : [[bin.cid, bin.patches] as const])))
  const patched: Entry[] = []
  const sum = { made: 0, bytes: 0 }
  for (const record of records) {
    const { bin } = record
    if (bin === null || bin.size < patchedAbove) {
      patched.push(record)
      continue
    }
    // what did not change is still come by as it was
    const kept = await keptPatches(
      { path: record.path, next: bin, patches: named.get(bin.cid) ?? [] },
      { ...options, isMaking: options.count > 0 },
    )
    const patches: PatchEntry[] = [...kept.patches]
    const tried = new Set<CID>(kept.lost)
    const made: PatchEntry[] = [...kept.made]
    for (const former of formers) {
      const old = former.records.find(({ path, role }) => path === record.path && role === record.role)?.bin ?? undefined
      if (
        old === undefined ||
        old.size < patchedAbove ||
        old.cid === bin.cid ||
        patches.some(({ from }) => from === old.cid) ||
        tried.has(old.cid)
      )
        continue
      tried.add(old.cid)
      if (patches.length === limits.patch.ofBlob) break
      const patch = await patchOf({ path: record.path, old, next: bin }, options)
      if (patch === undefined) continue
      for (const list of [patches, made]) list.push(patch)
    }
    sum.made += made.length
    sum.bytes += made.reduce((bytes, { size }) => bytes + size, 0)
    patched.push(patches.length === 0 ? record : { ...record, bin: { ...bin, patches } })
  }
  return { records: patched, ...sum }
}

/** How many images of a release have no patch at all. */
export async function unpatchedImages({ records }: Manifest, remote: RemoteWriter): Promise<number> {
  let count = 0
  for (const { bin } of records)
    if (bin !== null && bin.size >= patchedAbove && bin.patches === undefined && (await isPatchable(remote.fileOf(bin.cid)))) count++
  return count
}

type BlobChange = { readonly path: string; readonly old: EntryBlob; readonly next: EntryBlob }

/** The patch of one entry, if it is worth it. */
async function patchOf(change: BlobChange, options: PatchOptions): Promise<PatchEntry | undefined> {
  const { remote, report } = options
  const { path } = change
  return storePatch(change, options, {
    isWanted: async ({ size }) => {
      const chunks = await chunkBytes(remote, change)
      if (size <= worthIt * chunks) return true
      report({ type: 'trace', text: `no patch of ${path}: it would have ${size} bytes, the chunks have ${chunks}` })
      return false
    },
    fail: (why) => {
      if (why !== undefined) report({ type: 'warning', text: `no patch of ${path}: ${why}; nodes fetch the chunks that changed` })
    },
  })
}

/** What a node that has the old blob and nothing else would fetch: each chunk once, those of zeros not at all (spec/patch.md 8.5). */
async function chunkBytes(remote: RemoteWriter, { old, next }: BlobChange): Promise<number> {
  const after = await indexIn(remote, next)
  if (after === undefined) return next.size
  const sources = new ChunkSources(after)
  sources.assumeZeros(0)
  const before = await indexIn(remote, old)
  if (before !== undefined) sources.lookUp({ path: old.cid, size: old.size, index: before })
  let bytes = 0
  for (let chunk = 0; chunk < after.count; chunk++) if (sources.isMissing(chunk)) bytes += after.length(chunk)
  return bytes
}

async function indexIn(remote: RemoteWriter, { size, index }: EntryBlob): Promise<ChunkIndex | undefined> {
  if (index === undefined) return undefined
  try {
    const pieces: Uint8Array[] = []
    for await (const piece of remote.get(index.cid, { size: index.size })) pieces.push(Uint8Array.from(piece))
    return parseChunkIndex(Buffer.concat(pieces), size, 'chunk index')
  } catch (error) {
    // an old index that is lost or damaged tells nothing
    if (isPsyblobError(error, 'not-found', 'unavailable', 'corrupt', 'malformed')) return undefined
    throw error
  }
}
