// Carries a plan out: unfinished files in one folder, each complete and checked at the end. The half-written file is its own journal.
import { type FileHandle, open, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type ChunkIndex, type CID, cidOf, PsyblobError, type Report, type Run } from '../core/mod.ts'
import { blake3 } from './blake3.ts'
import { flushFolder, makeFolder, readFull, translated, writeAll } from './files.ts'
import { Following } from './following.ts'
import { fileBytes } from './ingest.ts'
import { connections } from './link.ts'
import type { Mirrors } from './mirrors.ts'
import { costOf, type EntryPlan, partPath, rangesOf } from './plan.ts'
import { pool } from './pool.ts'
import { type ChunkSources, type Seed, sameBytes } from './seeds.ts'
import { BlobSink, ChunkSink } from './sinks.ts'

const pieceBytes = 1024 * 1024
/** Bytes of a seed that are copied at once; no chunk is longer. */
const groupBytes = 2 * 1024 * 1024

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
  const begin: Job[] = []
  const rounds: (() => Promise<void>)[] = []
  try {
    for (const plan of plans) {
      if (plan.how !== 'chunks' && plan.how !== 'whole') continue
      const path = partPath(parts, plan.entry.bin.cid)
      if (plan.how === 'chunks' && plan.adopt !== undefined) await rename(plan.adopt, path)
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
        begin.push((signal) => copyChunks({ plan, file, tally, signal, following }), ...fetchRuns({ plan, file, options, tally }))
        rounds.push(() => finishChunks({ plan, file, options, tally }))
      }
    }
    await pool(begin, { workers: connections, signal: options.signal })
    for (const round of rounds) await round()
    for (const following of followed.values()) await following.settle()
    for (const file of files) await file.sync()
  } catch (error) {
    for (const following of followed.values()) await following.close()
    throw translated(error, `writing into ${parts}`)
  } finally {
    for (const file of files) await file.close()
  }
  return copies(options, tally, followed)
}

/** Counts for the progress bar. */
class Tally {
  readonly #report: Report
  readonly #total: number
  #reused = 0
  #fetched = 0

  constructor(plans: readonly EntryPlan[], report: Report) {
    this.#report = report
    this.#total = plans.reduce((sum, plan) => sum + plan.entry.bin.size, 0)
    for (const plan of plans) this.#reused += plan.how === 'copy' ? 0 : plan.entry.bin.size - costOf(plan).written
    this.tell()
  }

  reuse(bytes: number): void {
    this.#reused += bytes
    this.tell()
  }

  fetch(bytes: number): void {
    this.#fetched += bytes
    this.tell()
  }

  tell(): void {
    const done = Math.min(this.#total, this.#reused + this.#fetched)
    this.#report({ type: 'bytes', done, total: this.#total, fetched: this.#fetched, reused: this.#reused })
  }
}

type ChunkWork = { readonly plan: ChunksPlan; readonly file: FileHandle; readonly options: AssembleOptions; readonly tally: Tally }

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

function fetchRun({ plan, file, run, options, tally }: ChunkWork & { readonly run: Run }): Job {
  return async (signal) => {
    const { sources, entry } = plan
    const { index } = sources
    const write = (bytes: Uint8Array, at: number) => writeAll(file, bytes, at)
    const sink = new ChunkSink({ write, sources, run, onWrite: (bytes) => tally.fetch(bytes) })
    try {
      await options.mirrors.fetch(entry.bin.cid, { size: index.size, end: index.offset(run.last) + index.length(run.last), signal }, sink)
    } finally {
      await sink.close()
    }
  }
}

/** Chunks that follow one another in the new file and in one seed. Offsets and lengths in bytes; `first` and `last` are chunks. */
type Group = { readonly first: number; readonly last: number; readonly seed: Seed; readonly offset: number; readonly length: number }

function* groups(sources: ChunkSources): Generator<Group> {
  const { index } = sources
  for (let chunk = 0; chunk < index.count; ) {
    const found = sources.isInPlace(chunk) ? undefined : sources.where(chunk)
    if (found === undefined) {
      chunk++
      continue
    }
    let length = index.length(chunk)
    let next = chunk + 1
    for (; next < index.count && length + index.length(next) <= groupBytes; next++) {
      const more = sources.isInPlace(next) ? undefined : sources.where(next)
      if (more?.seed !== found.seed || more.offset !== found.offset + length) break
      length += index.length(next)
    }
    yield { first: chunk, last: next - 1, seed: found.seed, offset: found.offset, length }
    chunk = next
  }
}

/** A group on its way: its bytes are being read, or checked and being written. */
type Load = { readonly group: Group; readonly bytes: Uint8Array; readonly got: Promise<number> }

/**
 * Copies what seeds have; one group is read while the one before it is checked and written. A chunk that is not what it was said to be
 * counts as missing from then on.
 */
async function copyChunks({
  plan,
  file,
  tally,
  signal,
  following,
}: Pick<ChunkWork, 'plan' | 'file' | 'tally'> & { readonly signal: AbortSignal; readonly following: Following }): Promise<void> {
  const { sources } = plan
  const opened = new Map<Seed, FileHandle | undefined>()
  const buffers = [0, 1, 2].map(() => Buffer.allocUnsafeSlow(groupBytes))
  let turn = 0
  const load = async (group: Group): Promise<Load> => {
    if (!opened.has(group.seed)) opened.set(group.seed, await open(group.seed.path, 'r').catch(() => undefined))
    const seed = opened.get(group.seed)
    const bytes = (buffers[turn++ % buffers.length] as Buffer).subarray(0, group.length)
    // a seed that is gone or unreadable has nothing
    const got = seed === undefined ? Promise.resolve(0) : readFull(seed, bytes, group.offset).catch(() => 0)
    return { group, bytes, got }
  }
  let writing: Promise<void> = Promise.resolve()
  try {
    const all = groups(sources)
    let next = all.next()
    let ahead = next.done === true ? undefined : await load(next.value)
    while (ahead !== undefined) {
      const { group, bytes, got } = ahead
      signal.throwIfAborted()
      const read = await got
      next = all.next()
      ahead = next.done === true ? undefined : await load(next.value)
      const lost = wrongChunks(sources.index, group, bytes, read)
      // three buffers: one is read into, one is checked, one is written
      await writing
      writing = place(group, bytes, lost)
      // whoever awaits it later sees the failure; until then it is nobody's
      writing.catch(() => undefined)
    }
    await writing
  } finally {
    await writing.catch(() => undefined)
    for (const seed of opened.values()) await seed?.close()
  }

  async function place(group: Group, bytes: Uint8Array, lost: ReadonlySet<number>): Promise<void> {
    // bytes that are not right are overwritten by the fetch that follows, and not before: it learns of them when these are written
    await writeAll(file, bytes, sources.index.offset(group.first))
    for (const chunk of lost) sources.forget(chunk)
    let kept = 0
    for (let chunk = group.first; chunk <= group.last; chunk++) {
      if (lost.has(chunk)) continue
      sources.setInPlace(chunk)
      kept += sources.index.length(chunk)
    }
    tally.reuse(kept)
    following.wrote(bytes.length)
  }
}

/** The chunks of a group that are not what the index says, of which only the first `read` bytes were there. */
function wrongChunks(index: ChunkIndex, { first, last }: Group, bytes: Uint8Array, read: number): ReadonlySet<number> {
  const engine = blake3()
  const wrong = new Set<number>()
  for (let chunk = first; chunk <= last; chunk++) {
    const at = index.offset(chunk) - index.offset(first)
    const end = at + index.length(chunk)
    if (end > read || !sameBytes(engine.digest(bytes.subarray(at, end)), index.digest(chunk))) wrong.add(chunk)
  }
  return wrong
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
      await copyBlob(from, part, cid, (bytes) => tally.reuse(bytes), signal)
      done.push({ plan, part, following: undefined })
    } else done.push({ plan, part: partPath(parts, cid), following: followed.get(cid) })
    used.add(cid)
  }
  await flushFolder(parts)
  return done
}

async function copyBlob(
  from: string,
  to: string,
  cid: CID,
  onBytes: (bytes: number) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  const hasher = blake3().create()
  const file = await open(to, 'w')
  try {
    let at = 0
    for await (const piece of fileBytes(from, { signal })) {
      hasher.update(piece)
      await writeAll(file, piece, at)
      at += piece.length
      onBytes(piece.length)
    }
    await file.sync()
  } catch (error) {
    throw translated(error, `writing ${to}`)
  } finally {
    await file.close()
  }
  const got = cidOf(hasher.digest())
  if (got === cid) return
  await rm(to, { force: true })
  throw new PsyblobError('corrupt', `${from} changed while it was copied: expected ${cid}, got ${got}`, {
    hint: 'run the same command again: it will be fetched instead',
  })
}

/** Removes unfinished files of blobs that are not in `keep`. */
export async function dropParts(parts: string, keep: ReadonlySet<CID>): Promise<void> {
  for (const name of await readdir(parts).catch(() => [])) {
    if (name.endsWith('.part') && !keep.has(name.slice(0, name.indexOf('.')) as CID)) await rm(join(parts, name), { force: true })
  }
}
