// Applies a patch to the unfinished file of a blob: fetched and verified whole, then group by group in threads, each chunk judged by the index.
import { type FileHandle, open, rm } from 'node:fs/promises'
import {
  type ChunkIndex,
  isPsyblobError,
  limits,
  type Patch,
  type PatchGroup,
  parsePatch,
  parsePatchHead,
  patchHeadBytes,
  patchTableBytes,
} from '../../core/mod.ts'
import { blake3 } from '../blake3.ts'
import { borrow, giveBack } from '../buffers.ts'
import { hasCode, readFull, translated, writeAll } from '../files.ts'
import type { Mirrors } from '../mirrors.ts'
import { pool } from '../pool.ts'
import { type ChunkSources, sameBytes } from '../seeds.ts'
import { BlobSink } from '../sinks.ts'
import { Garbage } from './garbage.ts'
import type { Answer } from './job.ts'
import type { PatchPlan } from './offer.ts'
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

/** Does what it can: what is not in place afterwards is fetched as chunks. Throws only when it is interrupted. */
export async function applyPatch(options: ApplyPatchOptions): Promise<void> {
  const { part, signal, warn } = options
  try {
    await fetchPatch(options)
    await options.turn(() => applyFile(options))
  } catch (error) {
    signal.throwIfAborted()
    if (!isPsyblobError(error) && !hasCode(error, 'ENOSPC', 'EIO', 'ENOENT', 'EDQUOT')) throw error
    warn(error instanceof Error ? error.message : 'unknown')
  }
  // after a cut it is of use once more; now it is not
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
  const work = new Work(options, parsed)
  if (work.groups.length === 0) return
  const setting = { old: { path: patch.old, size: parsed.old.size }, packing: parsed.packing, codecs: parsed.codecs, patch: part }
  const most = work.groups.reduce((sum, { made }) => Math.max(sum, made), 0)
  const threads = new Threads(setting, most > largeGroup ? 1 : undefined)
  const failures: string[] = []
  try {
    await pool(
      work.groups.map((group) => async (stop: AbortSignal) => {
        if (failures.length >= patience) return
        const ended = () => void threads.end()
        stop.addEventListener('abort', ended, { once: true })
        try {
          let why: string | undefined
          for (const wanted of inParts(work.wantedOf(group))) {
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
  const missing = missingBytes(sources)
  if (failures.length > 0) warn(`${failures.length} of its ${work.groups.length} parts failed: ${failures[0]}`)
  else if (missing > 0) warn(`${missing} bytes did not come out as they should`)
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

function missingBytes(sources: ChunkSources): number {
  let bytes = 0
  for (let chunk = 0; chunk < sources.index.count; chunk++) if (sources.isMissing(chunk)) bytes += sources.index.length(chunk)
  return bytes
}

/** What is wanted of the patch, and what has come of it. */
class Work {
  /** Those that have something that is missing. */
  readonly groups: readonly PatchGroup[]
  readonly #options: ApplyPatchOptions
  readonly #wanted: readonly (readonly [number, number])[]
  readonly #done: PatchGroup[] = []
  readonly #garbage = new Garbage()

  constructor(options: ApplyPatchOptions, patch: Patch) {
    this.#options = options
    this.#wanted = missingStretches(options.sources)
    this.groups = patch.groups.filter((group) => this.wantedOf(group).length > 0)
  }

  /** Stretches of the new blob that are missing and that the group has. */
  wantedOf({ at, length }: PatchGroup): readonly (readonly [number, number])[] {
    return this.#wanted.flatMap(([from, to]) => {
      const [low, high] = [Math.max(from, at), Math.min(to, at + length)]
      return low < high ? [[low, high] as const] : []
    })
  }

  /** Puts what a group made to its place. Answers why, when something is wrong. */
  async take(answer: Answer): Promise<string | undefined> {
    if (answer.did !== 'apply') return answer.did === 'fail' ? answer.why : 'another answer'
    // bytes that are wrong are overwritten by the fetch that follows: their chunks count as missing
    for (const { at, bytes } of answer.bytes) {
      await writeAll(this.#options.file, bytes, at)
      this.#garbage.made(bytes.length)
    }
    return undefined
  }

  /** All of a group was made: judges the chunks that are whole by then. Answers why, when something is wrong. */
  async finish(group: PatchGroup): Promise<string | undefined> {
    this.#done.push(group)
    let wrong = 0
    for (const [from, to] of this.wantedOf(group)) wrong += await this.#settle(from, to)
    return wrong === 0 ? undefined : `${wrong} chunks came out otherwise: the old image or an encoder is not what it should be`
  }

  /** Judges what was not whole before. */
  async settleAll(): Promise<void> {
    for (const [from, to] of this.#wanted) await this.#settle(from, to)
  }

  /** Judges the chunks of a stretch of which all bytes were made. Answers how many are wrong. */
  async #settle(from: number, to: number): Promise<number> {
    const { sources, file, onChunk } = this.#options
    const { index } = sources
    let wrong = 0
    for (let chunk = index.at(from); chunk < index.count && index.offset(chunk) < to; chunk++) {
      if (!sources.isMissing(chunk) || !this.#isWhole(index, chunk)) continue
      const length = index.length(chunk)
      const buffer = borrow(limits.chunk)
      await readFull(file, buffer.subarray(0, length), index.offset(chunk))
      const isRight = sameBytes(blake3().digest(buffer.subarray(0, length)), index.digest(chunk))
      giveBack(buffer)
      if (!isRight) wrong++
      else if (!sources.isInPlace(chunk)) {
        sources.setInPlace(chunk)
        onChunk(length)
      }
    }
    return wrong
  }

  /** The groups that it lies in are done. */
  #isWhole(index: ChunkIndex, chunk: number): boolean {
    const [from, to] = [index.offset(chunk), index.offset(chunk) + index.length(chunk)]
    let covered = 0
    for (const { at, length } of this.#done) covered += Math.max(0, Math.min(to, at + length) - Math.max(from, at))
    return covered === to - from
  }
}

/** Lists of at most `atOnce` bytes each: what a group copies may be nearly all of the blob, and is made in memory. */
function inParts(stretches: readonly (readonly [number, number])[]): readonly (readonly (readonly [number, number])[])[] {
  const parts: (readonly [number, number])[][] = []
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

/** Ascending; neighbours are one. */
function missingStretches(sources: ChunkSources): readonly (readonly [number, number])[] {
  const { index } = sources
  const stretches: [number, number][] = []
  for (let chunk = 0; chunk < index.count; chunk++) {
    if (!sources.isMissing(chunk)) continue
    const [from, to] = [index.offset(chunk), index.offset(chunk) + index.length(chunk)]
    const last = stretches.at(-1)
    if (last?.[1] === from) last[1] = to
    else stretches.push([from, to])
  }
  return stretches
}
