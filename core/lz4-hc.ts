// One LZ4 block as LZ4_compress_HC of liblz4 1.9.4 makes it at levels 3 to 9, bit for bit: what it packed can be kept unpacked, and be made again.
// Every decision here is that library's: which places are looked at, in which order, and which of two matches gives way. Change none of them.
import { PsyblobError } from './errors.ts'
import { Lz4Writer, lastLiterals, leastMatch, reach, type Sequence, tail } from './lz4-writer.ts'

/** The most that a token says of a match without bytes of its own. */
const shortMatch = 18

const hashBits = 15

type Match = Sequence & { readonly length: number }

/** The bytes of one block, at most 0x7e000000, as one: 0.4 % and 16 bytes longer at worst. Throws `unsupported` for a level that is none of 3 to 9. */
export function packLz4Hc(bytes: Uint8Array, level: number): Uint8Array {
  if (!Number.isInteger(level) || level < 3 || level > 9)
    throw new PsyblobError('unsupported', `lz4 hc: expected a level of 3 to 9, got ${level}`)
  const writer = new Lz4Writer(bytes)
  if (bytes.length > tail) parse(bytes, new Finder(bytes, 1 << (level - 1), level === 9), writer)
  return writer.finish()
}

const endOf = (match: Match): number => match.at + match.length

/** The same match without its first `by` bytes. */
const later = (match: Match, by: number): Match => ({ at: match.at + by, length: match.length - by, offset: match.offset })

/**
 * A match is written only when a look from near its end finds none that is longer. So up to three overlap at a time, each longer than the one
 * before and none beginning before it, and what the first of them gets depends on where the others begin.
 */
function parse(bytes: Uint8Array, finder: Finder, writer: Lz4Writer): void {
  const last = bytes.length - tail
  /** From near the end of `match`: a longer one that begins no earlier. */
  const longer = (match: Match, before: number): Match | undefined =>
    endOf(match) <= last ? finder.find(endOf(match) - before, match.at, match.length) : undefined

  let first: Match | undefined
  let second: Match | undefined
  /** What was the first, before a second one that began within three bytes took its place. */
  let saved: Match | undefined
  for (let at = 0; ; ) {
    if (first === undefined) {
      if (at > last) return
      first = finder.find(at, at, leastMatch - 1)
      if (first === undefined) at++
      saved = first
      continue
    }
    if (second === undefined) {
      second = longer(first, 2)
      if (second === undefined) {
        writer.write(first, first.length)
        at = endOf(first)
        first = undefined
        continue
      }
      if (saved !== undefined && saved.at < first.at && second.at < first.at + saved.length) first = saved
      if (second.at - first.at < 3) {
        first = second
        second = undefined
        continue
      }
    }

    // the first may have what costs it nothing, as long as the second stays a match
    const end = Math.min(first.at + Math.min(first.length, shortMatch), endOf(second) - leastMatch)
    if (end > second.at) second = later(second, end - second.at)
    const third = longer(second, 3)
    if (third !== undefined && third.at < endOf(first) + 3) {
      // no room for the second between the two
      if (third.at < endOf(first)) {
        second = third
        continue
      }
      saved = second.at < endOf(first) ? later(second, endOf(first) - second.at) : second
      if (saved.length < leastMatch) saved = third
      writer.write(first, first.length)
      first = third
      second = undefined
      continue
    }
    writer.write(first, Math.min(first.length, second.at - first.at))
    if (third === undefined) {
      writer.write(second, second.length)
      at = endOf(second)
      first = undefined
      second = undefined
    } else {
      first = second
      second = third
    }
  }
}

/** Places by a hash of their four bytes, newest first. */
class Finder {
  readonly #view: DataView
  readonly #end: number
  readonly #tries: number
  readonly #runs: boolean
  /** Of each hash the newest place. */
  readonly #heads = new Int32Array(1 << hashBits).fill(-reach - 1)
  /** Of each of the last 64 KiB places: how far before it the next older one of its hash is, or out of reach. */
  readonly #steps = new Uint16Array(1 << 16)
  #next = 0

  /** Looks at no more than `tries` places each time; with `runs`, leaps over those within a run of one byte. */
  constructor(bytes: Uint8Array, tries: number, runs: boolean) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#end = bytes.length - lastLiterals
    this.#tries = tries
    this.#runs = runs
  }

  /** Of the matches that cover `at`, begin at `low` or later, and are longer than `longest`: the longest, of equals the newest. `at` never decreases. */
  find(at: number, low: number, longest: number): Match | undefined {
    const view = this.#view
    const heads = this.#heads
    const steps = this.#steps
    for (let place = this.#next; place < at; place++) {
      const hash = Math.imul(view.getInt32(place, true), 0x9e3779b1) >>> (32 - hashBits)
      steps[place & 65535] = Math.min(place - (heads[hash] as number), reach)
      heads[hash] = place
    }
    this.#next = at

    const word = view.getInt32(at, true)
    const lowest = Math.max(0, at - reach)
    let place = heads[Math.imul(word, 0x9e3779b1) >>> (32 - hashBits)] as number
    let [start, offset] = [at, 0]
    /** A longer match has these two bytes, this far from its place. */
    let shift = low + longest - 1 - at
    let needed = view.getUint16(at + shift, true)
    /** Of the run of one byte that begins at `at`: its length; 0 if there is none, -1 if not known yet. */
    let run = this.#runs ? -1 : 0
    for (let tries = this.#tries; place >= lowest && tries > 0; tries--) {
      if (view.getUint16(place + shift, true) === needed && view.getInt32(place, true) === word) {
        const from = at === low ? at : this.#startOf(at, low, place)
        const length = this.#agree(at + leastMatch, place + leastMatch) - from
        if (length > longest) {
          longest = length
          start = from
          offset = at - place
          shift = low + longest - 1 - at
          needed = view.getUint16(at + shift, true)
        }
      }
      const step = steps[place & 65535] as number
      if (step === 1 && run !== 0 && place > lowest && view.getInt32(place - 1, true) === word) {
        if (run < 0) run = word === Math.imul(word & 255, 0x01010101) ? this.#agree(at + 1, at) - at : 0
        if (run > 0) {
          const runEnd = this.#agree(place, place - 1)
          const runStart = this.#startOf(place, lowest + 1, place - 1) - 1
          // on to where it ends as ours does, if it is as long; else to where it is longest, which takes no try when nothing before `at` counts
          if (runEnd - runStart >= run && runEnd - place + 1 <= run) place = runEnd - run
          else {
            place = runStart
            if (at === low) tries++
          }
          continue
        }
      }
      place -= step
    }
    return offset === 0 ? undefined : { at: start, length: longest, offset }
  }

  /** Where what begins at `at` ends to be like what begins at `place` before it. */
  #agree(at: number, place: number): number {
    const view = this.#view
    const end = this.#end
    while (at < end - 3) {
      const differs = view.getInt32(at, true) ^ view.getInt32(place, true)
      if (differs !== 0) return at + ((31 - Math.clz32(differs & -differs)) >> 3)
      at += 4
      place += 4
    }
    while (at < end && view.getUint8(at) === view.getUint8(place)) {
      at++
      place++
    }
    return at
  }

  /** Where what ends at `at` begins to be like what ends at `place` before it, if not before `low`. */
  #startOf(at: number, low: number, place: number): number {
    const view = this.#view
    const apart = at - place
    const least = Math.max(low, apart)
    while (at > least + 3 && view.getInt32(at - 4, true) === view.getInt32(at - 4 - apart, true)) at -= 4
    while (at > least && view.getUint8(at - 1) === view.getUint8(at - 1 - apart)) at--
    return at
  }
}
