// Applies a patch to the unfinished file of a blob: fetched and verified whole, then group by group in threads, each chunk judged by the index.
import { type FileHandle, open } from 'node:fs/promises'
import {
  isPsyblobError,
  type Patch,
  type PatchGroup,
  PsyblobError,
  parsePatch,
  parsePatchHead,
  patchHeadBytes,
  patchTableBytes,
} from '../../core/mod.ts'
import { readFull, translated } from '../files.ts'
import type { Mirrors } from '../mirrors.ts'
import { pool } from '../pool.ts'
import type { ChunkSources } from '../seeds.ts'
import { BlobSink } from '../sinks.ts'
import { isAlone } from './alone.ts'
import type { Setting } from './job.ts'
import type { PatchPlan } from './offer.ts'
import { beginPatch, endPatch, patchPart, pausePatch } from './patch-part.ts'
import { PatchWork, type Stretch } from './patch-work.ts'
import { Threads } from './threads.ts'

export type ApplyPatchOptions = {
  readonly patch: PatchPlan
  readonly sources: ChunkSources
  /** The unfinished file. */
  readonly file: FileHandle
  /** Where unfinished files lie. */
  readonly parts: string
  readonly mirrors: Mirrors
  readonly onFetch: (bytes: number) => void
  /** Bytes of a chunk that came to its place. */
  readonly onChunk: (bytes: number) => void
  /** Hears, once, why the patch was left or did not do all. */
  readonly warn: (why: string) => void
  /** One patch at a time: waits for those before it. */
  readonly turn: <Value>(work: () => Promise<Value>) => Promise<Value>
  readonly signal: AbortSignal
}

/** Groups that may fail before the rest is not tried any more. */
const patience = 3
/** Bytes that a thread makes before they are written. */
const atOnce = 16 * 1024 * 1024

/** Seconds that a patch may take when less were reckoned, and how many times what was reckoned. */
const leastTime = 300
const mostTimes = 4
/** Timers go no farther: 24 days, in milliseconds. */
const farthest = 2 ** 31 - 1

/** Does what it can: what is not in place afterwards is fetched as chunks. Throws only when it is interrupted. */
export async function applyPatch(options: ApplyPatchOptions): Promise<void> {
  const { patch, parts, signal, warn } = options
  try {
    await fetchPatch(options)
    await options.turn(async () => {
      await beginPatch(parts, patch.cid)
      await applyFile(options)
    })
  } catch (error) {
    // whatever it is, the chunks do the work
    if (signal.aborted) await pausePatch(parts, patch.cid)
    signal.throwIfAborted()
    warn(error instanceof Error ? error.message : 'unknown')
    // what came before the line went is of use to the next run
    if (isPsyblobError(error, 'unavailable')) return
  }
  await endPatch(parts, patch.cid)
}

async function fetchPatch({ patch, parts, mirrors, onFetch, signal }: ApplyPatchOptions): Promise<void> {
  const { cid, size } = patch
  const part = patchPart(parts, cid)
  const made = await open(part, 'a')
  await made.close()
  const file = await open(part, 'r+')
  try {
    const sink = new BlobSink({ file, cid, size, onWrite: onFetch })
    const left = Math.min((await file.stat()).size, size)
    const buffer = Buffer.allocUnsafeSlow(256 * 1024)
    for (let at = 0; at < left; at += buffer.length) {
      const piece = buffer.subarray(0, Math.min(buffer.length, left - at))
      await readFull(file, piece, at)
      sink.resume(piece)
    }
    if (!sink.finishResumed()) await mirrors.fetch(cid, { size, end: size, signal, isSpare: true }, sink)
    await file.truncate(size)
  } catch (error) {
    throw translated(error, `fetching patch ${cid}`)
  } finally {
    await file.close()
  }
}

async function applyFile(options: ApplyPatchOptions): Promise<void> {
  const { patch, parts, sources, warn, signal } = options
  const part = patchPart(parts, patch.cid)
  const parsed = await readPatch(part, patch.size)
  if (parsed.old.cid !== patch.from || parsed.next.size !== sources.index.size)
    throw new PsyblobError('malformed', 'it is a patch of other blobs')
  const work = new PatchWork(options, parsed.groups)
  const setting = { old: { path: patch.old, size: parsed.old.size }, packing: parsed.packing, codecs: parsed.codecs, patch: part }
  const late = AbortSignal.timeout(Math.min(farthest, Math.ceil(1000 * Math.max(leastTime, mostTimes * patch.seconds))))
  const failures: string[] = []
  const alone = (group: PatchGroup) => isAlone(group, parsed.codecs)
  const shared = work.groups.filter((group) => !alone(group))
  await applyGroups(shared, { work, setting, count: undefined, late, failures, signal })
  await applyGroups(work.groups.filter(alone), { work, setting, count: 1, late, failures, signal })
  // chunks that two groups share
  await work.settleAll()
  if (failures.length > 0) warn(`${failures.length} of its ${work.groups.length} parts failed: ${failures[0]}`)
  else if (work.missing > 0) warn(`${work.missing} bytes did not come out as they should`)
}

type GroupsOptions = {
  readonly work: PatchWork
  readonly setting: Setting
  /** Of threads; undefined: as many as there are. */
  readonly count: number | undefined
  /** Then whatever is not made yet is left. */
  readonly late: AbortSignal
  /** Why groups failed. */
  readonly failures: string[]
  readonly signal: AbortSignal
}

async function applyGroups(groups: readonly PatchGroup[], options: GroupsOptions): Promise<void> {
  const { work, setting, count, late, failures, signal } = options
  if (groups.length === 0) return
  const threads = new Threads(setting, count)
  const end = () => void threads.end()
  late.addEventListener('abort', end, { once: true })
  const made = async (group: PatchGroup, stop: AbortSignal): Promise<string | undefined> => {
    for (const wanted of inParts(work.wantedOf(group))) {
      const answer = late.aborted ? undefined : await threads.run({ do: 'apply', group, wanted })
      stop.throwIfAborted()
      if (answer === undefined || late.aborted) return 'it takes too long on this machine'
      const why = await work.take(answer)
      if (why !== undefined) return why
    }
    return work.finish(group)
  }
  try {
    await pool(
      groups.map((group) => async (stop: AbortSignal) => {
        if (failures.length >= patience) return
        stop.addEventListener('abort', end, { once: true })
        try {
          const why = await made(group, stop)
          if (why !== undefined) failures.push(why)
        } finally {
          stop.removeEventListener('abort', end)
        }
      }),
      { workers: threads.width, signal },
    )
  } finally {
    late.removeEventListener('abort', end)
    await threads.end()
  }
}

async function readPatch(path: string, size: number): Promise<Patch> {
  const file = await open(path, 'r')
  try {
    const fixed = Buffer.allocUnsafeSlow(patchHeadBytes)
    await readFull(file, fixed, 0)
    const head = Buffer.allocUnsafeSlow(Math.min(size, patchTableBytes(parsePatchHead(fixed, 'patch'))))
    await readFull(file, head, 0)
    return parsePatch(head, size, 'patch')
  } finally {
    await file.close()
  }
}

/** Lists of at most `atOnce` bytes each: what a group copies may be nearly all of the blob, and is made in memory. */
function inParts(stretches: readonly Stretch[]): readonly (readonly Stretch[])[] {
  const parts: Stretch[][] = []
  let room = 0
  for (const [from, to] of stretches)
    for (let at = from; at < to; ) {
      if (room === 0) {
        parts.push([])
        room = atOnce
      }
      const end = Math.min(to, at + room)
      parts.at(-1)?.push([at, end])
      room -= end - at
      at = end
    }
  return parts
}
