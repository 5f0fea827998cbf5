// The chunk index of a blob: the length and digest of each chunk in order, kept as the bytes it is published as (spec/chunk-index.md).
import { digestBytes } from './cid.ts'
import { PsyblobError } from './errors.ts'
import { limits } from './limits.ts'

/** `psyblob index`, 0, format 1, a zero byte: 16 bytes together. */
const magic = Uint8Array.from([0x70, 0x73, 0x79, 0x62, 0x6c, 0x6f, 0x62, 0x20, 0x69, 0x6e, 0x64, 0x65, 0x78, 0, 1, 0])
export const headerBytes = magic.length + 8
export const recordBytes = 4 + digestBytes

/** The size of an index of `count` chunks, in bytes. */
function indexSize(count: number): number {
  return headerBytes + count * recordBytes
}

/** A parsed index. Chunks are numbered from 0; offsets and lengths are bytes in the blob. */
export class ChunkIndex {
  readonly count: number
  /** Size of the blob it describes. */
  readonly size: number
  /** As it is published. */
  readonly bytes: Uint8Array
  readonly #view: DataView
  readonly #offsets: Float64Array

  constructor(bytes: Uint8Array, size: number, offsets: Float64Array) {
    this.bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#offsets = offsets
    this.count = offsets.length
    this.size = size
  }

  offset(chunk: number): number {
    return this.#offsets[chunk] as number
  }

  length(chunk: number): number {
    return this.#view.getUint32(headerBytes + chunk * recordBytes, true)
  }

  /** A view of 32 bytes, not a copy. */
  digest(chunk: number): Uint8Array {
    const at = headerBytes + chunk * recordBytes + 4
    return this.bytes.subarray(at, at + digestBytes)
  }

  /** The chunk that holds the byte at `offset`. */
  at(offset: number): number {
    let low = 0
    let high = this.count - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if (this.offset(middle) <= offset) low = middle
      else high = middle - 1
    }
    return low
  }
}

/** Reads an index of a blob of `size` bytes. Throws `malformed`; `what` names it in the message. */
export function parseChunkIndex(bytes: Uint8Array, size: number, what: string): ChunkIndex {
  const refuse = (why: string): never => {
    throw new PsyblobError('malformed', `${what}: ${why}`, { hint: 'the publisher has to publish this release again' })
  }
  if (bytes.length < headerBytes || magic.some((byte, at) => bytes[at] !== byte)) refuse('not a chunk index of format 1')
  if ((bytes.length - headerBytes) % recordBytes !== 0) refuse(`${bytes.length} bytes are no whole number of records`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const stated = Number(view.getBigUint64(magic.length, true))
  if (stated !== size) refuse(`expected the index of ${size} bytes, got one of ${stated}`)
  const count = (bytes.length - headerBytes) / recordBytes
  const offsets = new Float64Array(count)
  let offset = 0
  for (let chunk = 0; chunk < count; chunk++) {
    const length = view.getUint32(headerBytes + chunk * recordBytes, true)
    if (length === 0 || length > limits.chunk) refuse(`chunk ${chunk} is ${length} bytes long, allowed are 1 to ${limits.chunk}`)
    offsets[chunk] = offset
    offset += length
  }
  if (offset !== size) refuse(`its chunks add up to ${offset} bytes, expected ${size}`)
  return new ChunkIndex(bytes, size, offsets)
}

/** Collects chunks into the bytes of an index. */
export class ChunkIndexBuilder {
  #bytes = new Uint8Array(indexSize(1024))
  #count = 0
  #size = 0

  add(length: number, digest: Uint8Array): void {
    const at = indexSize(this.#count)
    if (at + recordBytes > this.#bytes.length) {
      const larger = new Uint8Array(indexSize(this.#count * 2))
      larger.set(this.#bytes)
      this.#bytes = larger
    }
    new DataView(this.#bytes.buffer).setUint32(at, length, true)
    this.#bytes.set(digest, at + 4)
    this.#count++
    this.#size += length
  }

  /** Adds the chunks of another index from chunk `first` on. */
  append(index: ChunkIndex, first: number): void {
    for (let chunk = first; chunk < index.count; chunk++) this.add(index.length(chunk), index.digest(chunk))
  }

  /** The index as published. */
  finish(): Uint8Array {
    const bytes = this.#bytes.slice(0, indexSize(this.#count))
    bytes.set(magic)
    new DataView(bytes.buffer).setBigUint64(magic.length, BigInt(this.#size), true)
    return bytes
  }
}
