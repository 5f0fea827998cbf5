// LZMA, undone: matches and literals from a range coder. The output is the dictionary, so it costs the bytes that come out and nothing else.
import { fresh, malformed, probabilities, type RangeDecoder } from './range-decoder.ts'

/** Lengths of matches: 2 to 273. */
class Lengths {
  readonly choice = probabilities(2)
  readonly low = probabilities(16 << 3)
  readonly middle = probabilities(16 << 3)
  readonly high = probabilities(256)

  reset(): void {
    for (const part of [this.choice, this.low, this.middle, this.high]) part.fill(fresh)
  }
}

/** Input and output of one stream, and what its decoder has learnt. Each method throws `malformed`. */
export class Lzma {
  readonly #coder: RangeDecoder
  readonly #out: Uint8Array
  #at = 0
  /** Of the output: where the dictionary begins. */
  #from = 0
  #state = 0
  #reps: [number, number, number, number] = [0, 0, 0, 0]
  #lc = 0
  #literalMask = 0
  #positionMask = 0
  #literal = new Uint16Array(0)
  readonly #isMatch = probabilities(12 << 4)
  readonly #isRep = probabilities(12)
  readonly #isRep0 = probabilities(12)
  readonly #isRep1 = probabilities(12)
  readonly #isRep2 = probabilities(12)
  readonly #isRep0Long = probabilities(12 << 4)
  readonly #slots = probabilities(4 << 6)
  readonly #special = probabilities(128)
  readonly #align = probabilities(16)
  readonly #lengths = new Lengths()
  readonly #repLengths = new Lengths()

  /** Writes what `coder` reads to `out`, which nothing gets beyond. */
  constructor(coder: RangeDecoder, out: Uint8Array) {
    this.#coder = coder
    this.#out = out
  }

  /** Bytes written so far. */
  get written(): number {
    return this.#at
  }

  /** A dictionary begins here. */
  begin(): void {
    this.#from = this.#at
  }

  /** Bytes as they are. */
  copy(size: number): void {
    this.#room(size)
    this.#out.set(this.#coder.plain(size), this.#at)
    this.#at += size
  }

  /** `size` bytes out of the next `packed` ones. */
  chunk(size: number, packed: number): void {
    this.#room(size)
    this.#coder.begin(packed)
    this.#decode(this.#at + size)
    this.#coder.finish()
  }

  #decode(end: number): void {
    const out = this.#out
    while (this.#at < end) {
      const at = this.#at
      const position = (at - this.#from) & this.#positionMask
      const state = this.#state
      if (this.#coder.bit(this.#isMatch, (state << 4) + position) === 0) {
        this.#literalByte()
        continue
      }
      let length: number
      if (this.#coder.bit(this.#isRep, state) === 0) {
        const [rep0, rep1, rep2] = this.#reps
        length = this.#length(this.#lengths, position)
        this.#state = state < 7 ? 7 : 10
        this.#reps = [this.#distance(length), rep0, rep1, rep2]
      } else {
        if (at === this.#from) throw malformed('a match before the first byte')
        if (this.#coder.bit(this.#isRep0, state) === 0) {
          if (this.#coder.bit(this.#isRep0Long, (state << 4) + position) === 0) {
            this.#state = state < 7 ? 9 : 11
            this.#check(this.#reps[0])
            out[at] = out[at - this.#reps[0] - 1] as number
            this.#at++
            continue
          }
        } else this.#reps = this.#turned(state)
        length = this.#length(this.#repLengths, position)
        this.#state = state < 7 ? 8 : 11
      }
      const distance = this.#reps[0]
      this.#check(distance)
      if (at + length > end) throw malformed('a match beyond the end of its chunk')
      for (let to = at, from = at - distance - 1; to < at + length; to++, from++) out[to] = out[from] as number
      this.#at = at + length
    }
  }

  #turned(state: number): [number, number, number, number] {
    const [rep0, rep1, rep2, rep3] = this.#reps
    if (this.#coder.bit(this.#isRep1, state) === 0) return [rep1, rep0, rep2, rep3]
    if (this.#coder.bit(this.#isRep2, state) === 0) return [rep2, rep0, rep1, rep3]
    return [rep3, rep0, rep1, rep2]
  }

  #check(distance: number): void {
    if (distance >= this.#at - this.#from) throw malformed('a match before the first byte')
  }

  #literalByte(): void {
    const out = this.#out
    const at = this.#at
    const before = at > this.#from ? (out[at - 1] as number) : 0
    const base = 0x300 * ((((at - this.#from) & this.#literalMask) << this.#lc) + (before >> (8 - this.#lc)))
    const probs = this.#literal
    let symbol = 1
    if (this.#state >= 7) {
      this.#check(this.#reps[0])
      let match = out[at - this.#reps[0] - 1] as number
      while (symbol < 0x100) {
        const bit = (match >> 7) & 1
        match <<= 1
        const got = this.#coder.bit(probs, base + ((1 + bit) << 8) + symbol)
        symbol = (symbol << 1) | got
        if (got !== bit) break
      }
    }
    while (symbol < 0x100) symbol = (symbol << 1) | this.#coder.bit(probs, base + symbol)
    out[at] = symbol
    this.#at++
    const state = this.#state
    this.#state = state < 4 ? 0 : state < 10 ? state - 3 : state - 6
  }

  #length(lengths: Lengths, position: number): number {
    if (this.#coder.bit(lengths.choice, 0) === 0) return 2 + this.#coder.tree(lengths.low, position << 3, 3)
    if (this.#coder.bit(lengths.choice, 1) === 0) return 10 + this.#coder.tree(lengths.middle, position << 3, 3)
    return 18 + this.#coder.tree(lengths.high, 0, 8)
  }

  #distance(length: number): number {
    const slot = this.#coder.tree(this.#slots, Math.min(length - 2, 3) << 6, 6)
    if (slot < 4) return slot
    const bits = (slot >> 1) - 1
    let distance = (2 | (slot & 1)) * 2 ** bits
    if (slot < 14) return distance + this.#coder.reverse(this.#special, distance - slot, bits)
    for (let bit = bits - 1; bit >= 4; bit--) distance += this.#coder.direct() * 2 ** bit
    return distance + this.#coder.reverse(this.#align, 0, 4)
  }

  /** How many bits of what count. */
  properties(byte: number): void {
    const lc = byte % 9
    const lp = Math.floor(byte / 9) % 5
    const pb = Math.floor(byte / 45)
    if (byte >= 225 || lc + lp > 4) throw malformed(`properties ${byte}`)
    this.#lc = lc
    this.#literalMask = (1 << lp) - 1
    this.#positionMask = (1 << pb) - 1
    this.#literal = probabilities(0x300 << (lc + lp))
  }

  /** Forgets what was learnt. */
  reset(): void {
    this.#state = 0
    this.#reps = [0, 0, 0, 0]
    const all = [this.#isMatch, this.#isRep, this.#isRep0, this.#isRep1, this.#isRep2, this.#isRep0Long]
    for (const probs of [...all, this.#slots, this.#special, this.#align, this.#literal]) probs.fill(fresh)
    this.#lengths.reset()
    this.#repLengths.reset()
  }

  #room(size: number): void {
    if (this.#at + size > this.#out.length) throw malformed(`it becomes more than ${this.#out.length} bytes`)
  }
}
