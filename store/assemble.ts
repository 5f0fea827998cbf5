// Carries a plan out: unfinished files in one folder, each complete and checked at the end. The half-written file is its own journal.
import { type FileHandle, open, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { type CID, PsyblobError, type Report, type Run } from '../core/mod.ts'
import { copyBlob } from './copy-blob.ts'
import { flushFolder, makeFolder, readFull, translated, writeAll } from './files.ts'
import { Following } from './following.ts'
import { connections } from './link.ts'
import type { Mirrors } from './mirrors.ts'
import { partPath } from './parts.ts'
import { applyPatch } from './patches/apply-patch.ts'
import type { PatchPlan } from './patches/offer.ts'
import { endPatch } from './patches/patch-part.ts'
import { type EntryPlan, rangesOf } from './plan.ts'
import { pool } from './pool.ts'
import { copyChunks } from './seed-copy.ts'
import { BlobSink, ChunkSink } from './sinks.ts'
import { Tally } from './tally.ts'

const pieceBytes = 1024 * 1024

export type AssembleOptions = {
  readonly plans: readonly EntryPlan[]
  /** The folder of unfinished files; made when absent. */
  readonly parts: string
  readonly mirrors: Mirrors
  readonly report: Report
  readonly signal?: AbortSignal | undefined
}

/** An entry whose bytes are complete in `part`, flushed to the disk; undefined when it was kept as it is. */
export type Assembled = {
  readonly plan: EntryPlan
  readonly part: string | undefined
  /** When it was read back in part already: goes on from there. */
  readonly following: Following | undefined
}

type ChunksPlan = Extract<EntryPlan, { how: 'chunks' }>
type WholePlan = Extract<EntryPlan, { how: 'whole' }>
type Job = (signal: AbortSignal) => Promise<void>

/** Errors: `unavailable`, `corrupt` (no remote has the right bytes), `no-space`. What was written stays for the next run. */
export async function assemble(options: AssembleOptions): Promise<readonly Assembled[]> {
  const { plans, parts, report } = options
  await makeFolder(parts)
  const tally = new Tally(plans, report)
  const files: FileHandle[] = []
  const followed = new Map<CID, Following>()
  const moved = new Map<string, string>()
  const begin: Job[] = []
  const copying: Job[] = []
  const rounds: (() => Promise<void>)[] = []
  const turn = inTurn()
  try {
    for (const plan of plans) {
      if (plan.how !== 'chunks' && plan.how !== 'whole') continue
      const path = partPath(parts, plan.entry.bin.cid)
      if (plan.how === 'chunks' && plan.adopt !== undefined) {
        await rename(plan.adopt, path)
        moved.set(plan.adopt, path)
      }
      const file = await open(path, 'a').then(async (made) => {
        await made.close()
        return open(path, 'r+')
      })
      files.push(file)
      if (plan.how === 'whole') begin.push((signal) => fetchWhole({ plan, file, options, tally, signal }))
      else {
        await file.truncate(plan.sources.index.size)
        const following = new Following(path, file, plan.sources)
        followed.set(plan.entry.bin.cid, following)
        const { sources } = plan
        copying.push((signal) => copyChunks({ sources, file, tally, following, moved, signal }))
        const work = { plan, file, options, tally, following }
        begin.push(...(plan.patch === undefined ? fetchRuns(work) : [applyJob({ ...work, patch: plan.patch, turn })]))
        rounds.push(() => finishChunks(work))
      }
    }
    // one after the other: copying takes all that the machine has, and answers that nobody reads in time come slowly ever after
    await pool(copying, { workers: 1, signal: options.signal })
    await pool(begin, { workers: connections, signal: options.signal })
    for (const round of rounds) await round()
    for (const following of followed.values()) await following.settle()
    for (const file of files) await file.sync()
    // what is left of patches that could not be had, or were left alone
    for (const { entry } of plans) for (const patch of entry.bin.patches ?? []) await endPatch(parts, patch.cid)
  } catch (error) {
    for (const following of followed.values()) await following.close()
    throw translated(error, `writing into ${parts}`)
  } finally {
    for (const file of files) await file.close()
  }
  return copies(options, tally, followed)
}

type ChunkWork = {
  readonly plan: ChunksPlan
  readonly file: FileHandle
  readonly options: AssembleOptions
  readonly tally: Tally
  readonly following: Following
}

/** As many jobs as there are connections: each takes one range after the other. */
function fetchRuns(work: ChunkWork): readonly Job[] {
  // a queue that all of them take from
  const runs = work.plan.runs.values()
  const job: Job = async (signal) => {
    for (const run of runs) {
      signal.throwIfAborted()
      await fetchRun({ ...work, run })(signal)
    }
  }
  return Array.from({ length: Math.min(connections, work.plan.runs.length) }, () => job)
}

/** Work that is done one after the other, whatever else goes on. */
function inTurn(): <Value>(work: () => Promise<Value>) => Promise<Value> {
  let last: Promise<unknown> = Promise.resolve()
  return (work) => {
    const next = last.then(work)
    last = next.catch(() => undefined)
    return next
  }
}

type PatchedWork = ChunkWork & { readonly patch: PatchPlan; readonly turn: ReturnType<typeof inTurn> }

/** A patch takes all threads of the machine: one at a time, while others are fetched. */
function applyJob({ plan, patch, file, options, tally, following, turn }: PatchedWork): Job {
  return async (signal) => {
    await applyPatch({
      patch,
      sources: plan.sources,
      file,
      parts: options.parts,
      mirrors: options.mirrors,
      onFetch: (bytes) => tally.fetchPatch(bytes),
      onChunk(bytes) {
        tally.reuse(bytes)
        following.wrote(bytes)
      },
      warn: (why) => options.report({ type: 'warning', text: `patch of ${plan.entry.path}: ${why}; chunks are fetched in its place` }),
      turn,
      signal,
    })
  }
}

function fetchRun({ plan, file, run, options, tally, following }: ChunkWork & { readonly run: Run }): Job {
  return async (signal) => {
    const { sources, entry } = plan
    const { index } = sources
    const write = (bytes: Uint8Array, at: number) => writeAll(file, bytes, at)
    const onWrite = (bytes: number) => {
      tally.fetch(bytes)
      following.wrote(bytes)
    }
    const sink = new ChunkSink({ write, sources, run, onWrite })
    try {
      await options.mirrors.fetch(entry.bin.cid, { size: index.size, end: index.offset(run.last) + index.length(run.last), signal }, sink)
    } finally {
      await sink.close()
    }
  }
}

/** Repeated chunks from their first copy, and whatever a seed turned out not to have. */
async function finishChunks(work: ChunkWork): Promise<void> {
  const { plan, file, options, tally } = work
  const { sources } = plan
  const { index } = sources
  const more = rangesOf(sources, options.mirrors.link)
  await pool(
    more.map((run) => fetchRun({ ...work, run })),
    { workers: connections, signal: options.signal },
  )
  const buffer = Buffer.allocUnsafeSlow(pieceBytes)
  for (let chunk = 0; chunk < index.count; chunk++) {
    if (sources.isInPlace(chunk)) continue
    const twin = sources.twin(chunk)
    if (twin === undefined)
      throw new PsyblobError('corrupt', `chunk ${chunk} of ${plan.entry.bin.cid} was neither found nor fetched`, {
        hint: 'run the same command again',
      })
    const bytes = buffer.subarray(0, index.length(chunk))
    await readFull(file, bytes, index.offset(twin))
    await writeAll(file, bytes, index.offset(chunk))
    sources.setInPlace(chunk)
    tally.reuse(bytes.length)
  }
}

async function fetchWhole({
  plan,
  file,
  options,
  tally,
  signal,
}: {
  readonly plan: WholePlan
  readonly file: FileHandle
  readonly options: AssembleOptions
  readonly tally: Tally
  readonly signal: AbortSignal
}): Promise<void> {
  const { cid, size } = plan.entry.bin
  const sink = new BlobSink({ file, cid, size, onWrite: (bytes) => tally.fetch(bytes) })
  const left = Buffer.allocUnsafeSlow(pieceBytes)
  for (let at = 0; at < plan.resume; at += left.length) {
    const part = left.subarray(0, Math.min(left.length, plan.resume - at))
    await readFull(file, part, at)
    sink.resume(part)
  }
  if (size === 0 || sink.finishResumed()) return
  await options.mirrors.fetch(cid, { size, end: size, signal }, sink)
  await file.truncate(size)
}

/** The copies, last: what they are made from may have been assembled just now. */
async function copies(
  { plans, parts, signal }: AssembleOptions,
  tally: Tally,
  followed: ReadonlyMap<CID, Following>,
): Promise<readonly Assembled[]> {
  const done: Assembled[] = []
  const used = new Set<CID>()
  const complete = new Map<CID, string>()
  for (const plan of plans)
    if (plan.how === 'chunks' || plan.how === 'whole') complete.set(plan.entry.bin.cid, partPath(parts, plan.entry.bin.cid))
  for (const [at, plan] of plans.entries()) {
    const { cid } = plan.entry.bin
    if (plan.how === 'keep') done.push({ plan, part: undefined, following: undefined })
    else if (plan.how === 'copy') {
      const from = plan.from ?? complete.get(cid) ?? done.find((other) => other.plan.entry.bin.cid === cid)?.part
      if (from === undefined) throw new Error(`nothing holds ${cid}`)
      const part = used.has(cid) || complete.has(cid) ? join(parts, `${cid}.${at}.part`) : partPath(parts, cid)
      signal?.throwIfAborted()
      await copyBlob(from, part)
      tally.reuse(plan.entry.bin.size)
      done.push({ plan, part, following: undefined })
    } else done.push({ plan, part: partPath(parts, cid), following: followed.get(cid) })
    used.add(cid)
  }
  await flushFolder(parts)
  return done
}
