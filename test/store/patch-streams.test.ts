// Streams of patches are packed beside everything else: the same bytes as ever, while others get their turn, and no longer than is wished.
import { closeSync, openSync, readSync } from 'node:fs'
import { brotliCompressSync, constants } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { packStream, unpackStream } from '../../store/patches/streams.ts'
import { madeUp } from '../fixtures/repository.ts'

/** Machine code: a part of the program that runs us. */
const code = Buffer.alloc(2_000_000)
const file = openSync(process.execPath, 'r')
readSync(file, code, 0, code.length, 20_000_000)
closeSync(file)

function whole(bytes: Uint8Array): Uint8Array {
  const { BROTLI_PARAM_LGWIN, BROTLI_PARAM_SIZE_HINT } = constants
  return brotliCompressSync(bytes, { params: { [BROTLI_PARAM_LGWIN]: 24, [BROTLI_PARAM_SIZE_HINT]: bytes.length } })
}

describe('a stream of a patch', () => {
  test.each([1, 700, 262_144, 262_145, 524_288, 600_001])('of %d bytes is packed as by one call', async (length) => {
    const bytes = code.subarray(1000, 1000 + length)
    const packed = await packStream(bytes, undefined)
    const expected = whole(bytes)
    expect(packed.packing).toBe(expected.length < length ? 'brotli' : 'stored')
    if (packed.packing === 'brotli') expect(Buffer.compare(packed.bytes, expected)).toBe(0)
    expect(Buffer.compare(unpackStream(packed.bytes, { packing: packed.packing, raw: length }), bytes)).toBe(0)
  })

  test('that does not become smaller is stored', async () => {
    const bytes = madeUp(10_000, 3)
    expect(await packStream(bytes, undefined)).toEqual({ packing: 'stored', bytes })
    expect(await packStream(new Uint8Array(0), undefined)).toEqual({ packing: 'stored', bytes: new Uint8Array(0) })
  })

  test('leaves the thread to others while it is packed', async () => {
    let turns = 0
    const timer = setInterval(() => turns++, 1)
    await packStream(code.subarray(0, 300_000), undefined)
    clearInterval(timer)
    expect(turns).toBeGreaterThan(10)
  })

  test('is given up at once when somebody interrupts, and so is one that waits for its turn', async () => {
    const interruption = new AbortController()
    const both = [code, code.subarray(1)].map((bytes) => packStream(bytes, undefined, interruption.signal))
    let ended = 0
    for (const one of both) one.catch(() => ended++)
    await new Promise((done) => setTimeout(done, 50))
    expect(ended).toBe(0)
    interruption.abort(new Error('interrupted'))
    const begun = performance.now()
    expect((await Promise.allSettled(both)).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    expect(performance.now() - begun).toBeLessThan(1000)
    // nobody waits for what was given up
    expect((await packStream(code.subarray(0, 1000), undefined)).packing).toBe('brotli')
  })
})
