import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bsdiff, bspatch } from '../../core/bsdiff.ts'
import { suffixArray } from '../../core/suffix-array.ts'
import { noise } from '../cli/world.ts'

/** Few symbols, so that much repeats. */
const texts = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  fc.array(fc.nat(2), { maxLength: 300 }).map((symbols) => Uint8Array.from(symbols)),
  fc.tuple(fc.uint8Array({ maxLength: 12 }), fc.nat(40)).map(([part, times]) =>
    Buffer.from(
      Array(times)
        .fill([...part])
        .flat(),
    ),
  ),
)

/** A text, and the same with a few of its bytes changed, stretches moved, left out, put in. */
const similar = fc
  .tuple(
    fc.uint8Array({ minLength: 50, maxLength: 3000 }),
    fc.array(fc.tuple(fc.nat(5), fc.nat(), fc.nat(), fc.uint8Array({ maxLength: 40 })), { maxLength: 12 }),
  )
  .map(([old, edits]) => {
    let next = [...old]
    for (const [kind, one, two, bytes] of edits) {
      const at = one % (next.length + 1)
      const to = Math.min(next.length, at + (two % 400))
      if (kind === 0) next.splice(at, to - at)
      else if (kind === 1) next.splice(at, 0, ...bytes)
      else if (kind === 2) next = [...next.slice(at, to), ...next.slice(0, at), ...next.slice(to)]
      else for (let byte = at; byte < to; byte += 1 + (one % 90)) next[byte] = two & 255
    }
    return [old, Uint8Array.from(next)] as const
  })

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)

describe('a suffix array', () => {
  it('has all suffixes in the order of their bytes', () => {
    fc.assert(
      fc.property(texts, (text) => {
        const wanted = Array.from(text, (_, at) => at).sort((one, two) => Buffer.compare(text.subarray(one), text.subarray(two)))
        expect([...suffixArray(text)]).toEqual(wanted)
      }),
      { numRuns: 500 },
    )
  })
})

describe('a binary difference', () => {
  it('makes the new text of the old one', () => {
    fc.assert(
      fc.property(fc.oneof(similar, fc.tuple(texts, texts)), ([old, next]) => {
        const difference = bsdiff(old, next)
        expect(Buffer.compare(bspatch(old, difference, new Uint8Array(next.length)), next)).toBe(0)
        // every byte of the new text comes from one of the two, once
        expect(sum(difference.triples.map(({ add }) => add))).toBe(difference.differences.length)
        expect(difference.differences.length + difference.inserted.length).toBe(next.length)
      }),
      { numRuns: 500 },
    )
  })

  it('of equal texts is one stretch of zeros', () => {
    const text = noise('text', 100_000)
    const { triples, differences, inserted } = bsdiff(text, text)
    expect(triples).toMatchObject([{ add: 100_000, insert: 0 }])
    expect(inserted.length).toBe(0)
    expect(differences.every((byte) => byte === 0)).toBe(true)
  })

  it('of code whose addresses have moved inserts nothing, and is zero but for the addresses', () => {
    const program = Buffer.from(noise('program', 60_000))
    for (let at = 0; at < program.length; at += 40) program.writeUInt32LE(0x400000 + at * 3, at)
    const moved = Buffer.from(program)
    for (let at = 0; at < program.length; at += 40) moved.writeUInt32LE(program.readUInt32LE(at) + 0x120, at)
    const { triples, differences, inserted } = bsdiff(program, moved)
    expect(inserted.length).toBeLessThan(100)
    expect(triples.length).toBeLessThan(10)
    expect(differences.filter((byte) => byte !== 0).length).toBeLessThan((2.1 * program.length) / 40)
  })

  it('follows what was put in, and left out, and moved', () => {
    const old = noise('old', 50_000)
    const next = Buffer.concat([old.subarray(30_000, 40_000), noise('new', 500), old.subarray(0, 10_000), old.subarray(10_700, 30_000)])
    const { triples, differences, inserted } = bsdiff(old, next)
    // the first of them only goes to where the old text begins
    expect(triples.length).toBe(4)
    expect(inserted.length).toBeLessThan(540)
    expect(differences.filter((byte) => byte !== 0).length).toBe(0)
  })

  it.each([
    ['more bytes than there are', { triples: [{ add: 5, insert: 0, seek: 0 }] }, 10],
    [
      'the old text beyond its end',
      {
        triples: [
          { add: 0, insert: 0, seek: 98 },
          { add: 4, insert: 0, seek: 0 },
        ],
      },
      4,
    ],
    [
      'the old text before its beginning',
      {
        triples: [
          { add: 0, insert: 0, seek: -1 },
          { add: 4, insert: 0, seek: 0 },
        ],
      },
      4,
    ],
    ['a negative length', { triples: [{ add: 8, insert: -4, seek: 0 }] }, 4],
    ['half a byte', { triples: [{ add: 3.5, insert: 0.5, seek: 0 }] }, 4],
    [
      'a place that is none',
      {
        triples: [
          { add: 0, insert: 0, seek: Number.NaN },
          { add: 4, insert: 0, seek: 0 },
        ],
      },
      4,
    ],
    ['too few differences', { differences: new Uint8Array(3) }, 4],
    ['differences left over', { differences: new Uint8Array(5) }, 4],
    ['insertions left over', { inserted: new Uint8Array(1) }, 4],
    ['a longer text than promised', {}, 3],
    ['a shorter text than promised', {}, 5],
  ])('with %s is refused', (_, change, length) => {
    const right = { triples: [{ add: 4, insert: 0, seek: 0 }], differences: new Uint8Array(4), inserted: new Uint8Array(0) }
    const old = new Uint8Array(100)
    expect(bspatch(old, right, new Uint8Array(4)).length).toBe(4)
    expect(() => bspatch(old, { ...right, ...change }, new Uint8Array(length))).toThrow(expect.objectContaining({ code: 'malformed' }))
  })
})
