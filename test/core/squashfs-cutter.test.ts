// The cutter of squashfs images by itself: lengths that are allowed whatever the layout says, and images that meet again.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { chunks, fastCdc, type SquashfsLayout, squashfsCutter } from '../../core/mod.ts'
import { madeUp, piecesOf } from '../fixtures/repository.ts'

async function cutsOf(bytes: Uint8Array, layout: SquashfsLayout): Promise<readonly Uint8Array[]> {
  const found: Uint8Array[] = []
  for await (const chunk of chunks(piecesOf(bytes), { cutter: squashfsCutter(layout) })) found.push(Uint8Array.from(chunk))
  return found
}

describe('the cutter of squashfs images', () => {
  test('gives back every byte in chunks of at most 32 KiB, whatever the layout says', async () => {
    const layouts = fc.record({
      size: fc.integer({ min: 0, max: 300_000 }),
      start: fc.integer({ min: 96, max: 50_000 }),
      lengths: fc.array(fc.oneof(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 2000 }), fc.integer({ min: 1, max: 90_000 }))),
    })
    await fc.assert(
      fc.asyncProperty(layouts, async ({ size, start, lengths }) => {
        let at = start
        const ends = Float64Array.from(lengths, (length) => {
          at += length
          return at
        })
        const bytes = madeUp(size, start)
        const found = await cutsOf(bytes, { start, ends })
        expect(found.every(({ length }) => length > 0 && length <= 32768)).toBe(true)
        expect(Buffer.concat(found).equals(bytes)).toBe(true)
        // the data and the tables share no chunk
        const cuts = new Set<number>()
        found.reduce((sum, { length }) => {
          cuts.add(sum + length)
          return sum + length
        }, 0)
        if (at < size) expect(cuts.has(at)).toBe(true)
        if (start < size) expect(cuts.has(start)).toBe(true)
      }),
      { numRuns: 100 },
    )
  })

  test('brings images together again that got out of step among blocks of one size', async () => {
    const [before, after] = [200, 203].map((count) => ({
      start: 96,
      ends: Float64Array.from({ length: count }, (_, block) => 96 + 300 * (block + 1)),
    }))
    const data = madeUp(200 * 300, 3)
    const header = madeUp(96, 1)
    const first = await cutsOf(Buffer.concat([header, data]), before as SquashfsLayout)
    const second = await cutsOf(Buffer.concat([header, madeUp(3 * 300, 2), data]), after as SquashfsLayout)
    const known = new Set(first.map((chunk) => Buffer.from(chunk).toString('base64')))
    expect(second.filter((chunk) => !known.has(Buffer.from(chunk).toString('base64'))).length).toBeLessThan(8)
  })

  test('is FastCDC where there are no blocks', async () => {
    const bytes = madeUp(200_000, 8)
    const plain: number[] = []
    for await (const chunk of chunks(piecesOf(bytes), { cutter: fastCdc() })) plain.push(chunk.length)
    expect((await cutsOf(bytes, { start: 0, ends: new Float64Array(0) })).map(({ length }) => length)).toEqual(plain)
  })
})
