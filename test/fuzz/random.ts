// Numbers that only a seed decides: a run that found something can be run again.

/** Bytes or items are asked for, never a source of secrets (splitmix32). */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** 0 to 2^32-1. */
  next(): number {
    this.#state = (this.#state + 0x9e3779b9) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad)
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97)
    return (mixed ^ (mixed >>> 15)) >>> 0
  }

  /** 0 to `count` - 1, and 0 for a count of 0. */
  below(count: number): number {
    return count <= 1 ? 0 : this.next() % count
  }

  /** True once in `count` times. */
  once(count: number): boolean {
    return this.below(count) === 0
  }

  pick<Item>(items: readonly [Item, ...Item[]]): Item
  pick<Item>(items: readonly Item[]): Item | undefined
  pick<Item>(items: readonly Item[]): Item | undefined {
    return items[this.below(items.length)]
  }

  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.next())
  }
}

/** A seed for each name, whatever the others are. */
export function seedOf(seed: number, name: string): number {
  let mixed = seed >>> 0
  for (const character of name) mixed = (Math.imul(mixed ^ (character.codePointAt(0) ?? 0), 0x01000193) + 0x811c9dc5) >>> 0
  return mixed
}
