// Applies a patch to the unfinished file of a blob: fetched and verified whole, then group by group in threads, each chunk judged by the index.
import { type FileHandle, open, rm } from 'node:fs/promises'
import { isPsyblobError, type Patch, PsyblobError, parsePatch, parsePatchHead, patchHeadBytes, patchTableBytes } from '../../core/mod.ts'
import { readFull, translated } from '../files.ts'
import type { Mirrors } from '../mirrors.ts'
import { pool } from '../pool.ts'
import type { ChunkSources } from '../seeds.ts'
import { BlobSink } from '../sinks.ts'
import { isHeavy } from './encoders.ts'
import type { PatchPlan } from './offer.ts'
import { PatchWork, type Stretch } from './patch-work.ts'
import { Threads } from './threads.ts'

export type ApplyPatchOptions = {
  readonly patch: PatchPlan
  readonly sources: ChunkSources
  /** The unfinished file, and the one the patch is fetched into. */
  readonly file: FileHandle
  readonly part: string
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

/** Bytes made for one group: two threads with more, as the blocks of a kernel are, would take too much memory. */
const largeGroup = 6 * 1024 * 1024

/** Groups that may fail before the rest is not tried any more. */
const patience = 3
/** Bytes that a thread makes before they are written. */
const atOnce = 16 * 1024 * 1024

/** Seconds that a patch may take when less were reckoned, and how many times what was reckoned. */
const leastTime = 300
const mostTimes = 4

/** Does what it can: what is not in place afterwards is fetched as chunks. Throws only when it is interrupted. */
export async function applyPatch(options: ApplyPatchOptions): Promise<void> {
  const { part, signal, warn } = options
  try {
    await fetchPatch(options)
    await options.turn(() => applyFile(options))
  } catch (error) {
    // whatever it is, the chunks do the work
    signal.throwIfAborted()
    warn(error instanceof Error ? error.message : 'unknown')
    // what came before the line went is of use to the next run
    if (isPsyblobError(error, 'unavailable')) return
  }
  await rm(part, { force: true })
}

async function fetchPatch({ patch, part, mirrors, onFetch, signal }: ApplyPatchOptions): Promise<void> {
  const { cid, size } = patch
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
  const { patch, part, sources, warn, signal } = options
  const parsed = await readPatch(part, patch.size)
  if (parsed.old.cid !== patch.from || parsed.next.size !== sources.index.size)
    throw new PsyblobError('malformed', 'it is a patch of other blobs')
  const work = new PatchWork(options, parsed.groups)
  if (work.groups.length === 0) return
  const setting = { old: { path: patch.old, size: parsed.old.size }, packing: parsed.packing, codecs: parsed.codecs, patch: part }
  const isLarge = work.groups.some(({ made }) => made > largeGroup) || parsed.codecs.some(isHeavy)
  const threads = new Threads(setting, isLarge ? 1 : undefined)
  const failures: string[] = []
  const end = performance.now() + 1000 * Math.max(leastTime, mostTimes * patch.seconds)
  try {
    await pool(
      work.groups.map((group) => async (stop: AbortSignal) => {
        if (failures.length >= patience) return
        const ended = () => void threads.end()
        stop.addEventListener('abort', ended, { once: true })
        try {
          let why = performance.now() > end ? 'it takes too long on this machine' : undefined
          for (const wanted of why === undefined ? inParts(work.wantedOf(group)) : []) {
            const answer = await threads.run({ do: 'apply', group, wanted })
            stop.throwIfAborted()
            why = await work.take(answer)
            if (why !== undefined) break
          }
          why ??= await work.finish(group)
          if (why !== undefined) failures.push(why)
        } finally {
          stop.removeEventListener('abort', ended)
        }
      }),
      { workers: threads.width, signal },
    )
    // chunks that two groups share
    await work.settleAll()
  } finally {
    await threads.end()
  }
  if (failures.length > 0) warn(`${failures.length} of its ${work.groups.length} parts failed: ${failures[0]}`)
  else if (work.missing > 0) warn(`${work.missing} bytes did not come out as they should`)
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
