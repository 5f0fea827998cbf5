// Two engines, one hash: the native one and the portable one give the same digests.
import { describe, expect, test } from 'vitest'
import { nativeEngine, portableEngine } from '../../store/blake3.ts'
import { noise } from '../cli/world.ts'

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

describe('BLAKE3', () => {
  const [native, portable] = [nativeEngine(), portableEngine()]

  test('is what its authors say it is', () => {
    // the paper's own vectors: input is 0, 1, 2 … 250, 0, 1 …
    const input = (length: number) => Uint8Array.from({ length }, (_, at) => at % 251)
    const vectors: Readonly<Record<number, string>> = {
      0: 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262',
      1: '2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213',
      1024: '42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7',
      102400: 'bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085',
    }
    for (const [length, digest] of Object.entries(vectors)) {
      expect(hex(native.digest(input(Number(length))))).toBe(digest)
      expect(hex(portable.digest(input(Number(length))))).toBe(digest)
    }
  })

  test('is the same from both engines, whole and in pieces, for a thousand inputs', () => {
    for (let round = 0; round < 1000; round++) {
      const bytes = noise(`blake3 ${round}`, round < 900 ? round : round * 37)
      const [one, two] = [native.create(), portable.create()]
      const cut = Math.floor(bytes.length / 3)
      for (const hasher of [one, two]) {
        hasher.update(bytes.subarray(0, cut))
        hasher.update(bytes.subarray(cut))
      }
      const digest = hex(native.digest(bytes))
      expect([hex(portable.digest(bytes)), hex(one.digest()), hex(two.digest())]).toEqual([digest, digest, digest])
    }
  })
})
