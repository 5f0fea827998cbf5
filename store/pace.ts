// Too slow is as bad as silent: a remote that trickles would keep a node waiting for ever (spec/repository.md 4.8).

/** Bytes a second: less than that over one window is too slow. */
const slowest = 10 * 1024

/** Judges one answer. Only the time spent waiting for the remote counts, not the time that the bytes' taker needs. */
export class Pace {
  readonly #window: number
  readonly #now: () => number
  #asked = 0
  #waited = 0
  #bytes = 0

  /** `window` in milliseconds; `now` is a clock that only goes forward. */
  constructor(window: number, now: () => number) {
    this.#window = window
    this.#now = now
  }

  ask(): void {
    this.#asked = this.#now()
  }

  /** False when the window that just ended was too slow. */
  got(bytes: number): boolean {
    this.#waited += this.#now() - this.#asked
    this.#bytes += bytes
    if (this.#waited < this.#window) return true
    const quick = (this.#bytes * 1000) / this.#waited >= slowest
    this.#waited = 0
    this.#bytes = 0
    return quick
  }
}
