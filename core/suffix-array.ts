// The suffix array of bytes: by induced sorting, in linear time (Nong, Zhang, Chan: Two Efficient Algorithms for Linear Time Suffix Array Construction, 2011).

/** Where each suffix begins, the suffixes in order of their bytes; one that is the beginning of another comes first. */
export function suffixArray(bytes: Uint8Array): Int32Array {
  return sorted(bytes, 256)
}

/** `text` has symbols below `symbols`. */
function sorted(text: Uint8Array | Int32Array, symbols: number): Int32Array {
  const length = text.length
  if (length < 2) return new Int32Array(length)
  const rises = risingOf(text)
  const buckets = new Buckets(text, rises, symbols)
  // a suffix that rises after one that falls: everything else follows from the order of these
  const starts: number[] = []
  for (let at = 1; at < length; at++) if (rises[at] === 1 && rises[at - 1] === 0) starts.push(at)
  const order = new Int32Array(length)
  buckets.induce(starts, order)
  if (starts.length > 0) buckets.induce(inOrder(text, starts, order), order)
  return order
}

/** 1 where the suffix is less than the one behind it. */
function risingOf(text: Uint8Array | Int32Array): Uint8Array {
  const rises = new Uint8Array(text.length)
  for (let at = text.length - 2; at >= 0; at--) {
    const [one, next] = [text[at] as number, text[at + 1] as number]
    rises[at] = one === next ? (rises[at + 1] as number) : one < next ? 1 : 0
  }
  return rises
}

/** Suffixes by their first symbol: of each, those that fall lie before those that rise. */
class Buckets {
  readonly #text: Uint8Array | Int32Array
  readonly #rises: Uint8Array
  /** By symbol: where its falling suffixes begin, and its rising ones. */
  readonly #falling: Int32Array
  readonly #rising: Int32Array

  constructor(text: Uint8Array | Int32Array, rises: Uint8Array, symbols: number) {
    this.#text = text
    this.#rises = rises
    this.#falling = new Int32Array(symbols + 1)
    this.#rising = new Int32Array(symbols + 1)
    for (let at = 0; at < text.length; at++) {
      const symbol = text[at] as number
      if (rises[at] === 1) this.#falling[symbol + 1] = (this.#falling[symbol + 1] as number) + 1
      else this.#rising[symbol] = (this.#rising[symbol] as number) + 1
    }
    for (let symbol = 0; symbol < symbols; symbol++) {
      this.#rising[symbol] = (this.#rising[symbol] as number) + (this.#falling[symbol] as number)
      this.#falling[symbol + 1] = (this.#falling[symbol + 1] as number) + (this.#rising[symbol] as number)
    }
  }

  /** Sorts all suffixes into `order`, given an order of `starts`: falling ones from the left, then rising ones from the right. */
  induce(starts: ArrayLike<number>, order: Int32Array): void {
    const [text, rises] = [this.#text, this.#rises]
    order.fill(-1)
    const next = this.#rising.slice()
    const put = (suffix: number) => {
      const symbol = text[suffix] as number
      const place = next[symbol] as number
      next[symbol] = place + 1
      order[place] = suffix
    }
    for (let at = 0; at < starts.length; at++) put(starts[at] as number)
    next.set(this.#falling)
    put(text.length - 1)
    for (let at = 0; at < order.length; at++) {
      const suffix = (order[at] as number) - 1
      if (suffix >= 0 && rises[suffix] === 0) put(suffix)
    }
    next.set(this.#falling)
    for (let at = order.length - 1; at >= 0; at--) {
      const suffix = (order[at] as number) - 1
      if (suffix < 0 || rises[suffix] === 0) continue
      const behind = (text[suffix] as number) + 1
      const place = (next[behind] as number) - 1
      next[behind] = place
      order[place] = suffix
    }
  }
}

/** `starts` in the order of their suffixes: each stretch from one to the next becomes a symbol, and their text is sorted in the same way. */
function inOrder(text: Uint8Array | Int32Array, starts: readonly number[], order: Int32Array): Int32Array {
  const numbers = new Int32Array(text.length).fill(-1)
  for (const [number, start] of starts.entries()) numbers[start] = number
  const named = new Int32Array(starts.length)
  let name = -1
  let before = -1
  for (const start of order) {
    const number = numbers[start] as number
    if (number < 0) continue
    if (before < 0 || !isSame(before, number)) name++
    named[number] = name
    before = number
  }
  return sorted(named, name + 1).map((number) => starts[number] as number)

  function isSame(one: number, two: number): boolean {
    const [from, to] = [starts[one] as number, starts[two] as number]
    const length = (starts[one + 1] ?? text.length) - from
    if ((starts[two + 1] ?? text.length) - to !== length || to + length >= text.length || from + length >= text.length) return false
    for (let at = 0; at <= length; at++) if (text[from + at] !== text[to + at]) return false
    return true
  }
}
