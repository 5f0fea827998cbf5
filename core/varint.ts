// Whole numbers in as few bytes as they need: seven bits a byte, the lowest first (LEB128); negative ones folded between the others.
import { PsyblobError } from './errors.ts'

const most = 2 ** 53
const low = 128

/** Writes numbers one after the other. */
export class VarintWriter {
  #bytes = new Uint8Array(4096)
  #at = 0

  /** 0 to 2^53-1. */
  put(value: number): void {
    if (this.#at + 8 > this.#bytes.length) this.#grow(8)
    let left = value
    for (; left >= low; left = Math.floor(left / low)) this.#bytes[this.#at++] = (left % low) + low
    this.#bytes[this.#at++] = left
  }

  /** Any sign, up to 2^52. */
  putSigned(value: number): void {
    this.put(value < 0 ? -2 * value - 1 : 2 * value)
  }

  putBytes(bytes: Uint8Array): void {
    if (this.#at + bytes.length > this.#bytes.length) this.#grow(bytes.length)
    this.#bytes.set(bytes, this.#at)
    this.#at += bytes.length
  }

  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#at)
  }

  #grow(by: number): void {
    const larger = new Uint8Array(2 * (this.#bytes.length + by))
    larger.set(this.#bytes.subarray(0, this.#at))
    this.#bytes = larger
  }
}

/** Reads them. What does not end, or is too large, is `malformed`; `what` names it then. */
export class VarintReader {
  readonly #bytes: Uint8Array
  readonly #what: string
  #at = 0

  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes
    this.#what = what
  }

  get isDone(): boolean {
    return this.#at === this.#bytes.length
  }

  next(): number {
    let value = 0
    for (let scale = 1; scale < most; scale *= low) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined) throw this.refused('it ends too early')
      value += (byte & 127) * scale
      if (byte < low) {
        if (value >= most) break
        return value
      }
    }
    throw this.refused('a number that is too large')
  }

  /** Another reader of the same bytes, from here on. */
  fork(): VarintReader {
    const reader = new VarintReader(this.#bytes, this.#what)
    reader.#at = this.#at
    return reader
  }

  signed(): number {
    const value = this.next()
    return value % 2 === 1 ? -(value + 1) / 2 : value / 2
  }

  /** A view of the next bytes. */
  take(length: number): Uint8Array {
    if (length > this.#bytes.length - this.#at) throw this.refused('it ends too early')
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }

  refused(why: string): PsyblobError {
    return new PsyblobError('malformed', `${this.#what}: ${why}`)
  }
}
