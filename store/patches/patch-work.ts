// What is wanted of a patch, and what has come of it: groups that are done, chunks that are judged by the index.
import type { FileHandle } from 'node:fs/promises'
import { limits, type PatchGroup } from '../../core/mod.ts'
import { blake3 } from '../blake3.ts'
import { borrow, giveBack } from '../buffers.ts'
import { readFull, writeAll } from '../files.ts'
import { type ChunkSources, sameBytes } from '../seeds.ts'
import { Garbage } from './garbage.ts'
import type { Answer } from './job.ts'

/** From a byte of the new blob up to another. */
export type Stretch = readonly [from: number, to: number]

export type WorkOptions = {
  readonly sources: ChunkSources
  /** The unfinished file. */
  readonly file: FileHandle
  /** Bytes of a chunk that came to its place. */
  readonly onChunk: (bytes: number) => void
}

export class PatchWork {
  /** Those that have something that is missing. */
  readonly groups: readonly PatchGroup[]
  readonly #options: WorkOptions
  /** Ascending, as are the groups. */
  readonly #wanted: readonly Stretch[]
  readonly #all: readonly PatchGroup[]
  readonly #done: Uint8Array
  readonly #garbage = new Garbage()

  constructor(options: WorkOptions, groups: readonly PatchGroup[]) {
    this.#options = options
    this.#wanted = missingStretches(options.sources)
    this.#all = groups
    this.#done = new Uint8Array(groups.length)
    this.groups = groups.filter((group) => this.wantedOf(group).length > 0)
  }

  /** Stretches of the new blob that are missing and that the group has. */
  wantedOf({ at, length }: PatchGroup): readonly Stretch[] {
    const found: Stretch[] = []
    for (let next = firstBehind(this.#wanted, at, ([, to]) => to); next < this.#wanted.length; next++) {
      const [from, to] = this.#wanted[next] as Stretch
      if (from >= at + length) break
      found.push([Math.max(from, at), Math.min(to, at + length)])
    }
    return found
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
    this.#done[this.#groupAt(group.at)] = 1
    let wrong = 0
    for (const [from, to] of this.wantedOf(group)) wrong += await this.#settle(from, to)
    return wrong === 0 ? undefined : `${wrong} chunks came out otherwise: the old image or an encoder is not what it should be`
  }

  /** Judges what was not whole before. */
  async settleAll(): Promise<void> {
    for (const [from, to] of this.#wanted) await this.#settle(from, to)
  }

  /** Bytes that are still missing. */
  get missing(): number {
    return missingStretches(this.#options.sources).reduce((sum, [from, to]) => sum + to - from, 0)
  }

  /** Judges the chunks of a stretch of which all bytes were made. Answers how many are wrong. */
  async #settle(from: number, to: number): Promise<number> {
    const { sources, file, onChunk } = this.#options
    const { index } = sources
    let wrong = 0
    for (let chunk = index.at(from); chunk < index.count && index.offset(chunk) < to; chunk++) {
      const [at, length] = [index.offset(chunk), index.length(chunk)]
      if (!sources.isMissing(chunk) || !this.#isMade(at, at + length)) continue
      const buffer = borrow(limits.chunk)
      await readFull(file, buffer.subarray(0, length), at)
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
  #isMade(from: number, to: number): boolean {
    for (let group = this.#groupAt(from); group < this.#all.length && (this.#all[group] as PatchGroup).at < to; group++)
      if (this.#done[group] === 0) return false
    return true
  }

  #groupAt(offset: number): number {
    return firstBehind(this.#all, offset, ({ at, length }) => at + length)
  }
}

/** The first of an ascending list that ends behind `offset`. */
function firstBehind<Item>(list: readonly Item[], offset: number, endOf: (item: Item) => number): number {
  let [low, high] = [0, list.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (endOf(list[middle] as Item) > offset) high = middle
    else low = middle + 1
  }
  return low
}

/** Ascending; neighbours are one. */
function missingStretches(sources: ChunkSources): readonly Stretch[] {
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
