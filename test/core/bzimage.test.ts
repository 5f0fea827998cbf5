import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readBzImage } from '../../core/bzimage.ts'
import type { Content } from '../../core/content.ts'
import { madeUp } from '../fixtures/repository.ts'

const MiB = 1024 * 1024
type Made = {
  readonly blocks?: readonly number[]
  readonly total?: number
  readonly setup?: number
  readonly tail?: number
  readonly version?: number
}

/** A kernel as the build makes one: the 16-bit part, a stub, the payload of `lz4 -l` with its size behind, what the linker adds. */
function kernel({ blocks = [3000, 2000], total = 9 * MiB, setup = 4, tail = 700, version = 0x20f }: Made = {}): Buffer {
  const start = (setup + 1) * 512 + 0x300
  const parts: Buffer[] = [Buffer.from(madeUp(start, 1)), Buffer.from([0x02, 0x21, 0x4c, 0x18])]
  for (const [number, length] of blocks.entries()) {
    const size = Buffer.alloc(4)
    size.writeUInt32LE(length)
    parts.push(size, Buffer.from(madeUp(length, number + 2)))
  }
  const becomes = Buffer.alloc(4)
  becomes.writeUInt32LE(total)
  const payload = Buffer.concat([...parts.slice(1), becomes])
  const image = Buffer.concat([parts[0] as Buffer, payload, Buffer.from(madeUp(tail, 99))])
  image.writeUInt8(setup, 0x1f1)
  image.write('HdrS', 0x202)
  image.writeUInt16LE(version, 0x206)
  image.writeUInt32LE(0x300, 0x248)
  image.writeUInt32LE(payload.length, 0x24c)
  return image
}

/** They are the whole file, one after the other. */
function expectWhole({ pieces }: Content, size: number): void {
  let at = 0
  for (const piece of pieces) {
    expect(piece.at).toBe(at)
    expect(piece.length).toBeGreaterThan(0)
    at += piece.length
  }
  expect(at).toBe(size)
}

describe('a kernel', () => {
  it('is its head, the blocks of its payload with their sizes between them, and its tail', () => {
    const bytes = kernel()
    const content = readBzImage(bytes)
    expect(content?.packing).toBe('lz4')
    expect(content?.pieces.map(({ length, raw, isPacked }) => [length, raw, isPacked])).toEqual([
      [5 * 512 + 0x300 + 4, 5 * 512 + 0x300 + 4, false],
      [4, 4, false],
      [3000, 8 * MiB, true],
      [4, 4, false],
      [2000, 1 * MiB, true],
      [704, 704, false],
    ])
    expect(content?.pieces.filter(({ isPacked }) => isPacked).flatMap(({ spans }) => spans)).toEqual([
      { path: 'kernel', from: 0, length: 8 * MiB },
      { path: 'kernel', from: 8 * MiB, length: MiB },
    ])
    expectWhole(content as Content, bytes.length)
  })

  it('may have one block, and nothing behind its payload', () => {
    const bytes = kernel({ blocks: [5000], total: 12345, tail: 0 })
    const content = readBzImage(bytes) as Content
    expect(content.pieces.filter(({ isPacked }) => isPacked).map(({ raw }) => raw)).toEqual([12345])
    expectWhole(content, bytes.length)
  })

  it.each<readonly [string, Buffer]>([
    ['of an old boot protocol', kernel({ version: 0x207 })],
    ['with fewer blocks than it becomes', kernel({ total: 17 * MiB })],
    ['with more blocks than it becomes', kernel({ total: 8 * MiB })],
    ['that becomes nothing', kernel({ total: 0 })],
    ['with a block of nothing', kernel({ blocks: [0, 3000] })],
    ['with a block that a patch could not make', kernel({ blocks: [8 * MiB + 1, 2000] })],
    ['whose head lies in more sectors', kernel().fill(200, 0x1f1, 0x1f2)],
    ['with another magic number', kernel().fill('x', 0x202, 0x203)],
    ['whose payload begins otherwise', kernel().fill(0x1f, 5 * 512 + 0x300, 5 * 512 + 0x301)],
    ['that is cut within its payload', kernel().subarray(0, 5 * 512 + 0x300 + 4000)],
    ['that is cut within its head', kernel().subarray(0, 2000)],
    ['that is empty', Buffer.alloc(0)],
    ['that is zeros', Buffer.alloc(10_000)],
    ['that is noise', Buffer.from(madeUp(10_000, 3))],
  ])('%s is none', (_, bytes) => {
    expect(readBzImage(bytes)).toBeUndefined()
  })

  it('that is damaged is none, or pieces that are the whole of it', () => {
    const whole = kernel()
    const field = fc.constantFrom(
      0x1f1,
      0x202,
      0x206,
      0x248,
      0x24c,
      5 * 512 + 0x300,
      5 * 512 + 0x304,
      5 * 512 + 0x300 + 8 + 3000,
      whole.length - 704,
    )
    let read = 0
    fc.assert(
      fc.property(field, fc.nat(3), fc.nat(255), fc.nat(800), (at, byte, value, cut) => {
        const bytes = Buffer.from(whole.subarray(0, whole.length - cut))
        bytes.writeUInt8(value, Math.min(at + byte, bytes.length - 1))
        const content = readBzImage(bytes)
        if (content === undefined) return
        read++
        expectWhole(content, bytes.length)
      }),
      { numRuns: 1000, seed: 4 },
    )
    expect(read).toBeGreaterThan(20)
  })
})
