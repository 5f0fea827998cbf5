// Many offsets, collected in any order and with repetitions, kept at 8 bytes each.

/** A growing set of offsets. */
export class Offsets {
  readonly #most: number
  #values = new Float64Array(1024)
  #count = 0

  /** It never holds more than `most` different ones. */
  constructor(most: number) {
    this.#most = most
  }

  get count(): number {
    return this.#count
  }

  /** False when there are too many. */
  add(offset: number): boolean {
    if (this.#count === this.#values.length && !this.#makeRoom()) return false
    this.#values[this.#count++] = offset
    return true
  }

  /** Ascending, each once. The set may not be used afterwards. */
  sorted(): Float64Array {
    this.#sort()
    return this.#values.subarray(0, this.#count)
  }

  #makeRoom(): boolean {
    // equal files share their blocks: repetitions go before memory is asked for
    this.#sort()
    if (this.#count > this.#values.length / 2) {
      if (this.#count >= this.#most) return false
      const larger = new Float64Array(2 * this.#values.length)
      larger.set(this.#values)
      this.#values = larger
    }
    return true
  }

  #sort(): void {
    const values = this.#values.subarray(0, this.#count).sort()
    let kept = 0
    for (const value of values) if (kept === 0 || value !== values[kept - 1]) values[kept++] = value
    this.#count = kept
  }
}
