// Binary differences of two similar texts of bytes (Percival: Naive Differences of Executable Code, 2003). What is alike but for scattered bytes, as
// programs are whose addresses have moved, becomes mostly zeros.
import { PsyblobError } from './errors.ts'
import { suffixArray } from './suffix-array.ts'

/** `add` bytes are those of the old text plus those of the differences, modulo 256; then `insert` bytes are new; then the old text goes on `seek` bytes further. */
export type Triple = { readonly add: number; readonly insert: number; readonly seek: number }

export type BinaryDifference = {
  readonly triples: readonly Triple[]
  /** New minus old, byte by byte. */
  readonly differences: Uint8Array
  readonly inserted: Uint8Array
}

/** Bytes by which a match must be better than going on where the last one was. */
const better = 8

/** How `next` is made from `old`. Takes 12 bytes of memory for each byte of `old`. */
export function bsdiff(old: Uint8Array, next: Uint8Array): BinaryDifference {
  const order = suffixArray(old)
  const writer = new Writer(old, next)
  const match = { length: 0, at: 0 }
  let scan = 0
  /** Where the match before began, in the new and the old text; what lies between them is the offset at which it goes on. */
  let [lastScan, lastAt] = [0, 0]
  let offset = 0
  while (scan < next.length) {
    let score = 0
    scan += match.length
    for (let scored = scan; scan < next.length; scan++) {
      longestMatch(old, order, next, scan, match)
      for (; scored < scan + match.length; scored++) if (old[scored + offset] === next[scored]) score++
      if ((match.length === score && match.length !== 0) || match.length > score + better) break
      if (old[scan + offset] === next[scan]) score--
    }
    if (match.length === score && scan < next.length) continue
    const reach = extend(old, next, { lastScan, lastAt, scan, at: match.at })
    writer.write({ from: lastScan, at: lastAt, add: reach.forward, to: scan - reach.back, next: match.at - reach.back })
    lastScan = scan - reach.back
    lastAt = match.at - reach.back
    offset = match.at - scan
  }
  return writer.finish()
}

/** The place in `old` that agrees longest with `next` from `scan` on, into `match`. */
function longestMatch(old: Uint8Array, order: Int32Array, next: Uint8Array, scan: number, match: { length: number; at: number }): void {
  let [low, high] = [0, order.length]
  /** How much is known to agree at either side: what lies between agrees as far. */
  let [lowAgrees, highAgrees] = [0, 0]
  match.length = 0
  match.at = 0
  while (low < high) {
    const middle = (low + high) >> 1
    const at = order[middle] as number
    let length = Math.min(lowAgrees, highAgrees)
    while (at + length < old.length && scan + length < next.length && old[at + length] === next[scan + length]) length++
    if (length > match.length) {
      match.length = length
      match.at = at
    }
    const isLess =
      at + length === old.length || (scan + length < next.length && (old[at + length] as number) < (next[scan + length] as number))
    if (isLess) {
      low = middle + 1
      lowAgrees = length
    } else {
      high = middle
      highAgrees = length
    }
  }
}

type Gap = { readonly lastScan: number; readonly lastAt: number; readonly scan: number; readonly at: number }

/** How far the last match reaches forward, and the next one back, while more than half of the bytes agree. */
function extend(
  old: Uint8Array,
  next: Uint8Array,
  { lastScan, lastAt, scan, at }: Gap,
): { readonly forward: number; readonly back: number } {
  let forward = 0
  for (let [length, same, best] = [1, 0, 0]; lastScan + length <= scan && lastAt + length <= old.length; length++) {
    if (old[lastAt + length - 1] === next[lastScan + length - 1]) same++
    if (same * 2 - length > best) [best, forward] = [same * 2 - length, length]
  }
  let back = 0
  if (scan < next.length)
    for (let [length, same, best] = [1, 0, 0]; scan - length >= lastScan && length <= at; length++) {
      if (old[at - length] === next[scan - length]) same++
      if (same * 2 - length > best) [best, back] = [same * 2 - length, length]
    }
  const overlap = lastScan + forward - (scan - back)
  if (overlap <= 0) return { forward, back }
  // each takes the part in which it is the better one
  let kept = 0
  for (let [byte, score, best] = [0, 0, 0]; byte < overlap; byte++) {
    const place = scan - back + byte
    if (next[place] === old[lastAt + place - lastScan]) score++
    if (next[place] === old[at - back + byte]) score--
    if (score > best) [best, kept] = [score, byte + 1]
  }
  return { forward: forward + kept - overlap, back: back - kept }
}

class Writer {
  readonly #old: Uint8Array
  readonly #next: Uint8Array
  readonly #triples: Triple[] = []
  readonly #differences: Uint8Array
  readonly #inserted: Uint8Array
  #added = 0
  #new = 0

  constructor(old: Uint8Array, next: Uint8Array) {
    this.#old = old
    this.#next = next
    this.#differences = new Uint8Array(next.length)
    this.#inserted = new Uint8Array(next.length)
  }

  /** From `from` of the new text on `add` bytes like those at `at` of the old one, then up to `to` new ones; then the old text goes on at `next`. */
  write({ from, at, add, to, next }: { from: number; at: number; add: number; to: number; next: number }): void {
    for (let byte = 0; byte < add; byte++)
      this.#differences[this.#added++] = (this.#next[from + byte] as number) - (this.#old[at + byte] as number)
    this.#inserted.set(this.#next.subarray(from + add, to), this.#new)
    this.#new += to - from - add
    this.#triples.push({ add, insert: to - from - add, seek: next - at - add })
  }

  finish(): BinaryDifference {
    return {
      triples: this.#triples,
      differences: this.#differences.subarray(0, this.#added),
      inserted: this.#inserted.subarray(0, this.#new),
    }
  }
}

/**
 * The new text, which is as long as `next`, and is written there. Throws `malformed` for a difference that does not fit: nothing outside of
 * `old` is read.
 */
export function bspatch(
  old: Uint8Array,
  { triples, differences, inserted }: Omit<BinaryDifference, 'triples'> & { readonly triples: Iterable<Triple> },
  next: Uint8Array,
): Uint8Array {
  const { length } = next
  let [to, at, added, taken] = [0, 0, 0, 0]
  const refuse = (why: string): never => {
    throw new PsyblobError('malformed', `a binary difference: ${why}`)
  }
  for (const { add, insert, seek } of triples) {
    if (add < 0 || insert < 0 || ![add, insert, seek].every(Number.isSafeInteger)) refuse('lengths that are none')
    if (to + add + insert > length) refuse(`more than ${length} bytes`)
    if (at < 0 || at + add > old.length) refuse('bytes outside of the old text')
    if (added + add > differences.length || taken + insert > inserted.length) refuse('it ends too early')
    for (let byte = 0; byte < add; byte++) next[to + byte] = (old[at + byte] as number) + (differences[added + byte] as number)
    next.set(inserted.subarray(taken, taken + insert), to + add)
    to += add + insert
    added += add
    taken += insert
    at += add + seek
  }
  if (to !== length || added !== differences.length || taken !== inserted.length)
    refuse(`expected ${length} bytes, got ${to}, or something is left over`)
  return next
}
