// What changed between two releases, and what an update from one to the other would fetch.
import {
  type ChunkIndex,
  type CID,
  type EntryBlob,
  indexesOf,
  type Preference,
  parseChunkIndex,
  type Report,
  runBytes,
} from '../core/mod.ts'
import { type IndexTree, indexTree } from './index-tree.ts'
import { findPages, indexOf } from './indexes.ts'
import type { LocalStore } from './local.ts'
import type { Mirrors } from './mirrors.ts'
import { patchOffer } from './patches/offer.ts'
import { rangesOf } from './plan.ts'
import { ChunkSources } from './seeds.ts'
import type { VerifiedManifest } from './signed.ts'
import { estimate, isBetter, type Way } from './ways.ts'

export type DifferenceLine = {
  readonly path: string
  readonly change: 'added' | 'removed' | 'changed' | 'same'
  readonly sizeBefore: number | null
  readonly sizeAfter: number | null
  /** How a node that has the old release gets this entry; null when there is nothing to get. */
  readonly how: 'keep' | 'copy' | 'patch' | 'chunks' | 'whole' | null
  /** Bytes that it fetches for it, its chunk index included. */
  readonly fetch: number
  readonly requests: number
  /** The ways to it, with the seconds they would take; the one that is taken first. */
  readonly ways: readonly Way[]
}

export type Difference = { readonly lines: readonly DifferenceLine[]; readonly fetch: number; readonly requests: number }

export type DifferenceOptions = {
  readonly store: LocalStore
  readonly mirrors: Mirrors
  readonly prefer: Preference
  readonly report: Report
  readonly signal?: AbortSignal | undefined
}

/** Compares two releases of a product; indexes come from the store or the remotes. */
export async function difference(from: VerifiedManifest, to: VerifiedManifest, options: DifferenceOptions): Promise<Difference> {
  const before = new Map(from.manifest.records.map((record) => [record.path, record]))
  const after = new Map(to.manifest.records.map((record) => [record.path, record]))
  const blobs = new Set(from.manifest.records.map((record) => record.bin?.cid))
  const formerBlobs = from.manifest.records.flatMap(({ bin }) => bin ?? [])
  const indexes = new Indexes(options)
  const lines: DifferenceLine[] = []
  for (const path of [...new Set([...before.keys(), ...after.keys()])].sort()) {
    const old = before.get(path)
    const now = after.get(path)
    const sizes = { path, sizeBefore: old?.bin?.size ?? null, sizeAfter: now?.bin?.size ?? null }
    if (now === undefined) lines.push({ ...sizes, change: 'removed', how: null, fetch: 0, requests: 0, ways: [] })
    else if (old !== undefined && JSON.stringify({ ...old, bin: old.bin?.cid }) === JSON.stringify({ ...now, bin: now.bin?.cid }))
      lines.push({ ...sizes, change: 'same', how: 'keep', fetch: 0, requests: 0, ways: [] })
    else {
      const cost =
        now.bin === null || blobs.has(now.bin.cid)
          ? ({ how: 'copy', fetch: 0, requests: 0, ways: [] } as const)
          : await costOfEntry({ path, bin: now.bin }, { olds: formerBlobs, indexes, options })
      lines.push({ ...sizes, change: old === undefined ? 'added' : 'changed', ...cost })
    }
  }
  return { lines, fetch: lines.reduce((sum, line) => sum + line.fetch, 0), requests: lines.reduce((sum, line) => sum + line.requests, 0) }
}

type Cost = Pick<DifferenceLine, 'how' | 'fetch' | 'requests' | 'ways'>

/** The indexes of both releases, each read once. */
class Indexes {
  readonly #options: DifferenceOptions
  readonly #read = new Map<CID, Promise<ChunkIndex | undefined>>()
  readonly #trees = new Map<CID, IndexTree>()

  constructor(options: DifferenceOptions) {
    this.#options = options
  }

  /** The index of a blob; undefined when it has none or it is not to be had. */
  of(bin: EntryBlob): Promise<ChunkIndex | undefined> {
    const read = this.#read.get(bin.cid) ?? indexOf(bin, { ...this.#options, olds: [], keepIndexes: false })
    this.#read.set(bin.cid, read)
    return read
  }

  /** The index of a blob in pages. */
  async tree(bin: EntryBlob): Promise<IndexTree | undefined> {
    const index = await this.of(bin)
    const known = this.#trees.get(bin.cid) ?? (index === undefined ? undefined : indexTree(index.bytes))
    if (known !== undefined) this.#trees.set(bin.cid, known)
    return known
  }
}

type CostOptions = { readonly olds: readonly EntryBlob[]; readonly indexes: Indexes; readonly options: DifferenceOptions }

async function costOfEntry(
  { path, bin }: { readonly path: string; readonly bin: EntryBlob },
  { olds, indexes, options }: CostOptions,
): Promise<Cost> {
  const { mirrors, prefer, report, signal } = options
  const { link } = mirrors
  const index = await indexes.of(bin)
  const tree = await indexes.tree(bin)
  const whole = estimate('whole', { bytes: bin.size, requests: bin.size > 0 ? 1 : 0 }, link.forecast)
  if (index === undefined || tree === undefined) return { how: 'whole', fetch: bin.size, requests: whole.requests, ways: [whole] }
  const sources = new ChunkSources(index)
  sources.assumeZeros(0)
  const trees: IndexTree[] = []
  for (const old of olds) {
    const former = await indexes.of(old)
    if (former === undefined) continue
    sources.lookUp({ path: old.cid, size: old.size, index: former })
    trees.push((await indexes.tree(old)) as IndexTree)
  }
  const runs = rangesOf(sources, link)
  const bytes = runs.reduce((sum, run) => sum + runBytes(index, run), 0)
  const above = costOfIndex(tree, trees, link.gap)
  const chunks = estimate('chunks', { bytes, requests: runs.length }, link.forecast)
  const { best, reasons } = await patchOffer(bin, {
    mirrors,
    fileOf: (cid) => (olds.some((old) => old.cid === cid) ? path : undefined),
    partOf: async () => ({ got: 0, tries: 0 }),
    missing: bytes,
    prefer,
    seconds: prefer === 'time' ? chunks.seconds : Number.POSITIVE_INFINITY,
    showsAll: true,
    signal,
  })
  for (const why of best === undefined ? reasons.slice(0, 1) : [])
    report({ type: 'warning', text: `no patch of ${path} is reckoned with: ${why}` })
  const isPatched = best !== undefined && !best.isHopeless && isBetter(best.way, chunks, prefer)
  const ways = best === undefined ? [chunks, whole] : isPatched ? [best.way, chunks, whole] : [chunks, best.way, whole]
  const [{ how, bytes: fetched, requests }] = ways as [Way, ...Way[]]
  return { how, fetch: above.fetch + fetched, requests: above.requests + requests, ways }
}

/** What an index costs a node that has older ones: its missing pages, the pages of their index that are missing, and so on. */
function costOfIndex(
  tree: IndexTree,
  trees: readonly IndexTree[],
  gap: number,
  level = 0,
): { readonly fetch: number; readonly requests: number } {
  const [own, above] = tree.blobs.slice(level, level + 2)
  const size = own?.bytes.length ?? 0
  if (above === undefined || !trees.some(({ blobs }) => blobs.length > level + 1)) return { fetch: size, requests: 1 }
  const cost = costOfIndex(tree, trees, gap, level + 1)
  const found = findPages(parseChunkIndex(above.bytes, size, 'pages'), trees, level, gap)
  if (found === 'mostly') return { fetch: cost.fetch + size, requests: cost.requests + 1 }
  return { fetch: cost.fetch + found.bytes, requests: cost.requests + found.runs.length }
}

/** Every blob that a release needs, indexes included, with its size. */
export function blobsOf(release: VerifiedManifest): ReadonlyMap<CID, number> {
  const blobs = new Map<CID, number>()
  for (const { bin, ccs } of release.manifest.records) {
    if (bin !== null) blobs.set(bin.cid, bin.size)
    for (const { cid, size } of indexesOf(bin)) blobs.set(cid, size)
    if (ccs !== null) blobs.set(ccs.cid, ccs.size)
  }
  return blobs
}

/** The patches that a release names, with their sizes: it can be had without them. */
export function patchesOf(release: VerifiedManifest): ReadonlyMap<CID, number> {
  return new Map(release.manifest.records.flatMap(({ bin }) => (bin?.patches ?? []).map(({ cid, size }) => [cid, size] as const)))
}
