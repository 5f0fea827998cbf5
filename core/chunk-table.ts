// Finds a chunk of an index by its digest: a hash table of numbers, so that a million chunks cost eight megabytes.
import type { ChunkIndex } from './chunk-index.ts'

function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  for (let at = 0; at < left.length; at++) if (left[at] !== right[at]) return false
  return left.length === right.length
}

/** The first four bytes of a digest as a number: digests are uniform, so this is hash enough. */
function head(digest: Uint8Array): number {
  return ((digest[0] as number) | ((digest[1] as number) << 8) | ((digest[2] as number) << 16) | ((digest[3] as number) << 24)) >>> 0
}

export class ChunkTable {
  readonly #index: ChunkIndex
  /** Open addressing; 0 is empty, else the chunk's number plus one. */
  readonly #slots: Uint32Array
  readonly #mask: number

  constructor(index: ChunkIndex) {
    this.#index = index
    let size = 16
    while (size < index.count * 2) size *= 2
    this.#slots = new Uint32Array(size)
    this.#mask = size - 1
    for (let chunk = 0; chunk < index.count; chunk++) {
      const slot = this.#probe(index.digest(chunk))
      if (this.#slots[slot] === 0) this.#slots[slot] = chunk + 1
    }
  }

  /** The lowest number of a chunk with that digest, or undefined. */
  find(digest: Uint8Array): number | undefined {
    const found = this.#slots[this.#probe(digest)] as number
    return found === 0 ? undefined : found - 1
  }

  #probe(digest: Uint8Array): number {
    let slot = head(digest) & this.#mask
    for (;;) {
      const found = this.#slots[slot] as number
      if (found === 0 || sameBytes(this.#index.digest(found - 1), digest)) return slot
      slot = (slot + 1) & this.#mask
    }
  }
}
