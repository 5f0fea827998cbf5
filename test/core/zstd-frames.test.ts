import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Content } from '../../core/content.ts'
import { readZstdFrames } from '../../core/zstd-frames.ts'
import { loadEncoder } from '../../store/patches/encoders.ts'
import { madeUp } from '../fixtures/repository.ts'

const MiB = 1024 * 1024

type Frame = {
  readonly descriptor: number
  readonly before?: readonly number[]
  readonly size: readonly number[]
  readonly blocks: readonly (readonly [kind: number, size: number])[]
  readonly checksum?: boolean
}

/** A frame by hand (RFC 8878, 3.1.1). */
function frame({ descriptor, before = [], size, blocks, checksum = false }: Frame): Buffer {
  const parts = blocks.flatMap(([kind, length], number) => {
    const head = (length << 3) | (kind << 1) | (number === blocks.length - 1 ? 1 : 0)
    return [Buffer.from([head & 255, (head >> 8) & 255, head >> 16]), Buffer.alloc(kind === 1 ? 1 : length, 7)]
  })
  return Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd, descriptor, ...before, ...size]), ...parts, Buffer.alloc(checksum ? 4 : 0)])
}

const one = { descriptor: 0x20, size: [5], blocks: [[0, 5]] } as const
const sizes = (bytes: Uint8Array) => readZstdFrames(bytes)?.pieces.map(({ at, length, raw }) => [at, length, raw])

describe('frames of zstd', () => {
  it('of the encoder that psyblob builds with are as long as they are', async () => {
    const encode = await loadEncoder('zstd-1.5.5', 15)
    const parts = [1, 200, 300, 70_000, 600_000].map((length, seed) =>
      Buffer.from(madeUp(length, seed + 1))
        .toString('hex')
        .slice(0, length),
    )
    const frames = parts.map((part) => Buffer.from(encode(Buffer.from(part))))
    let at = 0
    const wanted = frames.map(({ length }, number) => {
      at += length
      return [at - length, length, (parts[number] as string).length]
    })
    expect(sizes(Buffer.concat(frames))).toEqual(wanted)
    expect(readZstdFrames(Buffer.concat(frames))).toMatchObject({ packing: 'zstd' })
  })

  it.each<readonly [string, Frame, number]>([
    ['a size of one byte', one, 5],
    ['a size of two bytes, which begin at 256', { descriptor: 0x60, size: [1, 0], blocks: [[1, 257]] }, 257],
    ['a size of four bytes', { descriptor: 0xa0, size: [0, 0, 1, 0], blocks: [[1, 65536]] }, 65536],
    ['a size of eight bytes', { descriptor: 0xe0, size: [9, 0, 0, 0, 0, 0, 0, 0], blocks: [[0, 9]] }, 9],
    ['a window, and a size of two bytes', { descriptor: 0x40, before: [0x50], size: [0, 0], blocks: [[2, 30]] }, 256],
    ['the number of a dictionary', { descriptor: 0x23, before: [1, 2, 3, 4], size: [5], blocks: [[0, 5]] }, 5],
    ['a checksum', { ...one, descriptor: 0x24, checksum: true }, 5],
    [
      'several blocks',
      {
        descriptor: 0x20,
        size: [20],
        blocks: [
          [0, 5],
          [1, 10],
          [2, 5],
        ],
      },
      20,
    ],
  ])('may have %s', (_, made, raw) => {
    const bytes = frame(made)
    expect(sizes(bytes)).toEqual([[0, bytes.length, raw]])
    expect(sizes(Buffer.concat([bytes, bytes]))).toEqual([
      [0, bytes.length, raw],
      [bytes.length, bytes.length, raw],
    ])
  })

  it.each<readonly [string, Uint8Array]>([
    ['nothing', Buffer.alloc(0)],
    ['a frame of another format', frame(one).fill(0xfe, 3, 4)],
    ['a frame that does not say how large it becomes', frame({ descriptor: 0, before: [0x50], size: [], blocks: [[0, 5]] })],
    ['a frame that becomes nothing', frame({ descriptor: 0x20, size: [0], blocks: [[0, 0]] })],
    ['a frame above 8 MiB', frame({ descriptor: 0xa0, size: [1, 0, 0x80, 0], blocks: [[1, 5]] })],
    ['a frame of 2^56 bytes', frame({ descriptor: 0xe0, size: [0, 0, 0, 0, 0, 0, 0, 1], blocks: [[1, 5]] })],
    [
      'a frame that lies in more than 8 MiB',
      frame({ descriptor: 0x20, size: [5], blocks: Array.from({ length: 80 }, () => [0, 131072] as const) }),
    ],
    ['a block of the kind that is none', frame({ descriptor: 0x20, size: [5], blocks: [[3, 5]] })],
    ['a frame that is to be skipped', Buffer.concat([frame(one), Buffer.from([0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0])])],
    ['something behind the last frame', Buffer.concat([frame(one), Buffer.alloc(1)])],
    ['an archive that is not packed', Buffer.from('070701'.repeat(100))],
  ])('are not %s', (_, bytes) => {
    expect(readZstdFrames(bytes)).toBeUndefined()
  })

  it('that are cut anywhere are none', () => {
    const whole = Buffer.concat([frame(one), frame({ ...one, descriptor: 0x24, checksum: true })])
    for (let length = 0; length < whole.length; length++)
      if (length !== frame(one).length) expect(readZstdFrames(whole.subarray(0, length))).toBeUndefined()
  })

  it('that are damaged are none, or pieces that are the whole of it', () => {
    const whole = Buffer.concat(
      [
        one,
        {
          ...one,
          blocks: [
            [0, 4],
            [1, 900],
          ] as const,
        },
        one,
      ].map(frame),
    )
    let read = 0
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), (at, value) => {
        const bytes = Buffer.from(whole)
        bytes.writeUInt8(value, at)
        const content: Content | undefined = readZstdFrames(bytes)
        if (content === undefined) return
        read++
        expect(content.pieces.reduce((sum, { length }) => sum + length, 0)).toBe(bytes.length)
        expect(content.pieces.every(({ raw }) => raw > 0 && raw <= 8 * MiB)).toBe(true)
      }),
      { numRuns: 1000, seed: 5 },
    )
    expect(read).toBeGreaterThan(50)
  })
})
