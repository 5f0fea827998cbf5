// Chance that can be had again: all that is random in a history follows from one text.
import { createHash } from 'node:crypto'

export class Chance {
  #state: number

  constructor(seed: string) {
    this.#state = createHash('sha256').update(seed).digest().readUInt32LE(0)
  }

  /** From 0 to below 1 (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  below(end: number): number {
    return Math.floor(this.next() * end)
  }

  between(least: number, most: number): number {
    return least + this.below(most - least + 1)
  }

  is(probability: number): boolean {
    return this.next() < probability
  }

  /** One of them. */
  of<Value>(all: readonly Value[]): Value {
    if (all.length === 0) throw new RangeError('expected something to choose from, got nothing')
    return all[this.below(all.length)] as Value
  }

  shuffled<Value>(all: readonly Value[]): Value[] {
    const left = [...all]
    for (let at = left.length - 1; at > 0; at--) {
      const other = this.below(at + 1)
      ;[left[at], left[other]] = [left[other] as Value, left[at] as Value]
    }
    return left
  }
}
