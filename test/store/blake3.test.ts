// Two engines, one hash: the native one and the portable one give the same digests.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { nativeEngine, portableEngine } from '../../store/blake3.ts'
import { noise } from '../cli/world.ts'

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const published = join(process.env['PSYBLOB_VECTORS'] ?? join(import.meta.dirname, '../../../shared/vectors'), 'blake3.json')
if (!existsSync(published)) console.log(`no published BLAKE3 vectors at ${published}: set PSYBLOB_VECTORS to run them`)
/** The input of the official vectors: 0, 1, 2 … 250, 0, 1 … */
const counting = (length: number) => Uint8Array.from({ length }, (_, at) => at % 251)

describe('BLAKE3', () => {
  const [native, portable] = [nativeEngine(), portableEngine()]

  test('is what its authors say it is', () => {
    const vectors: Readonly<Record<number, string>> = {
      0: 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262',
      1: '2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213',
      1024: '42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7',
      102400: 'bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085',
    }
    for (const [length, digest] of Object.entries(vectors)) {
      expect(hex(native.digest(counting(Number(length))))).toBe(digest)
      expect(hex(portable.digest(counting(Number(length))))).toBe(digest)
    }
  })

  test('is the same from both engines, whole and in pieces, for a thousand inputs of 0 to 200 KB', () => {
    for (let round = 0; round < 1000; round++) {
      // numbers of 32 bits that only the round decides: the length, how many pieces, where they end
      const numbers = noise(`blake3 numbers ${round}`, 32)
      const number = (at: number, below: number) => numbers.readUInt32LE(at * 4) % below
      // short ones, lengths about the blocks and chunks of BLAKE3, and everything up to 200 KB
      const length = round < 130 ? round : round < 200 ? 1024 * (1 + ((round >> 1) % 34)) - 1 + (round % 3) : number(0, 200_001)
      const bytes = noise(`blake3 ${round}`, length)
      const ends = [...Array.from({ length: number(1, 6) }, (_, at) => number(2 + at, length + 1)), length].sort((one, two) => one - two)
      const [one, two] = [native.create(), portable.create()]
      let from = 0
      for (const end of ends) {
        for (const hasher of [one, two]) hasher.update(bytes.subarray(from, end))
        from = end
      }
      const digest = hex(native.digest(bytes))
      expect(digest).toHaveLength(64)
      expect([hex(portable.digest(bytes)), hex(one.digest()), hex(two.digest())], `round ${round}, ends ${ends}`).toEqual([
        digest,
        digest,
        digest,
      ])
    }
  })

  test.skipIf(!existsSync(published))('is what all official vectors say, whole and byte by byte', () => {
    type File = { readonly cases: readonly { readonly input_len: number; readonly hash: string }[] }
    const { cases } = JSON.parse(readFileSync(published, 'utf8')) as File
    expect(cases.length).toBeGreaterThan(30)
    for (const { input_len, hash } of cases) {
      const input = counting(input_len)
      // the vectors go on with the extended output, of which 32 bytes are the hash
      const digest = hash.slice(0, 64)
      for (const engine of [native, portable]) {
        expect(hex(engine.digest(input)), `${engine.name}, ${input_len} bytes`).toBe(digest)
        const hasher = engine.create()
        for (let at = 0; at < input.length; at++) hasher.update(input.subarray(at, at + 1))
        expect(hex(hasher.digest()), `${engine.name}, ${input_len} bytes one by one`).toBe(digest)
      }
    }
  })
})
