// The chunk indexes of a node: those it keeps, and new ones, of which only the pages are fetched that no kept index has (spec/sync.md 2).
import {
  type ChunkIndex,
  cidOf,
  type EntryBlob,
  type IndexBlob,
  isPsyblobError,
  joinRuns,
  type Manifest,
  parseChunkIndex,
  type Report,
  type Run,
  runBytes,
  visible,
} from '../core/mod.ts'
import { blake3 } from './blake3.ts'
import { type IndexTree, indexTree } from './index-tree.ts'
import { connections } from './link.ts'
import type { LocalStore } from './local.ts'
import type { Mirrors } from './mirrors.ts'
import { pool } from './pool.ts'
import { ChunkSources, type Seed } from './seeds.ts'
import { MemorySink } from './sinks.ts'

export type IndexOptions = {
  readonly store: LocalStore
  readonly mirrors: Mirrors
  /** Indexes that may share pages with a new one: what older manifests name. They are looked for in the store only. */
  readonly olds: readonly IndexBlob[]
  /** What is fetched is put into the store. */
  readonly keepIndexes: boolean
  readonly report: Report
  readonly signal?: AbortSignal | undefined
}

/** Bytes between two pages that are read over rather than asked for apart, as long as every range has a connection of its own. */
const pageGap = 4096
/** When this part of an index or more is missing, it is fetched whole. */
const mostly = 3 / 4

/** The indexes that a release names. */
export function indexesNamed(manifest: Manifest | undefined): readonly IndexBlob[] {
  return manifest?.records.flatMap(({ bin }) => bin?.index ?? []) ?? []
}

/** The index of a blob, from the store or a remote; undefined when the blob has none or it is not to be had. */
export async function indexOf(bin: EntryBlob, options: IndexOptions): Promise<ChunkIndex | undefined> {
  const { index } = bin
  if (index === undefined) return undefined
  if (index.size > bin.size) {
    // a record is longer than most chunks would have to be: whatever that is, it is not worth its bytes
    options.report({
      type: 'warning',
      text: `no usable chunk index, the whole blob is fetched: that of ${bin.cid} is larger than the blob`,
    })
    return undefined
  }
  const kept = await keptIndex(index, bin.size, options.store)
  if (kept !== undefined) return kept
  try {
    return parseChunkIndex(await fetchIndex(index, options), bin.size, `chunk index of ${bin.cid}`)
  } catch (error) {
    if (!isPsyblobError(error, 'malformed') && !(isPsyblobError(error, 'unavailable') && options.mirrors.isLacking(index.cid))) throw error
    options.report({ type: 'warning', text: `no usable chunk index, the whole blob is fetched: ${visible(error.message)}` })
    return undefined
  }
}

/**
 * The index of a blob that an older release has here: when the store lost it, it is worth fetching again, for only the publisher knows
 * the cuts. Undefined when nobody has it any more.
 */
export async function indexOfSeed(bin: EntryBlob, options: IndexOptions): Promise<ChunkIndex | undefined> {
  try {
    return await indexOf(bin, { ...options, olds: [], report: () => undefined })
  } catch (error) {
    if (!isPsyblobError(error, 'unavailable', 'corrupt')) throw error
    options.report({ type: 'trace', text: `the index of ${bin.cid} is not to be had: ${error.message}` })
    return undefined
  }
}

/** An index that the store has, of a blob or an index of `size` bytes; one that cannot be used is none. */
export async function keptIndex({ cid, size: bytes }: IndexBlob, size: number, store: LocalStore): Promise<ChunkIndex | undefined> {
  const kept = await store.blob(cid, bytes)
  try {
    return kept === undefined ? undefined : parseChunkIndex(kept, size, 'chunk index')
  } catch (error) {
    if (isPsyblobError(error, 'malformed')) return undefined
    throw error
  }
}

/** The bytes of an index: from the store, by its pages, or whole. */
async function fetchIndex(index: IndexBlob, options: IndexOptions): Promise<Uint8Array> {
  const { store, mirrors, signal } = options
  const bytes =
    (await fetchPages(index, await treesOf(options.olds, store), options)) ?? (await mirrors.get(index.cid, { size: index.size, signal }))
  if (options.keepIndexes) await store.putBlob(index.cid, bytes)
  return bytes
}

/** What is kept of older indexes, cut into pages as publishers cut them. One that was cut otherwise has nothing in common, that is all. */
async function treesOf(olds: readonly IndexBlob[], store: LocalStore): Promise<readonly IndexTree[]> {
  const kept: IndexTree[] = []
  for (const { cid, size } of olds) {
    const bytes = await store.blob(cid, size)
    if (bytes !== undefined) kept.push(indexTree(bytes))
  }
  return kept
}

/** Undefined when most of it is missing, nothing is known of its pages, or they do not make up what was asked for. */
async function fetchPages(
  index: IndexBlob,
  trees: readonly IndexTree[],
  options: IndexOptions,
  level = 0,
): Promise<Uint8Array | undefined> {
  const { mirrors, signal } = options
  if (index.index === undefined || index.index.size > index.size || pageSeeds(trees, level).length === 0) return undefined
  const pages = await pagesOf(index, index.index, trees, options, level)
  if (pages === undefined) return undefined
  const found = findPages(pages, trees, level, mirrors.link.gap)
  if (found === 'mostly') return undefined

  const { sources, runs } = found
  const bytes = new Uint8Array(index.size)
  const jobs = runs.map((run) => async (stop: AbortSignal) => {
    const end = pages.offset(run.last) + pages.length(run.last)
    await mirrors.fetch(index.cid, { size: index.size, end, signal: stop }, new MemorySink(bytes, pages.offset(run.first)))
  })
  await pool(jobs, { workers: connections, signal })
  for (let page = 0; page < pages.count; page++) {
    const [at, length] = [pages.offset(page), pages.length(page)]
    const here = sources.where(page)
    const first = sources.first(page)
    if (here !== undefined) bytes.set(bytesOf(here.seed, trees, level).subarray(here.offset, here.offset + length), at)
    else if (first !== page) bytes.copyWithin(at, pages.offset(first), pages.offset(first) + length)
  }
  // a publisher may have listed other pages than the index has, or a remote sent others: whoever sends the whole answers for it
  return cidOf(blake3().digest(bytes)) === index.cid ? bytes : undefined
}

/** The index of an index; undefined when it cannot be had, for the index may be there all the same. */
async function pagesOf(
  index: IndexBlob,
  above: IndexBlob,
  trees: readonly IndexTree[],
  options: IndexOptions,
  level: number,
): Promise<ChunkIndex | undefined> {
  const { mirrors, signal } = options
  try {
    const bytes = (await fetchPages(above, trees, options, level + 1)) ?? (await mirrors.get(above.cid, { size: above.size, signal }))
    return parseChunkIndex(bytes, index.size, `index of ${index.cid}`)
  } catch (error) {
    if (isPsyblobError(error, 'malformed') || (isPsyblobError(error, 'unavailable') && mirrors.isLacking(above.cid))) return undefined
    throw error
  }
}

/** The levels of older indexes that have pages; the path of such a seed is the number of its tree. */
function pageSeeds(trees: readonly IndexTree[], level: number): readonly Seed[] {
  return trees.flatMap(({ blobs }, tree) => {
    const [own, above] = blobs.slice(level, level + 2)
    if (own === undefined || above === undefined) return []
    const size = own.bytes.length
    return [{ path: String(tree), size, index: parseChunkIndex(above.bytes, size, 'pages') }]
  })
}

function bytesOf(seed: Seed, trees: readonly IndexTree[], level: number): Uint8Array {
  return trees[Number(seed.path)]?.blobs[level]?.bytes ?? new Uint8Array()
}

/**
 * Which pages of an index older ones have, and the ranges to fetch for the others; `mostly` when that is so much of it that it is
 * fetched whole. `gap` in bytes, as the link is.
 */
export function findPages(
  pages: ChunkIndex,
  trees: readonly IndexTree[],
  level: number,
  gap: number,
): { readonly sources: ChunkSources; readonly runs: readonly Run[]; readonly bytes: number } | 'mostly' {
  const sources = new ChunkSources(pages)
  for (const seed of pageSeeds(trees, level)) sources.lookUp(seed)
  const joined = (most: number) => joinRuns(pages, (page) => sources.isMissing(page), { gap: most })
  const apart = joined(pageGap)
  const runs = apart.length > connections ? joined(gap) : apart
  const bytes = runs.reduce((sum, run) => sum + runBytes(pages, run), 0)
  return bytes >= pages.size * mostly ? 'mostly' : { sources, runs, bytes }
}
