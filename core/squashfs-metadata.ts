// Metadata of a squashfs image: blocks of at most 8 KiB, each compressed by itself, read and decompressed one after the other.
import { PsyblobError } from './errors.ts'

/** Undoes the compression of one metadata block. Answers at most 8 KiB; may throw whatever it likes. */
export type Decompress = (bytes: Uint8Array) => Uint8Array

/** An image, as its reader needs it. */
export interface ImageReader {
  /** Bytes from `at` on, as many as asked for unless the image ends before. Valid until the next call. */
  read(at: number, length: number): Promise<Uint8Array>
}

export const metadataBytes = 8192
/** Of the two bytes before a metadata block: it lies there as it is. */
export const metadataRawBit = 0x8000
/** Read at once: a metadata block is mostly 2 to 3 KiB long. */
const windowBytes = 64 * 1024

/** Says that the image is not what it claims to be. Never leaves core/squashfs.ts. */
export function damaged(why: string): PsyblobError {
  return new PsyblobError('malformed', `not a squashfs image to rely on: ${why}`)
}

/** Fields of exactly `length` bytes at `at`; throws `malformed` when the image ends before. */
export async function readFields(image: ImageReader, at: number, length: number): Promise<DataView> {
  const bytes = await image.read(at, length)
  if (bytes.length !== length) throw damaged(`it ends within ${length} bytes at ${at}`)
  return new DataView(bytes.buffer, bytes.byteOffset, length)
}

/** A 64-bit number, little-endian. Above 2^53 it is inexact, and too large for any offset that passes. */
export function bigField(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * 2 ** 32 + view.getUint32(at, true)
}

/**
 * The metadata between two offsets of an image as one stream of bytes, of which a window is in memory. All of it throws `malformed` for
 * blocks that are not as they should be, and for more than `most` bytes: a few bytes of compressed zeros stand for 8 KiB.
 */
export class MetadataStream {
  readonly #image: ImageReader
  readonly #decompress: Decompress
  readonly #end: number
  #most: number
  /** Where the next block begins in the image, and the part of the image that was read last. */
  #next: number
  #read: Uint8Array = new Uint8Array(0)
  #readAt = 0
  #bytes = new Uint8Array(2 * metadataBytes)
  #from = 0
  #to = 0
  view = new DataView(this.#bytes.buffer)

  constructor(
    image: ImageReader,
    options: { readonly from: number; readonly to: number; readonly decompress: Decompress; readonly most: number },
  ) {
    this.#image = image
    this.#next = options.from
    this.#end = options.to
    this.#decompress = options.decompress
    this.#most = options.most
  }

  /** Bytes that can be taken without reading. */
  get left(): number {
    return this.#to - this.#from
  }

  /** Where the block that comes after those that were read begins in the image. */
  get next(): number {
    return this.#next
  }

  /** Makes `count` bytes ready, at most 8 KiB; false when the stream has ended with less. */
  async fill(count: number): Promise<boolean> {
    while (this.left < count) {
      if (this.#next >= this.#end) return false
      await this.#load()
    }
    return true
  }

  /** Where in `view` the next `count` bytes are. They must be ready. */
  take(count: number): number {
    const at = this.#from
    this.#from += count
    return at
  }

  /** Takes `count` bytes that nobody wants. */
  async skip(count: number): Promise<void> {
    for (let left = count; left > 0; ) {
      if (!(await this.fill(1))) throw damaged('its metadata ends too early')
      const part = Math.min(left, this.left)
      this.take(part)
      left -= part
    }
  }

  async #load(): Promise<void> {
    const header = (await this.#stored(2)).getUint16(0, true)
    const length = header & ~metadataRawBit
    if (length === 0 || length > metadataBytes) throw damaged(`a metadata block of ${length} bytes`)
    const view = await this.#stored(length)
    const stored = new Uint8Array(view.buffer, view.byteOffset, length)
    const block = header & metadataRawBit ? stored : this.#decompressed(stored)
    if (block.length === 0 || block.length > metadataBytes) throw damaged(`a metadata block of ${block.length} bytes decompressed`)
    this.#most -= block.length
    if (this.#most < 0) throw damaged('more metadata than an image has')
    this.#bytes.copyWithin(0, this.#from, this.#to)
    this.#to -= this.#from
    this.#from = 0
    this.#bytes.set(block, this.#to)
    this.#to += block.length
  }

  #decompressed(stored: Uint8Array): Uint8Array {
    try {
      return this.#decompress(stored)
    } catch {
      // whatever a codec says of its input: the image is damaged
      throw damaged('a metadata block that cannot be decompressed')
    }
  }

  /** The next `count` bytes as stored. */
  async #stored(count: number): Promise<DataView> {
    if (this.#next + count > this.#end) throw damaged('its metadata reaches beyond its table')
    let at = this.#next - this.#readAt
    if (at + count > this.#read.length) {
      this.#readAt = this.#next
      this.#read = await this.#image.read(this.#next, Math.min(windowBytes, this.#end - this.#next))
      at = 0
      if (this.#read.length < count) throw damaged('it ends within its metadata')
    }
    this.#next += count
    return new DataView(this.#read.buffer, this.#read.byteOffset + at, count)
  }
}
