// The range coder under LZMA: bits out of bytes, each with the chance that it had so far.
import { PsyblobError } from './errors.ts'

const topBit = 2 ** 24
/** As likely as not, of 2048. */
export const fresh = 1024

export const probabilities = (count: number): Uint16Array<ArrayBuffer> => new Uint16Array(count).fill(fresh)

/** What every refusal of compressed bytes is. */
export function malformed(why: string): PsyblobError {
  return new PsyblobError('malformed', `compressed bytes: ${why}`)
}

/** Reads plain bytes and coded bits of one input. Each method throws `malformed` when there are none left. */
export class RangeDecoder {
  readonly #input: Uint8Array
  #in: number
  /** Where the coded bytes end. */
  #end = 0
  #range = 0
  #code = 0

  constructor(input: Uint8Array, start: number) {
    this.#input = input
    this.#in = start
  }

  /** Where the reading goes on. */
  get position(): number {
    return this.#in
  }

  byte(): number {
    const byte = this.#input[this.#in++]
    if (byte === undefined) throw malformed('it ends too early')
    return byte
  }

  short(): number {
    return (this.byte() << 8) + this.byte()
  }

  /** Bytes that are not coded. */
  plain(size: number): Uint8Array {
    if (this.#in + size > this.#input.length) throw malformed('it ends too early')
    this.#in += size
    return this.#input.subarray(this.#in - size, this.#in)
  }

  /** The next `packed` bytes are coded. */
  begin(packed: number): void {
    this.#end = this.#in + packed
    if (this.#end > this.#input.length) throw malformed('it ends too early')
    if (packed < 5 || this.byte() !== 0) throw malformed('a chunk that does not begin as it must')
    this.#range = 0xffffffff
    this.#code = ((this.short() << 16) | this.short()) >>> 0
  }

  /** They must all be read now, with nothing left in them. */
  finish(): void {
    if (this.#in !== this.#end || this.#code !== 0) throw malformed('a chunk that does not end where it should')
  }

  bit(probs: Uint16Array, at: number): 0 | 1 {
    const chance = probs[at] as number
    const bound = (this.#range >>> 11) * chance
    let bit: 0 | 1 = 0
    if (this.#code < bound) {
      this.#range = bound
      probs[at] = chance + ((2048 - chance) >> 5)
    } else {
      this.#range -= bound
      this.#code -= bound
      probs[at] = chance - (chance >> 5)
      bit = 1
    }
    if (this.#range < topBit) this.#normalize()
    return bit
  }

  /** A bit that is as likely as not. */
  direct(): 0 | 1 {
    this.#range = this.#range >>> 1
    const bit = this.#code >= this.#range ? 1 : 0
    if (bit === 1) this.#code -= this.#range
    if (this.#range < topBit) this.#normalize()
    return bit
  }

  /** So many bits, the highest first. */
  tree(probs: Uint16Array, base: number, bits: number): number {
    let symbol = 1
    for (let bit = 0; bit < bits; bit++) symbol = (symbol << 1) | this.bit(probs, base + symbol)
    return symbol - (1 << bits)
  }

  /** The lowest first. */
  reverse(probs: Uint16Array, base: number, bits: number): number {
    let symbol = 1
    let value = 0
    for (let bit = 0; bit < bits; bit++) {
      const got = this.bit(probs, base + symbol)
      symbol = (symbol << 1) | got
      value |= got << bit
    }
    return value
  }

  #normalize(): void {
    if (this.#in >= this.#end) throw malformed('a chunk that needs more bytes than it has')
    this.#range = (this.#range << 8) >>> 0
    this.#code = ((this.#code << 8) | (this.#input[this.#in++] as number)) >>> 0
  }
}
