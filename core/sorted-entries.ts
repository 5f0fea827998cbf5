// The entries of a manifest, found by their paths: they lie in order, so that no map of a hundred thousand has to stand beside them.
import type { Entry } from './entry.ts'
import { comparePaths } from './manifest.ts'

export class SortedEntries {
  readonly #entries: readonly Entry[]
  /** Behind the last one that was found: whoever asks in order finds the next one here. */
  #next = 0

  /** `entries` are in the order of `comparePaths`, as those of every manifest are. */
  constructor(entries: readonly Entry[]) {
    this.#entries = entries
  }

  get(path: string): Entry | undefined {
    const expected = this.#entries[this.#next]
    if (expected?.path === path) {
      this.#next++
      return expected
    }
    const place = this.#placeOf(path)
    const found = this.#entries[place]
    this.#next = found?.path === path ? place + 1 : place
    return found?.path === path ? found : undefined
  }

  /** The first one that lies below `path`. */
  below(path: string): Entry | undefined {
    const first = this.#entries[this.#placeOf(`${path}/`)]
    return first?.path.startsWith(`${path}/`) === true ? first : undefined
  }

  /** Of the first one that is not before `path`. */
  #placeOf(path: string): number {
    let [low, high] = [0, this.#entries.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (comparePaths((this.#entries[middle] as Entry).path, path) < 0) low = middle + 1
      else high = middle
    }
    return low
  }

  has(path: string): boolean {
    return this.get(path) !== undefined
  }

  /** Those whose paths `others`, which are in order as well, have not. */
  without(others: readonly Entry[]): readonly Entry[] {
    if (others === this.#entries) return []
    const left: Entry[] = []
    let at = 0
    for (const entry of this.#entries) {
      let order = -1
      while (at < others.length) {
        const other = (others[at] as Entry).path
        order = other === entry.path ? 0 : comparePaths(other, entry.path)
        if (order >= 0) break
        at++
      }
      if (order !== 0) left.push(entry)
    }
    return left
  }
}
