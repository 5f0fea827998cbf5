// Seeds: files on this machine that may hold chunks of a new blob. What they are said to hold is checked when it is used.
import { open } from 'node:fs/promises'
import { type ChunkIndex, ChunkTable, chunks } from '../core/mod.ts'
import { blake3 } from './blake3.ts'
import { cutterFor } from './cutter.ts'
import { readFull } from './files.ts'
import { fileBytes } from './ingest.ts'

export type Seed = {
  readonly path: string
  readonly size: number
  /** The cuts it was published with, when they are known; otherwise it is chunked on the spot. */
  readonly index: ChunkIndex | undefined
}

export function sameBytes(one: Uint8Array, two: Uint8Array): boolean {
  return Buffer.compare(one, two) === 0
}

const absent = -1
const inPlace = -2

/** Where each chunk of a blob is: in place already, in a seed, or nowhere here. */
export class ChunkSources {
  readonly index: ChunkIndex
  readonly seeds: Seed[] = []
  readonly #table: ChunkTable
  /** By chunk: the number of its first equal chunk, so that repeated content counts once. */
  readonly #canonical: Uint32Array
  readonly #seed: Int32Array
  readonly #offset: Float64Array

  constructor(index: ChunkIndex) {
    this.index = index
    this.#table = new ChunkTable(index)
    this.#canonical = new Uint32Array(index.count)
    for (let chunk = 0; chunk < index.count; chunk++) this.#canonical[chunk] = this.#table.find(index.digest(chunk)) as number
    this.#seed = new Int32Array(index.count).fill(absent)
    this.#offset = new Float64Array(index.count)
  }

  /** True when the chunk lies in the new file already. */
  isInPlace(chunk: number): boolean {
    return this.#seed[chunk] === inPlace
  }

  setInPlace(chunk: number): void {
    this.#seed[chunk] = inPlace
  }

  /** True when the bytes have to come from a remote: not in place, in no seed, and no earlier chunk has them. */
  isMissing(chunk: number): boolean {
    const first = this.#canonical[chunk] as number
    return first === chunk && this.#seed[chunk] === absent
  }

  /** The seed and offset of a chunk that is not in place, or undefined. */
  where(chunk: number): { readonly seed: Seed; readonly offset: number } | undefined {
    const first = this.#canonical[chunk] as number
    const seed = this.#seed[chunk] === absent ? (this.#seed[first] as number) : (this.#seed[chunk] as number)
    return seed < 0 ? undefined : { seed: this.seeds[seed] as Seed, offset: this.#offset[first] as number }
  }

  /** The first chunk that has the same bytes; itself when there is none before it. */
  first(chunk: number): number {
    return this.#canonical[chunk] as number
  }

  /** An equal chunk that lies in the new file already, or undefined. */
  twin(chunk: number): number | undefined {
    const first = this.#canonical[chunk] as number
    return first !== chunk && this.isInPlace(first) ? first : undefined
  }

  /** The seed did not have what it had before: the chunk counts as missing from now on. */
  forget(chunk: number): void {
    this.#seed[this.#canonical[chunk] as number] = absent
    if (this.#seed[chunk] !== inPlace) this.#seed[chunk] = absent
  }

  /** True when no remote is needed. */
  isComplete(): boolean {
    for (let chunk = 0; chunk < this.index.count; chunk++) if (this.isMissing(chunk)) return false
    return true
  }

  /** In a file that is new, or has a hole from `from` on, chunks of zeros are there already. */
  assumeZeros(from: number): void {
    for (let chunk = 0; chunk < this.index.count; chunk++) {
      const length = this.index.length(chunk)
      // content that repeats itself is cut at powers of two only, whatever the cutter: no other chunk is worth the look
      if ((length & (length - 1)) !== 0 || this.index.offset(chunk) < from || this.#seed[chunk] !== absent) continue
      if (sameBytes(this.index.digest(chunk), zeroDigest(length))) this.setInPlace(chunk)
    }
  }

  /** Looks for chunks at their own places: in the unfinished file, or in one like it, which is a seed then. */
  async resume(path: string, signal?: AbortSignal, seed?: Seed): Promise<void> {
    const found = seed === undefined ? undefined : this.#finder(seed)
    const engine = blake3()
    // what cannot be opened or read has nothing
    const file = await open(path, 'r').catch(() => undefined)
    if (file === undefined) return
    const window = Buffer.allocUnsafeSlow(4 * 1024 * 1024)
    try {
      for (let chunk = 0; chunk < this.index.count; ) {
        signal?.throwIfAborted()
        const from = this.index.offset(chunk)
        // where the disk fails, one chunk after the other is tried
        const got = await readFull(file, window, from).catch(() =>
          readFull(file, window.subarray(0, this.index.length(chunk)), from).catch(() => -1),
        )
        if (got < 0) {
          chunk++
          continue
        }
        let next = chunk
        for (; next < this.index.count; next++) {
          const at = this.index.offset(next) - from
          const length = this.index.length(next)
          if (at + length > got) break
          if (!sameBytes(engine.digest(window.subarray(at, at + length)), this.index.digest(next))) continue
          if (found === undefined) this.setInPlace(next)
          else found(this.index.digest(next), from + at, length)
        }
        if (next === chunk) break
        chunk = next
      }
    } finally {
      await file.close()
    }
  }

  /** Looks for chunks that are still missing in a seed with an index, without reading a byte of it. */
  lookUp(seed: Seed): void {
    const { index } = seed
    const found = this.#finder(seed)
    for (let chunk = 0; index !== undefined && chunk < index.count; chunk++)
      found(index.digest(chunk), index.offset(chunk), index.length(chunk))
  }

  /** Looks for chunks that are still missing in `seed`: by its index when there is one; else it is read and cut. */
  async scan(seed: Seed, signal?: AbortSignal): Promise<void> {
    if (seed.index !== undefined) return this.lookUp(seed)
    const found = this.#finder(seed)
    const engine = blake3()
    let offset = 0
    for await (const piece of chunks(fileBytes(seed.path, { signal }), { cutter: await cutterFor(seed.path, seed.size) })) {
      found(engine.digest(piece), offset, piece.length)
      offset += piece.length
    }
  }

  #finder(seed: Seed): (digest: Uint8Array, at: number, length: number) => void {
    const number = this.seeds.push(seed) - 1
    return (digest, at, length) => {
      const chunk = this.#table.find(digest)
      if (chunk === undefined || this.#seed[chunk] !== absent || this.index.length(chunk) !== length) return
      this.#seed[chunk] = number
      this.#offset[chunk] = at
    }
  }
}

const zeroDigests = new Map<number, Uint8Array>()

function zeroDigest(length: number): Uint8Array {
  const known = zeroDigests.get(length) ?? blake3().digest(new Uint8Array(length))
  zeroDigests.set(length, known)
  return known
}
