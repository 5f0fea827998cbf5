import { expect, test } from 'vitest'
import type { Bytes } from '../../core/mod.ts'
import { OnceThrough } from '../../store/once.ts'
import type { RangeSink } from '../../store/remote.ts'
import { madeUp, same } from '../fixtures/repository.ts'

const bytes = madeUp(100_000, 1)

/** Keeps every byte. */
function sinkFrom(start: number): RangeSink & { readonly got: Uint8Array } {
  const pieces: Uint8Array[] = []
  let position = start
  return {
    get position() {
      return position
    },
    get got() {
      return Buffer.concat(pieces)
    },
    take: async (piece) => {
      pieces.push(Uint8Array.from(piece))
      position += piece.length
    },
    isVerified: true,
    reset: () => undefined,
    restart: () => undefined,
  }
}

function setUp() {
  let opened = 0
  let hang: Promise<void> | undefined
  const source = async function* (signal: AbortSignal): Bytes {
    opened++
    for (let at = 0; at < bytes.length; at += 7000) {
      if (hang !== undefined)
        await Promise.race([hang, new Promise((_, fail) => signal.addEventListener('abort', () => fail(signal.reason)))])
      signal.throwIfAborted()
      yield bytes.subarray(at, at + 7000)
    }
  }
  return { once: new OnceThrough(source), opened: () => opened, hangOn: (until: Promise<void> | undefined) => (hang = until) }
}

test('parts asked for at once and in any order cross the network once', async () => {
  const { once, opened } = setUp()
  const parts = [60_000, 10, 30_000].map((start) => ({ start, end: start + 9_001, sink: sinkFrom(start) }))
  await Promise.all(parts.map(({ end, sink }) => once.fetch({ end, sink }, undefined)))
  for (const { start, end, sink } of parts) expect(same(sink.got, bytes.subarray(start, end))).toBe(true)
  expect(opened()).toBe(1)
})

test('a part that lies behind begins anew', async () => {
  const { once, opened } = setUp()
  for (const start of [50_000, 10]) {
    const sink = sinkFrom(start)
    await once.fetch({ end: start + 10, sink }, undefined)
    expect(same(sink.got, bytes.subarray(start, start + 10))).toBe(true)
  }
  expect(opened()).toBe(2)
})

test('a stream that ends too early is unavailable', async () => {
  await expect(setUp().once.fetch({ end: 100_001, sink: sinkFrom(99_000) }, undefined)).rejects.toMatchObject({ code: 'unavailable' })
})

test('whoever gives up does so at once, and does not disturb the others', async () => {
  const { once, hangOn } = setUp()
  let go = () => {}
  hangOn(new Promise((done) => (go = done)))
  const stop = new AbortController()
  const reason = new Error('enough')
  const first = once.fetch({ end: 10, sink: sinkFrom(0) }, stop.signal)
  const sink = sinkFrom(20_000)
  const second = once.fetch({ end: 40_000, sink }, undefined)
  setTimeout(() => stop.abort(reason), 20)
  await expect(first).rejects.toBe(reason)
  go()
  await second
  expect(same(sink.got, bytes.subarray(20_000, 40_000))).toBe(true)
  await once.close()
})
