// What is known of the way to the remotes: how long an answer takes to begin, how many bytes a second come. Ranges are joined by it (spec/sync.md 3).

/** Connections at once. */
export const connections = 8
/** Milliseconds: an answer that begins sooner comes from this machine or the same house. */
const near = 15
/** Bytes: the gap that is read over on a near link. 0.6 % more bytes and a third fewer requests on a month of Debian updates. */
const nearGap = 8 * 1024
/** Bytes a second that are taken for granted until something is measured: 100 Mb/s. */
const assumed = 12_500_000
const least = 16 * 1024
const most = 8 * 1024 * 1024
/** Bytes of a range, and ranges for each connection on a far link. A cut connection loses at most one range. */
const longestRange = 8 * 1024 * 1024
const shortestRange = 1024 * 1024
const rangesEach = 4
/** Enough for a guess, when there is nothing better. */
const roughBytes = 128 * 1024
/** A measurement of less says more of the beginning of connections than of the link. */
const enoughBytes = 2 * 1024 * 1024
const enoughRoundTrips = 6

/** Milliseconds to the first byte of an answer, and bytes a second of all connections together. */
export type LinkFigures = { readonly roundTrip: number; readonly bandwidth: number }

export class Link {
  readonly #now: () => number
  #roundTrip: number | undefined
  #active = 0
  #since = 0
  #busy = 0
  #bytes = 0
  #transfers = 0

  readonly #before: LinkFigures | undefined

  /** `now` is a clock in milliseconds that only goes forward; `before` is what an earlier run learnt. */
  constructor(now: () => number = () => performance.now(), before?: LinkFigures) {
    this.#now = now
    this.#before = before
  }

  /** What is worth remembering; undefined before enough was seen. */
  get learnt(): LinkFigures | undefined {
    const { bandwidth } = this
    return this.#roundTrip === undefined || bandwidth === undefined
      ? undefined
      : { roundTrip: Math.round(this.#roundTrip * 10) / 10, bandwidth: Math.round(bandwidth) }
  }

  /** What plans are made by: as before, so that two plans are one, unless the link has become another. */
  get #figures(): { readonly roundTrip: number; readonly bandwidth: number } {
    const measured = this.#roundTrip ?? this.#before?.roundTrip ?? 0
    const before = this.#before
    if (before === undefined || measured > 2 * before.roundTrip || measured < before.roundTrip / 2)
      return { roundTrip: measured, bandwidth: assumed }
    return before
  }

  /** What the time of a transfer is reckoned by: what was learnt before, else what was seen so far, however little. */
  get forecast(): LinkFigures {
    const { roundTrip, bandwidth } = this.#figures
    const measured = this.bandwidth ?? (bandwidth === assumed ? this.#rough : undefined)
    return { roundTrip, bandwidth: measured ?? bandwidth }
  }

  /** From a few small transfers, without the time in which they began. */
  get #rough(): number | undefined {
    const busy = this.#busy - this.#transfers * (this.#roundTrip ?? 0)
    return this.#bytes < roughBytes || busy <= 0 ? undefined : (this.#bytes * 1000) / busy
  }

  /** Milliseconds from a question to the first byte of its answer, the shortest so far; undefined before the first answer. */
  get roundTrip(): number | undefined {
    return this.#roundTrip
  }

  /** Bytes a second of all connections together; undefined before enough was seen. */
  get bandwidth(): number | undefined {
    const busy = this.#busy + (this.#active > 0 ? this.#now() - this.#since : 0)
    if (this.#bytes < enoughBytes || busy < enoughRoundTrips * (this.#roundTrip ?? 0) || busy === 0) return undefined
    return (this.#bytes * 1000) / busy
  }

  /**
   * Bytes between two ranges that cost less to read over than another request does: round trip times bandwidth, shared by the connections.
   * A power of two, so that two looks at one link give one plan.
   */
  get gap(): number {
    const { roundTrip, bandwidth } = this.#figures
    if (roundTrip < near) return nearGap
    const bytes = ((roundTrip / 1000) * bandwidth) / connections
    return Math.min(most, Math.max(least, 2 ** Math.round(Math.log2(bytes))))
  }

  /**
   * The longest range worth asking for when `bytes` are missing in all. On a far link a connection that got a long one last keeps the
   * others waiting for seconds, so each is given several.
   */
  longest(bytes: number): number {
    if (this.#figures.roundTrip < near) return longestRange
    return Math.min(longestRange, Math.max(shortestRange, bytes / connections / rangesEach))
  }

  answered(milliseconds: number): void {
    this.#roundTrip = Math.min(this.#roundTrip ?? Number.POSITIVE_INFINITY, milliseconds)
  }

  /** A transfer begins. Its time counts until `end`. */
  begin(): void {
    this.#transfers++
    if (this.#active++ === 0) this.#since = this.#now()
  }

  got(bytes: number): void {
    this.#bytes += bytes
  }

  end(): void {
    if (--this.#active === 0) this.#busy += this.#now() - this.#since
  }
}
