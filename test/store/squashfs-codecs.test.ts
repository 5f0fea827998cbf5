// Codecs of squashfs metadata: garbage and bombs get an error or at most 8 KiB, in no time. That they are right, real images show.
import { deflateSync } from 'node:zlib'
import { lzma, xz } from '@napi-rs/lzma'
import { describe, expect, test } from 'vitest'
import { type Compressor, type Decompress, packLz4Hc } from '../../core/mod.ts'
import { squashfsCodec } from '../../store/squashfs-codecs.ts'
import { madeUp } from '../fixtures/repository.ts'

const compressors: readonly Compressor[] = ['gzip', 'lzma', 'lzo', 'xz', 'lz4', 'zstd']

async function codec(compressor: Compressor): Promise<Decompress> {
  const found = await squashfsCodec(compressor)
  if (found === undefined) throw new Error(`no codec for ${compressor}`)
  return found
}

/** What became of the bytes: how many, or 0 when they were refused. */
function outcome(decompress: Decompress, bytes: Uint8Array): number {
  try {
    return decompress(bytes).length
  } catch {
    return 0
  }
}

const text = Buffer.from('the quick brown fox jumps over the lazy dog, '.repeat(60)).subarray(0, 2500)
const packers: Readonly<Partial<Record<Compressor, (bytes: Buffer) => Uint8Array>>> = {
  gzip: deflateSync,
  xz: xz.compressSync,
  // the package puts the size in front
  lz4: (bytes) => packLz4Hc(bytes, 9),
}

describe('a codec', () => {
  test.each(compressors)('of %s answers noise with an error or with at most 8 KiB', async (compressor) => {
    const decompress = await codec(compressor)
    for (let seed = 0; seed < 1500; seed++) expect(outcome(decompress, madeUp(1 + ((seed * 37) % 8192), seed))).toBeLessThanOrEqual(8192)
  })

  test.each(Object.keys(packers) as Compressor[])('of %s survives every wrong byte', async (compressor) => {
    const decompress = await codec(compressor)
    const packed = packers[compressor]?.(text) ?? new Uint8Array(0)
    expect(Buffer.from(decompress(packed))).toEqual(text)
    for (let at = 0; at < packed.length; at++) {
      for (const wrong of [0, 0xff, (packed[at] as number) ^ 0x80]) {
        const damaged = Uint8Array.from(packed)
        damaged[at] = wrong
        expect(outcome(decompress, damaged)).toBeLessThanOrEqual(8192)
      }
      expect(outcome(decompress, packed.subarray(0, at))).toBeLessThanOrEqual(8192)
    }
  })

  test.each(Object.keys(packers) as Compressor[])('of %s refuses what becomes more than 8 KiB', async (compressor) => {
    const packed = packers[compressor]?.(Buffer.alloc(4_000_000)) ?? new Uint8Array(0)
    expect(outcome(await codec(compressor), packed.subarray(0, 16_384))).toBe(0)
  })

  test.each(Object.keys(packers) as Compressor[])('of %s refuses what has something behind its end', async (compressor) => {
    const decompress = await codec(compressor)
    const packed = packers[compressor]?.(text) ?? new Uint8Array(0)
    for (const behind of [Buffer.alloc(1), Buffer.alloc(4), Buffer.from(packed)])
      expect(outcome(decompress, Buffer.concat([packed, behind]))).toBe(0)
  })

  test('of lzma believes no size above 8 KiB, and no stream without one', async () => {
    const decompress = await codec('lzma')
    const packed = Uint8Array.from(lzma.compressSync(Buffer.alloc(100_000)))
    new DataView(packed.buffer).setBigUint64(5, 100_000n, true)
    expect(() => decompress(packed)).toThrow('it becomes 100000 bytes')
    new DataView(packed.buffer).setBigUint64(5, 2n ** 64n - 1n, true)
    expect(() => decompress(packed)).toThrow('it becomes')
  })
})
