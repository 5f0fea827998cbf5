// Several remotes as one: tried in order, a bad one dropped for the rest of the run, what one lacks looked for on the next.
import { setTimeout as sleep } from 'node:timers/promises'
import { type Bytes, type CID, type DocumentName, type ErrorCode, isPsyblobError, PsyblobError, type Report } from '../core/mod.ts'
import { Link } from './link.ts'
import { OnceThrough } from './once.ts'
import type { RangeSink, ReadOptions, Remote } from './remote.ts'

export type MirrorsOptions = {
  readonly report: Report
  /** What is known of the way to them. Default: nothing. */
  readonly link?: Link
  /** Milliseconds before the second and the third try on one remote. */
  readonly pauses?: readonly number[]
}

/** A remote that gives one of these is not asked again. The first tells most. */
const blame = ['untrusted', 'rollback', 'corrupt', 'malformed', 'expired', 'unsupported', 'unavailable'] as const
/** Transient failures of one remote in a run, as long as another one is left. */
const patience = 3
const again = 'run the same command again: it goes on where it stopped'

/** A remote that gives less than this part of what the quickest gives, a connection, is left for it; milliseconds before that is judged. */
const tooSlow = 1 / 8
const judgedAfter = 1500

/** Bytes. What a remote gives before it fails again must be as much, or it could keep us for ever by giving a little each time. */
const leastGain = 64 * 1024

/** How one fetch fares: consecutive failures without a byte gained, and on which remote. */
type Course = { remote: Remote | undefined; tries: number }

export class Mirrors {
  readonly label: string
  /** What was learnt of the way to them. */
  readonly link: Link
  readonly #remotes: readonly Remote[]
  readonly #report: Report
  readonly #pauses: readonly number[]
  readonly #dropped = new Map<Remote, PsyblobError>()
  readonly #lacking = new Map<CID, Set<Remote>>()
  readonly #failures = new Map<Remote, number>()
  /** Fetches under way, and bytes a second that a connection gave last. */
  readonly #active = new Map<Remote, number>()
  readonly #speeds = new Map<Remote, number>()
  /** Remotes that do not do ranges, and the blobs that are read from them in one stream. */
  readonly #rangeless = new Map<Remote, Map<CID, OnceThrough>>()

  constructor(remotes: readonly Remote[], options: MirrorsOptions) {
    this.#remotes = remotes
    this.#report = options.report
    this.link = options.link ?? new Link()
    this.#pauses = options.pauses ?? [200, 800]
    this.label = remotes.map((remote) => remote.label).join(', ')
  }

  /**
   * A document from the first remote whose answer `accept` takes; undefined when every remote that answers has none.
   * `accept` verifies, and throws to refuse. When all fail, throws the most telling refusal. What `isSpare` may be missing, wrong or not to
   * be had, and nobody is blamed: there is another way to what is in it.
   */
  async read<Value>(
    name: DocumentName,
    options: ReadOptions & {
      readonly limit: number
      readonly accept: (bytes: Uint8Array, remote: Remote) => Value | Promise<Value>
      /** It need not be there: what is refused is no answer, when another remote says that there is none. */
      readonly isOptional?: boolean
      readonly isSpare?: boolean
    },
  ): Promise<Value | undefined> {
    let absent = false
    let refused = false
    for (const remote of this.#remotes) {
      for (const course: Course = { remote, tries: 0 }; !this.#dropped.has(remote); ) {
        try {
          const asked = performance.now()
          const bytes = await remote.read(name, options)
          this.link.answered(performance.now() - asked)
          if (bytes !== undefined) return await options.accept(bytes, remote)
          absent = true
          break
        } catch (error) {
          if (options.isSpare === true && isPsyblobError(error, 'not-found', ...blame)) {
            options.signal?.throwIfAborted()
            this.#report({ type: 'trace', text: `${error.message}: done without` })
            absent = true
            break
          }
          refused ||= !isPsyblobError(error, 'unavailable', 'not-found')
          await this.#fail(error, { remote, course, gained: false, others: this.#left().length > 1, signal: options.signal })
        }
      }
    }
    // a remote that is silent does not count; one that answered with something wrong does, unless anybody could invent such a document
    if (absent && (!refused || options.isOptional === true)) return undefined
    throw this.#exhausted(name, 'document')
  }

  /** A blob small enough for memory, verified. */
  async get(cid: CID, { size, signal }: ReadOptions & { readonly size: number }): Promise<Uint8Array> {
    const course: Course = { remote: undefined, tries: 0 }
    for (;;) {
      const remote = this.#holder(cid, 'whole')
      const pieces: Uint8Array[] = []
      try {
        for await (const piece of remote.get(cid, { size, signal })) pieces.push(Uint8Array.from(piece))
        return Buffer.concat(pieces)
      } catch (error) {
        await this.#fail(error, { remote, cid, course, gained: false, others: this.#count(cid) > 1, signal })
      }
    }
  }

  /**
   * A whole blob. What was given before a remote failed is not given again, and the next remote goes on from there, unless it has to come
   * from one (`isAlone`); whoever takes the bytes checks the whole.
   */
  async *stream(
    cid: CID,
    {
      size,
      isAlone = false,
      isSpare = false,
      signal,
    }: ReadOptions & { readonly size: number; readonly isAlone?: boolean; readonly isSpare?: boolean },
  ): Bytes {
    const course: Course = { remote: undefined, tries: 0 }
    let position = 0
    for (;;) {
      const remote = this.#holder(cid, position === 0 ? 'whole' : 'range')
      const from = position
      const whole = from === 0 || this.#rangeless.has(remote)
      try {
        const source = whole
          ? remote.get(cid, { size, signal })
          : remote.range(cid, { offset: from, length: size - from }, { size, signal })
        let skip = whole ? from : 0
        for await (const piece of source) {
          const news = piece.subarray(Math.min(skip, piece.length))
          skip -= piece.length - news.length
          position += news.length
          if (news.length > 0) yield news
        }
        return
      } catch (error) {
        // bytes that turned out wrong were given away already: nothing can go on from them, but nobody shall ask there again
        const spoilt = position > 0 && (isAlone || isPsyblobError(error, 'corrupt'))
        await this.#fail(error, {
          remote,
          cid,
          course,
          gained: position - from >= leastGain,
          ranged: !whole,
          isSpare,
          others: this.#count(cid) > 1,
          signal,
        })
        if (spoilt) throw error
      }
    }
  }

  /**
   * Brings the bytes from `sink.position` to `end`. Throws `unavailable`, or `corrupt` when nobody has the right ones. What `isSpare` may be
   * missing, wrong or not to be had, and nobody is left for it: there is another way to what is in it.
   */
  async fetch(
    cid: CID,
    { size, end, signal, isSpare = false }: ReadOptions & { readonly size: number; readonly end: number; readonly isSpare?: boolean },
    sink: RangeSink,
  ): Promise<void> {
    const course: Course = { remote: undefined, tries: 0 }
    // once bytes of several turned out wrong together, the whole has to come from one: then it is known who is to blame
    let isAlone = false
    while (sink.position < end) {
      if (isAlone) sink.restart()
      const from = sink.position
      const isMixed = !sink.isVerified
      const whole = from === 0 && end === size
      const remote = this.#quickest(cid, whole ? 'whole' : 'range')
      const once = whole ? undefined : this.#rangeless.get(remote)
      const ranged = !whole && once === undefined
      this.#active.set(remote, (this.#active.get(remote) ?? 0) + 1)
      this.link.begin()
      try {
        if (once !== undefined) await this.#once(once, remote, cid, size).fetch({ end, sink }, signal)
        else {
          const at = { offset: from, length: end - from }
          const source = ranged ? remote.range(cid, at, { size, signal }) : remote.get(cid, { size, signal })
          if (!(await this.#pour(source, sink, { remote, cid, mayLeave: !isAlone }))) {
            sink.reset()
            continue
          }
        }
        if (sink.position < end) throw new PsyblobError('unavailable', `${remote.label} ended before the last byte`)
      } catch (error) {
        sink.reset()
        if (isMixed && isPsyblobError(error, 'corrupt')) {
          isAlone = true
          this.#report({ type: 'trace', text: `${error.message}: it came from several remotes, and is fetched anew from one` })
          continue
        }
        await this.#fail(named(error, cid, remote), {
          remote,
          cid,
          course,
          // what begins anew each time has gained nothing
          gained: !isAlone && sink.position - from >= leastGain,
          ranged,
          isSpare,
          others: this.#count(cid) > 1,
          signal,
        })
      } finally {
        this.link.end()
        this.#active.set(remote, (this.#active.get(remote) ?? 1) - 1)
      }
    }
  }

  /** Gives the sink what comes. False when it was left because another remote gives so much more: nobody is to blame for that. */
  async #pour(
    source: Bytes,
    sink: RangeSink,
    { remote, cid, mayLeave }: { remote: Remote; cid: CID; mayLeave: boolean },
  ): Promise<boolean> {
    const begun = performance.now()
    let waited = 0
    let asked = begun
    let got = 0
    for await (const piece of source) {
      const now = performance.now()
      if (got === 0) this.link.answered(now - begun)
      waited += now - asked
      got += piece.length
      this.link.got(piece.length)
      await sink.take(piece)
      if (waited > 0) this.#speeds.set(remote, (got * 1000) / waited)
      if (mayLeave && waited > judgedAfter && this.#lags(remote, cid)) return false
      asked = performance.now()
    }
    return true
  }

  #lags(remote: Remote, cid: CID): boolean {
    const speed = this.#speeds.get(remote) ?? 0
    return this.#holders(cid, 'range').some((other) => other !== remote && (this.#speeds.get(other) ?? 0) * tooSlow > speed)
  }

  /** Whom to ask next of those that have it: shared out by what they give and what they have to do already. */
  #quickest(cid: CID, want: 'whole' | 'range'): Remote {
    const holders = this.#holders(cid, want)
    const best = Math.max(1, ...this.#speeds.values())
    const load = (remote: Remote) => ((this.#active.get(remote) ?? 0) + 1) / (this.#speeds.get(remote) ?? best)
    // the first of equals: remotes stand in the order of preference
    const found = holders.reduce<Remote | undefined>((one, two) => (one === undefined || load(two) < load(one) ? two : one), undefined)
    if (found === undefined) throw this.#exhausted(`blob ${cid}`, 'blob')
    return found
  }

  #left(): readonly Remote[] {
    return this.#remotes.filter((remote) => !this.#dropped.has(remote))
  }

  #count(cid: CID): number {
    return this.#left().filter((remote) => this.#lacking.get(cid)?.has(remote) !== true).length
  }

  /** True while somebody is left who may have the blob. */
  mayHave(cid: CID): boolean {
    return this.#count(cid) > 0
  }

  get count(): number {
    return this.#remotes.length
  }

  /** True when remotes answer, and each of them says that it does not have the blob. */
  isLacking(cid: CID): boolean {
    const left = this.#left()
    return left.length > 0 && left.every((remote) => this.#lacking.get(cid)?.has(remote) === true)
  }

  /** Who may have a blob; for a part of it rather those who do ranges. */
  #holders(cid: CID, want: 'whole' | 'range'): readonly Remote[] {
    const holders = this.#left().filter((remote) => this.#lacking.get(cid)?.has(remote) !== true)
    const ranged = want === 'range' ? holders.filter((remote) => !this.#rangeless.has(remote)) : []
    return ranged.length > 0 ? ranged : holders.slice(0, want === 'range' ? 1 : holders.length)
  }

  #holder(cid: CID, want: 'whole' | 'range'): Remote {
    const found = this.#holders(cid, want)[0]
    if (found === undefined) throw this.#exhausted(`blob ${cid}`, 'blob')
    return found
  }

  #once(blobs: Map<CID, OnceThrough>, remote: Remote, cid: CID, size: number): OnceThrough {
    const once = blobs.get(cid) ?? new OnceThrough((signal) => remote.get(cid, { size, signal }))
    blobs.set(cid, once)
    return once
  }

  /** Learns from a failure, and waits if the same remote is to be asked again. Throws what is nobody's fault. */
  async #fail(
    error: unknown,
    at: {
      readonly remote: Remote
      readonly cid?: CID
      readonly course: Course
      readonly gained: boolean
      /** It was asked for a range. */
      readonly ranged?: boolean
      readonly isSpare?: boolean
      readonly others: boolean
      readonly signal: AbortSignal | undefined
    },
  ): Promise<void> {
    const { remote, cid, course, gained, ranged = false, isSpare = false, others, signal } = at
    signal?.throwIfAborted()
    if (!isPsyblobError(error, 'not-found', ...blame)) throw error
    if (this.#dropped.has(remote)) return
    if (error.code === 'not-found') {
      if (cid === undefined) throw error
      return this.#lacks(cid, remote)
    }
    if (error.code === 'unsupported' && ranged) {
      // several may learn it at the same time
      if (this.#rangeless.has(remote)) return
      this.#rangeless.set(remote, new Map())
      this.#report({ type: 'trace', text: `${error.message}: whole blobs are read instead` })
      return
    }
    if (isSpare && cid !== undefined && error.code !== 'unavailable') {
      this.#report({ type: 'trace', text: `${error.message}: done without` })
      return this.#lacks(cid, remote)
    }
    if (error.code !== 'unavailable') return this.#drop(remote, error)
    const failures = (this.#failures.get(remote) ?? 0) + 1
    this.#failures.set(remote, failures)
    course.tries = gained || course.remote !== remote ? 0 : course.tries
    course.remote = remote
    const pause = this.#pauses[course.tries++]
    // another remote is a better idea than the same one again, unless this one gave something
    if (pause === undefined || (others && (!gained || failures >= patience)))
      return isSpare && cid !== undefined ? this.#lacks(cid, remote) : this.#drop(remote, error)
    this.#report({ type: 'trace', text: `${error.message}; trying again in ${pause} ms` })
    await sleep(pause, undefined, { ...(signal === undefined ? {} : { signal }) })
  }

  #lacks(cid: CID, remote: Remote): void {
    this.#lacking.set(cid, (this.#lacking.get(cid) ?? new Set()).add(remote))
  }

  #drop(remote: Remote, error: PsyblobError): void {
    this.#dropped.set(remote, error)
    if (this.#remotes.length > 1) this.#report({ type: 'warning', text: `${remote.label} is not used any more: ${error.message}` })
  }

  /** Everybody failed: the refusal that tells most, the others named in it. */
  #exhausted(what: string, kind: 'document' | 'blob'): PsyblobError {
    const failures = [...this.#dropped.values()]
    const codes = new Set<ErrorCode>(failures.map(({ code }) => code))
    const telling = blame.map((code) => failures.find((error) => error.code === code)).find((error) => error !== undefined)
    if (telling === undefined) {
      const hint = 'the repository is incomplete: the publisher runs psyblob publish again, or name another remote'
      return new PsyblobError('unavailable', `no remote has ${what}: ${this.label}`, { hint })
    }
    // for a blob it matters whether trying again can help: not when every remote has wrong bytes
    const final =
      kind === 'blob'
        ? codes.size === 1 && codes.has('corrupt') && failures.length === this.#remotes.length
        : telling.code !== 'unsupported'
    const code = final ? telling.code : 'unavailable'
    if (this.#remotes.length === 1) return new PsyblobError(code, telling.message, { cause: telling, hint: telling.hint })
    const silent = this.#left().map((remote) => `${remote.label} does not have it`)
    const reasons = [...failures.map((error) => error.message), ...silent].join('; ')
    return new PsyblobError(code, `none of ${this.#remotes.length} remotes gives ${what}: ${reasons}`, {
      cause: telling,
      hint: code === 'unavailable' ? again : (telling.hint ?? again),
    })
  }
}

/** What a sink refuses does not say where it came from. */
function named(error: unknown, cid: CID, remote: Remote): unknown {
  if (!isPsyblobError(error, 'corrupt') || error.hint !== undefined) return error
  const hint = 'this remote is damaged: psyblob verify --remote says what else is; run the same command again when it is mended'
  return new PsyblobError('corrupt', `blob ${cid} of ${remote.label}: ${error.message}`, { cause: error, hint })
}
