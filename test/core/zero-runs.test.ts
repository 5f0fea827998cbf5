import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { VarintReader, VarintWriter } from '../../core/varint.ts'
import { packZeroRuns, ZeroRunReader } from '../../core/zero-runs.ts'
import { numbers } from '../fixtures/patches.ts'

const malformed = expect.objectContaining({ code: 'malformed' })
const read = (bytes: Uint8Array) => new VarintReader(bytes, 'numbers')

describe('a number', () => {
  it.each([
    [0, [0]],
    [127, [127]],
    [128, [0x80, 1]],
    [300, [0xac, 2]],
    [2 ** 53 - 1, [255, 255, 255, 255, 255, 255, 255, 15]],
  ])('%i takes as few bytes as it needs', (value, bytes) => {
    expect([...numbers(value)]).toEqual(bytes)
    expect(read(Uint8Array.from(bytes)).next()).toBe(value)
  })

  it.each([
    [0, 0],
    [-1, 1],
    [1, 2],
    [-2, 3],
    [2 ** 52 - 1, 2 ** 53 - 2],
    [-(2 ** 52), 2 ** 53 - 1],
  ])('%i with a sign lies between those without one', (value, folded) => {
    expect(numbers([value])).toEqual(numbers(folded))
    expect(read(numbers(folded)).signed()).toBe(value)
  })

  it('is read as it was written, among others and among bytes', () => {
    const item = fc.oneof(fc.maxSafeInteger(), fc.integer(), fc.uint8Array({ maxLength: 6000 }))
    fc.assert(
      fc.property(fc.array(item), (items) => {
        const writer = new VarintWriter()
        for (const one of items) {
          if (typeof one !== 'number') writer.putBytes(one)
          else if (Math.abs(one) < 2 ** 52) writer.putSigned(one)
          else writer.put(Math.abs(one))
        }
        const reader = read(writer.finish())
        for (const one of items) {
          if (typeof one !== 'number') expect(Buffer.compare(reader.take(one.length), one)).toBe(0)
          else expect(Math.abs(one) < 2 ** 52 ? reader.signed() : reader.next()).toBe(Math.abs(one) < 2 ** 52 ? one : Math.abs(one))
        }
        expect(reader.isDone).toBe(true)
      }),
    )
  })

  it.each([
    ['nothing', []],
    ['a byte that promises another', [0x80]],
    ['2^53', [128, 128, 128, 128, 128, 128, 128, 16]],
    ['nine bytes', [128, 128, 128, 128, 128, 128, 128, 128, 1]],
    ['bytes that never end', Array(100).fill(255)],
  ])('that is %s is refused', (_, bytes) => {
    expect(() => read(Uint8Array.from(bytes)).next()).toThrow(malformed)
  })

  it('does not promise bytes that are not there', () => {
    expect(() => read(new Uint8Array(4)).take(5)).toThrow(malformed)
    expect(() => read(new Uint8Array(4)).take(2 ** 53 - 1)).toThrow(malformed)
  })
})

/** Mostly zeros. */
const sparse = fc
  .array(fc.tuple(fc.nat(30), fc.uint8Array({ maxLength: 12 })), { maxLength: 20 })
  .map((parts) => new Uint8Array(Buffer.concat(parts.flatMap(([zeros, bytes]) => [Buffer.alloc(zeros), bytes]))))

describe('runs of zeros', () => {
  it('give the bytes back, however many are taken at a time', () => {
    fc.assert(
      fc.property(sparse, fc.array(fc.integer({ min: 0, max: 50 }), { minLength: 1, maxLength: 60 }), (bytes, steps) => {
        const reader = new ZeroRunReader(packZeroRuns(bytes))
        let at = 0
        for (const wanted of [...steps, bytes.length]) {
          const length = Math.min(wanted, bytes.length - at)
          expect([...reader.read(new Uint8Array(length))]).toEqual([...bytes.subarray(at, at + length)])
          at += length
        }
        expect(reader.isDone).toBe(true)
      }),
      { numRuns: 500 },
    )
  })

  it('are a few bytes for a million zeros', () => {
    expect(packZeroRuns(new Uint8Array(1_000_000)).length).toBe(4)
    expect(packZeroRuns(new Uint8Array(0)).length).toBe(0)
  })

  it('are not broken by a few zeros among others', () => {
    expect([...packZeroRuns(Uint8Array.of(0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2))]).toEqual([2, 9, 1, 0, 0, 0, 0, 0, 0, 0, 2])
    expect([...packZeroRuns(Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0, 0, 2))]).toEqual([0, 1, 1, 8, 1, 2])
  })

  it.each([
    ['end before what is wanted', [3, 0], 4],
    ['promise bytes that are not there', [0, 5, 1, 2], 5],
    ['have a count of zeros alone', [3], 4],
    ['are nothing but empty', Array(1000).fill(0), 1],
    ['are no numbers', [255, 255, 255, 255, 255, 255, 255, 255, 255], 1],
  ])('that %s are refused', (_, packed, length) => {
    expect(() => new ZeroRunReader(Uint8Array.from(packed)).read(new Uint8Array(length))).toThrow(malformed)
  })

  it.each([
    ['zeros', [5, 0]],
    ['others', [0, 5, 1, 2, 3, 4, 5]],
    ['an empty run', [4, 0, 0, 0]],
  ])('with %s left over are not done', (_, packed) => {
    const reader = new ZeroRunReader(Uint8Array.from(packed))
    reader.read(new Uint8Array(4))
    expect(reader.isDone).toBe(false)
  })

  it('of more zeros than there is memory give as many as are wanted', () => {
    const reader = new ZeroRunReader(numbers(2 ** 53 - 1, 0))
    expect(reader.read(new Uint8Array(1000).fill(9)).every((byte) => byte === 0)).toBe(true)
    expect(reader.isDone).toBe(false)
  })
})
