import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cidOf } from '../../core/cid.ts'
import { limits } from '../../core/limits.ts'
import { formatPatchHead, type Patch, parsePatch, parsePatchHead, patchTableBytes, readPatchCodecs } from '../../core/patch.ts'

const cid = (byte: number) => cidOf(new Uint8Array(32).fill(byte))
const stored = (raw: number) => ({ packing: 'stored', raw, packed: raw }) as const

/** Two groups, one codec, streams of all packings. */
const example: Patch = {
  old: { cid: cid(1), size: 5000 },
  next: { cid: cid(2), size: 6000 },
  made: 7000,
  packing: 'zstd',
  codecs: [{ name: 'zstd-1.5.5', level: 15 }],
  groups: [
    { at: 0, length: 4000, made: 7000, from: 232, streams: [stored(10), { packing: 'brotli', raw: 500, packed: 90 }, stored(0)] },
    { at: 4000, length: 2000, made: 0, from: 332, streams: [stored(3), stored(0), { packing: 'xz', raw: 2000, packed: 1000 }] },
  ],
}
const size = 332 + 1003

const bytesOf = (patch: Patch = example) => Buffer.from(formatPatchHead(patch))
const parsed = (bytes: Uint8Array, of = size) => parsePatch(bytes, of, 'patch')
const refused = (code = 'malformed') => expect.objectContaining({ code })

/** One field of the example after the other, and what it must not be. */
const fields: readonly (readonly [string, (bytes: Buffer) => void] | readonly [string, (bytes: Buffer) => void, string])[] = [
  ['another first letter', (bytes) => bytes.write('q', 0)],
  ['something before its format', (bytes) => bytes.writeUInt8(1, 13)],
  ['format 2', (bytes) => bytes.writeUInt8(2, 14), 'unsupported'],
  ['format 0', (bytes) => bytes.writeUInt8(0, 14), 'unsupported'],
  ['something behind its format', (bytes) => bytes.writeUInt8(1, 15)],
  ['an old blob that is too large', (bytes) => bytes.writeBigUInt64LE(2n ** 43n + 1n, 48)],
  ['an old blob of 2^64-1 bytes', (bytes) => bytes.writeBigUInt64LE(2n ** 64n - 1n, 48)],
  ['a new blob that is too large', (bytes) => bytes.writeBigUInt64LE(2n ** 43n + 1n, 88)],
  ['a new blob that is larger than its groups', (bytes) => bytes.writeBigUInt64LE(6001n, 88)],
  ['a new blob that is smaller than its groups', (bytes) => bytes.writeBigUInt64LE(5999n, 88)],
  ['less to encode than its groups', (bytes) => bytes.writeBigUInt64LE(6999n, 96)],
  ['more to encode than its groups', (bytes) => bytes.writeBigUInt64LE(7001n, 96)],
  ['more to encode than it may have', (bytes) => bytes.writeBigUInt64LE(BigInt(limits.patch.made(6000) + 1), 96)],
  ['sources packed in a way that nobody knows', (bytes) => bytes.writeUInt32LE(7, 104)],
  ['no codec, though one is there', (bytes) => bytes.writeUInt32LE(0, 108)],
  ['seventeen codecs', (bytes) => bytes.writeUInt32LE(17, 108)],
  ['a codec more', (bytes) => bytes.writeUInt32LE(2, 108)],
  ['a group less', (bytes) => bytes.writeUInt32LE(1, 112)],
  ['a group more', (bytes) => bytes.writeUInt32LE(3, 112)],
  ['65,537 groups', (bytes) => bytes.writeUInt32LE(65_537, 112)],
  ['something in the field that is zero', (bytes) => bytes.writeUInt32LE(1, 116)],
  ['a codec with an empty name', (bytes) => bytes.fill(0, 120, 148)],
  ['a codec with a capital in its name', (bytes) => bytes.write('Z', 120)],
  ['a codec with a zero inside its name', (bytes) => bytes.writeUInt8(0, 124)],
  ['a codec with a line feed behind its name', (bytes) => bytes.write('\n', 130)],
  ['an empty group', (bytes) => bytes.writeBigUInt64LE(0n, 152)],
  ['a group that is longer than the blob', (bytes) => bytes.writeBigUInt64LE(6001n, 152)],
  ['groups that are more than the blob together', (bytes) => bytes.writeBigUInt64LE(6000n, 152)],
  ['a group of 2^53+1 bytes', (bytes) => bytes.writeBigUInt64LE(2n ** 53n + 1n, 152)],
  ['a group that encodes more than it may', (bytes) => bytes.writeUInt32LE(limits.patch.groupMade + 1, 160)],
  ['a group that encodes something else', (bytes) => bytes.writeUInt32LE(6999, 160)],
  ['a stream that is packed in a way that nobody knows', (bytes) => bytes.writeUInt8(3, 164)],
  ['another such stream', (bytes) => bytes.writeUInt8(255, 166)],
  ['something beside the packings', (bytes) => bytes.writeUInt8(1, 167)],
  ['a stored stream that becomes larger', (bytes) => bytes.writeUInt32LE(11, 168)],
  ['a stream that is too long unpacked', (bytes) => bytes.writeUInt32LE(limits.patch.stream + 1, 172)],
  ['a stored stream that lies in more bytes', (bytes) => bytes.writeUInt32LE(11, 180)],
  ['a packed stream that lies in more bytes', (bytes) => bytes.writeUInt32LE(91, 184)],
  ['a packed stream that lies in fewer bytes', (bytes) => bytes.writeUInt32LE(89, 184)],
]

describe('the head of a patch', () => {
  it('is read as it was written', () => {
    const bytes = bytesOf()
    expect(bytes.length).toBe(232)
    expect(patchTableBytes({ codecs: 1, groups: 2 })).toBe(232)
    expect(parsed(bytes)).toEqual(example)
    expect(parsePatchHead(bytes.subarray(0, 120), 'patch')).toEqual({ ...example, codecs: 1, groups: 2 })
    expect(readPatchCodecs(bytes.subarray(0, 152), { ...example, codecs: 1, groups: 2 })).toEqual(example.codecs)
  })

  it('has its fields where the specification says', () => {
    const bytes = bytesOf()
    expect(bytes.subarray(0, 16).toString('latin1')).toBe('psyblob patch\0\x01\0')
    expect([bytes[16], bytes.readBigUInt64LE(48), bytes[56], bytes.readBigUInt64LE(88)]).toEqual([1, 5000n, 2, 6000n])
    expect([bytes.readBigUInt64LE(96), ...[104, 108, 112, 116].map((at) => bytes.readUInt32LE(at))]).toEqual([7000n, 6, 1, 2, 0])
    expect(bytes.subarray(120, 148).toString('latin1')).toBe('zstd-1.5.5'.padEnd(28, '\0'))
    expect([bytes.readUInt32LE(148), bytes.readBigUInt64LE(152), bytes.readUInt32LE(160)]).toEqual([15, 4000n, 7000])
    expect([...bytes.subarray(164, 168)]).toEqual([0, 1, 0, 0])
    expect([168, 172, 176, 180, 184, 188].map((at) => bytes.readUInt32LE(at))).toEqual([10, 500, 0, 10, 90, 0])
    expect([...bytes.subarray(204, 208)]).toEqual([0, 0, 2, 0])
  })

  it.each(fields.map(([what, change, code = 'malformed']) => [what, change, code] as const))('with %s is refused', (_, change, code) => {
    const bytes = bytesOf()
    change(bytes)
    expect(() => parsed(bytes)).toThrow(refused(code))
  })

  it('that is cut anywhere is refused', () => {
    const bytes = bytesOf()
    for (let length = 0; length < bytes.length; length++) expect(() => parsed(bytes.subarray(0, length))).toThrow(refused())
  })

  it('of a patch that is longer or shorter than its streams is refused', () => {
    for (const other of [0, 232, size - 1, size + 1]) expect(() => parsed(bytesOf(), other)).toThrow(refused())
  })

  it('lets streams become at most twice the new blob and a MiB', () => {
    const group = (raw: number) => ({
      ...example,
      groups: example.groups.map((one) => ({ ...one, streams: [stored(0), { packing: 'brotli', raw, packed: 0 }, stored(0)] as const })),
    })
    const most = limits.patch.streams(6000) / 2
    expect(parsed(bytesOf(group(most)), 232).groups.length).toBe(2)
    expect(() => parsed(bytesOf(group(most + 1)), 232)).toThrow(refused())
  })

  it('may have sixteen codecs, and no more', () => {
    const codecs = (count: number) => ({ ...example, codecs: Array.from({ length: count }, (_, level) => ({ name: 'zstd-1.5.5', level })) })
    expect(parsed(bytesOf(codecs(16)), size + 15 * 32).codecs[15]).toEqual({ name: 'zstd-1.5.5', level: 15 })
    expect(() => parsed(bytesOf(codecs(17)), size + 16 * 32)).toThrow(refused())
  })

  it('may have 65,536 groups, and no more', () => {
    const tiny = { length: 1, made: 0, at: 0, from: 0, streams: [stored(0), stored(0), stored(0)] } as const
    const groups = (count: number) => ({ ...example, next: { cid: cid(2), size: count }, groups: Array<typeof tiny>(count).fill(tiny) })
    expect(parsed(bytesOf(groups(65_536)), 152 + 65_536 * 40).groups.length).toBe(65_536)
    expect(() => parsed(bytesOf(groups(65_537)), 152 + 65_537 * 40)).toThrow(refused())
  })

  it.each([
    ['encodes', 16 * 1024 * 1024, (made: number) => ({ made })],
    [
      'has in a stream',
      16 * 1024 * 1024,
      (raw: number) => ({ streams: [stored(0), { packing: 'xz', raw, packed: 0 }, stored(0)] as const }),
    ],
  ])('has no group that %s more than 16 MiB', (_, most, change) => {
    const length = 8 * 1024 * 1024
    const of = (value: number) => {
      const group = { at: 0, from: 0, length, made: 0, streams: [stored(0), stored(0), stored(0)] as const, ...change(value) }
      return bytesOf({ ...example, next: { cid: cid(2), size: length }, groups: [group] })
    }
    expect(parsed(of(most), 192).groups.length).toBe(1)
    expect(() => parsed(of(most + 1), 192)).toThrow(refused())
  })

  it('has no group of nothing', () => {
    const nothing = { at: 6000, from: 1335, length: 0, made: 0, streams: [stored(0), stored(0), stored(0)] } as const
    expect(() => parsed(bytesOf({ ...example, groups: [...example.groups, nothing] }), size + 40)).toThrow(refused())
  })

  it('of which only the beginning is there names its codecs, or is refused', () => {
    const head = { ...example, codecs: 1, groups: 2 }
    expect(readPatchCodecs(bytesOf().subarray(0, 152), head).length).toBe(1)
    expect(() => readPatchCodecs(bytesOf().subarray(0, 151), head)).toThrow(refused())
  })

  it('of an empty blob has no groups', () => {
    const empty = { ...example, next: { cid: cid(3), size: 0 }, made: 0, codecs: [], groups: [] }
    expect(parsed(bytesOf(empty), 120)).toEqual(empty)
  })

  it('keeps nothing that it does not say: no byte of it can change unnoticed', () => {
    const bytes = bytesOf()
    fc.assert(
      fc.property(fc.nat(231), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const bent = Buffer.from(bytes)
        bent.writeUInt8((bent.readUInt8(at) ^ change) & 255, at)
        try {
          expect(Buffer.from(formatPatchHead(parsed(bent))).equals(bent)).toBe(true)
        } catch (error) {
          if (!['malformed', 'unsupported'].includes((error as { code: string }).code)) throw error
        }
      }),
      { numRuns: 2000 },
    )
  })
})
