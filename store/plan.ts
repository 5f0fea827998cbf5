// The plan of an update: for each entry the cheapest way to have its bytes in the target folder (spec/sync.md 2).
import {
  type CID,
  type Entry,
  type EntryBlob,
  isPsyblobError,
  joinRuns,
  type Manifest,
  type Preference,
  type Report,
  type Run,
  runBytes,
} from '../core/mod.ts'
import { chooseWay } from './choose-way.ts'
import { hasCode } from './files.ts'
import { type IndexOptions, indexesNamed, indexOf, indexOfSeed } from './indexes.ts'
import { cidOfFile, filesOf, type Known, type SeedFolder, sizeOf } from './known-files.ts'
import type { Link } from './link.ts'
import type { LocalStore } from './local.ts'
import type { Meter } from './meter.ts'
import type { Mirrors } from './mirrors.ts'
import { partPath } from './parts.ts'
import type { PatchPlan } from './patches/offer.ts'
import { patchStems, readPatchPart } from './patches/patch-part.ts'
import { ChunkSources, type Seed } from './seeds.ts'
import type { Way } from './ways.ts'

/** An entry that is a plain file. */
export type FileEntry = Entry & { readonly bin: EntryBlob }

export type EntryPlan = { readonly entry: FileEntry } & (
  | { readonly how: 'keep' }
  /** `from` holds the same blob; undefined: an earlier entry of this release has it. */
  | { readonly how: 'copy'; readonly from: string | undefined }
  | {
      readonly how: 'chunks'
      readonly sources: ChunkSources
      readonly runs: readonly Run[]
      /** The file that becomes the unfinished one: it holds this blob, damaged. */
      readonly adopt: string | undefined
      /** What is missing is made by it first; what it does not make is fetched. */
      readonly patch: PatchPlan | undefined
      /** The ways there are, the one that is taken first. */
      readonly ways: readonly Way[]
    }
  | { readonly how: 'whole' /** Bytes that an interrupted transfer left. */; readonly resume: number }
)

/** What an entry costs, in bytes and requests. `reused` and `fetched` may overlap by the gaps that runs span. */
export type EntryCost = { readonly fetched: number; readonly reused: number; readonly written: number; readonly requests: number }

export type PlanOptions = {
  readonly manifest: Manifest
  /** Undefined when there is no folder yet. */
  readonly target: SeedFolder | undefined
  readonly others: readonly SeedFolder[]
  /** Where unfinished files lie. */
  readonly parts: string
  readonly store: LocalStore
  readonly mirrors: Mirrors
  /** Of the mirrors: a dry run counts what the run will ask for, and nothing else. */
  readonly meter?: Meter | undefined
  /** Write entries again even if they are there. */
  readonly force: boolean
  /** Indexes that are fetched are put into the store. */
  readonly keepIndexes: boolean
  /** Leave the target's old files out: they will be removed first, for want of room. */
  readonly frugal: boolean
  /** A damaged file may be made into the new one, rather than copied from. */
  readonly adopt: boolean
  readonly prefer: Preference
  /** Without them less room is needed. */
  readonly patches: boolean
  readonly report: Report
  readonly signal?: AbortSignal | undefined
}

/** The unfinished files that plans go on with or make, by their stems. */
export function partsOf(plans: readonly EntryPlan[]): ReadonlySet<string> {
  return new Set(
    plans.flatMap((plan) => {
      const { cid, patches = [] } = plan.entry.bin
      const used = plan.how === 'chunks' ? plan.patch?.cid : undefined
      return [
        cid,
        ...patchStems(
          patches.map((patch) => patch.cid),
          used,
        ),
      ]
    }),
  )
}

/** Bytes a plan's entry moves. */
export function costOf(plan: EntryPlan): EntryCost {
  const { size } = plan.entry.bin
  switch (plan.how) {
    case 'keep':
      return { fetched: 0, reused: size, written: 0, requests: 0 }
    case 'copy':
      return { fetched: 0, reused: size, written: size, requests: 0 }
    case 'whole':
      return { fetched: size - plan.resume, reused: plan.resume, written: size - plan.resume, requests: size > plan.resume ? 1 : 0 }
    case 'chunks': {
      const { sources, runs, patch, ways } = plan
      let missing = 0
      let inPlace = 0
      for (let chunk = 0; chunk < sources.index.count; chunk++) {
        if (sources.isMissing(chunk)) missing += sources.index.length(chunk)
        if (sources.isInPlace(chunk)) inPlace += sources.index.length(chunk)
      }
      const fetched =
        patch === undefined
          ? { fetched: runs.reduce((sum, run) => sum + runBytes(sources.index, run), 0), requests: runs.length }
          : { fetched: ways[0]?.bytes ?? 0, requests: ways[0]?.requests ?? 0 }
      return { ...fetched, reused: patch === undefined ? size - missing : size, written: size - inPlace }
    }
  }
}

/** Plans every file of the manifest. Reads seeds and fetches indexes; writes nothing but indexes into the store. */
export async function planRelease(options: PlanOptions): Promise<readonly EntryPlan[]> {
  const { manifest, target, frugal, signal } = options
  const own = target === undefined ? [] : await filesOf(target)
  const others = (await Promise.all(options.others.map(filesOf))).flat()
  const plans: EntryPlan[] = []
  const planned = new Set<CID>()
  const hashed = new Map<string, CID | undefined>()
  const holds = async (path: string, bin: EntryBlob) => {
    if (!hashed.has(path)) hashed.set(path, await cidOfFile(path, bin.size, signal))
    return hashed.get(path) === bin.cid
  }
  for (const entry of manifest.records) {
    const { bin } = entry
    if (bin === null) continue
    const file: FileEntry = { ...entry, bin }
    signal?.throwIfAborted()
    const here = own.find((known) => known.name === entry.path)
    if (here?.size === bin.size && (await holds(here.path, bin))) {
      plans.push(options.force && !frugal ? { how: 'copy', entry: file, from: here.path } : { how: 'keep', entry: file })
      continue
    }
    if (planned.has(bin.cid)) {
      plans.push({ how: 'copy', entry: file, from: undefined })
      continue
    }
    planned.add(bin.cid)
    const seeds = frugal ? others : [...own, ...others]
    const same = seeds.filter((known) => known.size === bin.size && (known.bin === undefined || known.bin.cid === bin.cid))
    let from: string | undefined
    for (const known of same) if (from === undefined && (await holds(known.path, bin))) from = known.path
    const damaged = here?.size === bin.size && here.bin?.cid === bin.cid ? here.path : undefined
    if (from !== undefined) plans.push({ how: 'copy', entry: file, from })
    else plans.push((await planChunks(file, seeds, damaged, options)) ?? (await planWhole(file, options)))
  }
  return plans
}

async function planWhole(entry: FileEntry, { parts, signal }: PlanOptions): Promise<EntryPlan> {
  const { cid, size } = entry.bin
  const part = partPath(parts, cid)
  const left = (await sizeOf(part)) ?? 0
  // a file of the full length may be one that was cut short before its bytes came to the disk
  const isWrong = left > size || (left === size && (await cidOfFile(part, size, signal)) !== cid)
  return { how: 'whole', entry, resume: isWrong ? 0 : left }
}

async function planChunks(
  entry: FileEntry,
  seeds: readonly Known[],
  damaged: string | undefined,
  options: PlanOptions,
): Promise<EntryPlan | undefined> {
  const { bin } = entry
  const olds = [options.target, ...options.others].flatMap((folder) => indexesNamed(folder?.manifest))
  const index = await indexOf(bin, { ...options, olds })
  if (index === undefined) return undefined
  const { signal } = options
  const sources = new ChunkSources(index)
  const part = partPath(options.parts, bin.cid)
  const left = await sizeOf(part)
  const adopt = left === undefined && options.adopt ? damaged : undefined
  if (left !== undefined) await sources.resume(part, signal)
  else if (adopt !== undefined) await sources.resume(adopt, signal)
  if (damaged !== undefined && adopt === undefined) await sources.resume(damaged, signal, { path: damaged, size: bin.size, index })
  if (adopt === undefined) sources.assumeZeros(left ?? 0)
  for (const known of likely(entry, seeds)) {
    if (known.path === damaged || sources.isComplete()) continue
    await sources.scan(await seedOf(known, { ...options, olds }), signal).catch((error: unknown) => {
      // a seed that cannot be read is no seed
      if (!isPsyblobError(error, 'corrupt') && !hasCode(error, 'ENOENT')) throw error
    })
  }
  const runs = rangesOf(sources, options.mirrors.link)
  const plan = { how: 'chunks', entry, sources, runs, adopt } as const
  const way = await chooseWay(entry, {
    ...options,
    missing: runs.reduce((sum, run) => sum + runBytes(index, run), 0),
    requests: runs.length,
    // a dry run shows all ways
    showsAll: !options.keepIndexes,
    holders: (cid) => seeds.filter((known) => known.bin?.cid === cid),
    holds: async ({ path, size }, cid) => (await cidOfFile(path, size, signal)) === cid,
    partOf: (cid) => readPatchPart(options.parts, cid),
  })
  return { ...plan, ...way }
}

/** What to ask for: the chunks that are nowhere here, joined and split as the link is. */
export function rangesOf(sources: ChunkSources, link: Link): readonly Run[] {
  const { index } = sources
  const missing = (chunk: number) => sources.isMissing(chunk)
  let bytes = 0
  for (let chunk = 0; chunk < index.count; chunk++) if (missing(chunk)) bytes += index.length(chunk)
  return joinRuns(index, missing, { gap: link.gap, length: link.longest(bytes) })
}

/** Seeds most like the entry first: the same path, then the larger ones. */
function likely(entry: FileEntry, seeds: readonly Known[]): readonly Known[] {
  const rank = (known: Known) => (known.name === entry.path ? 1 : 0)
  // what the publisher did not cut shares nothing with anything
  const isCut = ({ bin }: Known) => bin === undefined || bin.index !== undefined
  return seeds.filter((known) => known.size > 4096 && isCut(known)).sort((one, two) => rank(two) - rank(one) || two.size - one.size)
}

async function seedOf(known: Known, options: IndexOptions): Promise<Seed> {
  const { path, size, bin } = known
  return { path, size, index: bin === undefined || bin.size !== size ? undefined : await indexOfSeed(bin, options) }
}
