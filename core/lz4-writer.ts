// The sequences of an LZ4 block, one after the other, and what no match may do.

/** Bytes of a match, at least. */
export const leastMatch = 4
/** No match begins after the first of the last 12 bytes, none reaches into the last 5, and 12 bytes or fewer have none at all. */
export const tail = 12
export const lastLiterals = 5
/** How far back an offset goes. */
export const reach = 65535

/** Where a match begins, and how far back its bytes are. */
export type Sequence = { readonly at: number; readonly offset: number }

/** Literals up to a match, and that match: a sequence. */
export class Lz4Writer {
  readonly #bytes: Uint8Array
  readonly #out: Uint8Array
  #from = 0
  #to = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#out = new Uint8Array(bytes.length + Math.floor(bytes.length / 255) + 16)
  }

  /** The first `length` bytes of a match, and what has come before it. */
  write({ at, offset }: Sequence, length: number): void {
    const out = this.#out
    const more = length - leastMatch
    this.#literals(at, Math.min(more, 15))
    out[this.#to++] = offset
    out[this.#to++] = offset >> 8
    if (more >= 15) this.#length(more - 15)
    this.#from = at + length
  }

  finish(): Uint8Array {
    this.#literals(this.#bytes.length, 0)
    return this.#out.slice(0, this.#to)
  }

  /** A token and all bytes up to `end`. */
  #literals(end: number, match: number): void {
    const bytes = this.#bytes
    const out = this.#out
    const from = this.#from
    const length = end - from
    out[this.#to++] = (Math.min(length, 15) << 4) | match
    if (length >= 15) this.#length(length - 15)
    const to = this.#to
    if (length > 48) out.set(bytes.subarray(from, end), to)
    else for (let byte = 0; byte < length; byte++) out[to + byte] = bytes[from + byte] as number
    this.#to = to + length
  }

  #length(rest: number): void {
    for (; rest >= 255; rest -= 255) this.#out[this.#to++] = 255
    this.#out[this.#to++] = rest
  }
}
