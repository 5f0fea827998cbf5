// A blob read once from front to back for everybody who wants a part of it: for remotes that cannot do ranges (spec/repository.md 4.4).
import { type Bytes, PsyblobError } from '../core/mod.ts'
import type { RangeSink } from './remote.ts'

type Part = { readonly end: number; readonly sink: RangeSink }
type Waiting = {
  readonly part: Part
  readonly signal: AbortSignal | undefined
  readonly done: () => void
  readonly failed: (error: unknown) => void
}

/**
 * Parts wait in a queue and are served one after another, the one that begins first before the others: as long as parts are asked for
 * in order, the blob crosses the network once. A part that lies behind begins the stream anew.
 */
export class OnceThrough {
  readonly #source: (signal: AbortSignal) => Bytes
  readonly #waiting = new Set<Waiting>()
  #open: { readonly pieces: AsyncIterator<Uint8Array>; readonly abort: AbortController; left: Uint8Array; position: number } | undefined
  #busy = false
  #served: Waiting | undefined

  constructor(source: (signal: AbortSignal) => Bytes) {
    this.#source = source
  }

  /** Brings the bytes from `sink.position` to `end`; ends early, without an error, only when the sink keeps less than it was given. */
  async fetch(part: Part, signal: AbortSignal | undefined): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      // whoever gives up ends the stream only while it is read for them
      const onAbort = () => {
        if (this.#served === waiting) this.#open?.abort.abort(signal?.reason)
      }
      const settle = () => signal?.removeEventListener('abort', onAbort)
      const waiting: Waiting = {
        part,
        signal,
        done: () => {
          settle()
          resolve()
        },
        failed: (error) => {
          settle()
          reject(error)
        },
      }
      signal?.addEventListener('abort', onAbort)
      this.#waiting.add(waiting)
      void this.#serve()
    })
  }

  /** Lets go of the connection. */
  async close(): Promise<void> {
    const open = this.#open
    this.#open = undefined
    open?.abort.abort()
    await open?.pieces.return?.().catch(() => undefined)
  }

  async #serve(): Promise<void> {
    if (this.#busy) return
    this.#busy = true
    // one turn for others that are about to ask: the first of them is served first
    await Promise.resolve()
    for (;;) {
      const next = [...this.#waiting].sort((one, two) => one.part.sink.position - two.part.sink.position)[0]
      if (next === undefined) break
      this.#waiting.delete(next)
      this.#served = next
      try {
        next.signal?.throwIfAborted()
        await this.#feed(next.part)
        next.done()
      } catch (error) {
        await this.close()
        next.failed(error)
      }
      this.#served = undefined
    }
    this.#busy = false
  }

  async #feed({ end, sink }: Part): Promise<void> {
    let at = sink.position
    if (this.#open !== undefined && this.#open.position > at) await this.close()
    if (this.#open === undefined) {
      const abort = new AbortController()
      this.#open = { pieces: this.#source(abort.signal)[Symbol.asyncIterator](), abort, left: new Uint8Array(), position: 0 }
    }
    const open = this.#open
    while (at < end) {
      if (open.left.length === 0) {
        const { done, value } = await open.pieces.next()
        if (done === true) throw new PsyblobError('unavailable', 'the blob ended before its last byte')
        open.left = value
      }
      const skip = Math.min(at - open.position, open.left.length)
      const bytes = open.left.subarray(skip, skip + Math.max(0, end - open.position - skip))
      open.position += skip + bytes.length
      open.left = open.left.subarray(skip + bytes.length)
      if (bytes.length === 0) continue
      at += bytes.length
      await sink.take(bytes)
    }
  }
}
