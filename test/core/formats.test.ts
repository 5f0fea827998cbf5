import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  ChunkIndexBuilder,
  ChunkTable,
  chunks,
  cidOf,
  cut,
  defaultSizes,
  formatManifest,
  formatPointer,
  growth,
  joinPointerFile,
  type ManifestContent,
  parseChunkIndex,
  parseComposition,
  parseManifest,
  parsePointer,
  splitPointerFile,
  utf8Decode,
  utf8Encode,
} from '../../core/mod.ts'

const malformed = expect.objectContaining({ code: 'malformed' })
const digest = (seed: number) => new Uint8Array(32).fill(seed)
const cid = cidOf(digest(7))

function noise(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length)
  let state = seed >>> 0 || 1
  for (let at = 0; at < length; at++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    bytes[at] = state
  }
  return bytes
}

async function cutAll(pieces: readonly Uint8Array[]): Promise<number[]> {
  const lengths: number[] = []
  async function* source() {
    yield* pieces
  }
  for await (const chunk of chunks(source(), { window: 256 * 1024 })) lengths.push(chunk.length)
  return lengths
}

describe('the chunker', () => {
  test('cuts where it cuts, however the bytes arrive', async () => {
    const data = noise(1_500_000, 3)
    const whole = await cutAll([data])
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 300_000 }), { minLength: 1, maxLength: 12 }), async (sizes) => {
        const pieces: Uint8Array[] = []
        let at = 0
        for (let turn = 0; at < data.length; turn++) {
          const size = sizes[turn % sizes.length] as number
          pieces.push(data.subarray(at, at + size))
          at += size
        }
        expect(await cutAll(pieces)).toEqual(whole)
      }),
      { numRuns: 20 },
    )
  })
  test('keeps to its sizes, and zeros are cut at the longest', async () => {
    const lengths = await cutAll([noise(2_000_000, 9)])
    for (const length of lengths.slice(0, -1)) {
      expect(length).toBeGreaterThan(defaultSizes.min)
      expect(length).toBeLessThanOrEqual(defaultSizes.max)
    }
    expect(lengths.reduce((sum, length) => sum + length, 0)).toBe(2_000_000)
    expect(cut(new Uint8Array(200_000), 0, 200_000)).toBe(defaultSizes.max)
    expect(await cutAll([])).toEqual([])
  })
  test('grow with blobs above a gibibyte, so that an index does not', () => {
    const GiB = 2 ** 30
    expect([1, GiB, GiB + 1, 2 * GiB, 4_000_000_000, 16 * GiB, 8192 * GiB].map(growth)).toEqual([1, 1, 2, 2, 4, 16, 16])
  })
  test('finds its cuts again after bytes were put in front', async () => {
    const data = noise(1_000_000, 5)
    const before = await cutAll([data])
    const after = await cutAll([noise(777, 1), data])
    expect(after.slice(-10)).toEqual(before.slice(-10))
  })
})

describe('a chunk index', () => {
  const builder = new ChunkIndexBuilder()
  for (let chunk = 0; chunk < 3000; chunk++) builder.add(1 + (chunk % 99), digest(chunk % 251))
  const bytes = builder.finish()
  const size = Array.from({ length: 3000 }, (_, chunk) => 1 + (chunk % 99)).reduce((sum, length) => sum + length, 0)

  test('gives back what went in, and finds chunks by digest and by offset', () => {
    const index = parseChunkIndex(bytes, size, 'index')
    expect(index.count).toBe(3000)
    expect(index.length(100)).toBe(2)
    expect(index.at(index.offset(1234))).toBe(1234)
    expect(index.at(size - 1)).toBe(2999)
    const table = new ChunkTable(index)
    expect(table.find(digest(250))).toBe(250)
    expect(table.find(digest(252))).toBeUndefined()
  })
  test.each([
    ['another size', bytes, size + 1],
    ['a cut record', bytes.slice(0, -1), size],
    ['a missing record', bytes.slice(0, -36), size],
    ['another magic', Uint8Array.of(1, ...bytes.slice(1)), size],
    [
      'an endless chunk',
      (() => {
        const bent = bytes.slice()
        bent.fill(0xff, 24, 28)
        return bent
      })(),
      size,
    ],
    [
      'an empty chunk',
      (() => {
        const bent = bytes.slice()
        bent.fill(0, 24, 28)
        return bent
      })(),
      size,
    ],
  ])('with %s is refused', (_, bent, stated) => expect(() => parseChunkIndex(bent, stated, 'index')).toThrow(malformed))
})

const content: ManifestContent & { serial: number; previous: null; created: string } = {
  repo: 'org.example.os',
  name: 'os',
  desc: '',
  serial: 1,
  version: '1',
  previous: null,
  created: '2026-11-23T10:15:00Z',
  compat: 'x86_64-uefi',
  key: null,
  remotes: [],
  'post-exec': null,
  records: [
    {
      path: '/squashfs',
      role: 'squashfs',
      mod: 33188,
      uid: 0,
      gid: 0,
      target: null,
      licence: null,
      bin: { cid, size: 70_000, index: { cid, size: 96 } },
      ccs: null,
    },
    { path: '/kernel', role: 'kernel', mod: 33188, uid: 0, gid: 0, target: null, licence: null, bin: { cid, size: 5 }, ccs: null },
  ],
}

describe('a manifest', () => {
  const body = utf8Decode(formatManifest(content), 'manifest')
  const bend = (from: string | RegExp, to: string) => utf8Encode(body.replace(from, to))
  test('reads back, its entries in order', () => {
    const manifest = parseManifest(utf8Encode(body), 'manifest')
    expect(manifest.records.map((record) => record.path)).toEqual(['/kernel', '/squashfs'])
    expect(manifest.size).toBe(70_005)
    expect(formatManifest({ ...manifest })).toEqual(utf8Encode(body))
  })
  test.each([
    ['an unknown field', bend('"desc":""', '"desc":"","extra":1')],
    ['a repeated key', bend('"desc":""', '"desc":"","desc":""')],
    ['a __proto__', bend('"desc":""', '"__proto__":{},"desc":""')],
    ['a number as text', bend('"serial":1', '"serial":"1"')],
    ['a number in another spelling', bend('"serial":1', '"serial":1.0')],
    ['serial 0', bend('"serial":1', '"serial":0')],
    ['serial 2^53', bend('"serial":1', '"serial":9007199254740992')],
    ['a wrong sum of sizes', bend('"size":70005', '"size":70004')],
    ['a wrong count', bend('"entries":2', '"entries":3')],
    ['a path that climbs', bend('/kernel', '/../kernel')],
    ['twins', bend('"/kernel"', '"/SQUASHFS"')],
    ['entries out of order', bend('"/kernel"', '"/zkernel"')],
    ['a device', bend('33188', '8612')],
    ['a folder with a blob', bend('33188', '16877')],
    ['an entry below a file', bend('"/squashfs"', '"/kernel/x"')],
    ['another format', bend('manifest/1', 'manifest/2')],
    ['no last line feed', utf8Encode(body.slice(0, -1))],
    ['carriage returns', bend(/\n/g, '\r\n')],
    ['nesting without end', utf8Encode(`${'['.repeat(100_000)}\n`)],
    ['bytes that are no UTF-8', Uint8Array.of(0xff, 0x0a)],
    ['a post-exec that is no file of it', bend('"post-exec":null', '"post-exec":"/nothing"')],
  ])('with %s is refused', (_, bytes) => expect(() => parseManifest(bytes, 'manifest')).toThrow(malformed))
})

describe('a pointer', () => {
  const body = formatPointer({
    repo: 'r',
    channel: 'stable',
    version: 3,
    issued: '2026-11-23T10:15:00Z',
    expires: '2026-11-30T10:15:00Z',
    root: 0,
    products: { os: { serial: 1, manifest: cid, size: 9 }, efisys: { serial: 2, manifest: cid, size: 9 } },
  })
  test('is split from its signature and joined again', () => {
    const file = splitPointerFile(joinPointerFile({ body, signatures: 'four\nlines\n' }), 'pointer')
    expect(file.signatures).toBe('four\nlines\n')
    expect(parsePointer(file.body).products['os']?.serial).toBe(1)
  })
  test.each([
    ['an unknown field', '"root":0', '"root":0,"x":0'],
    ['an end before its beginning', '2026-11-30', '2026-11-20'],
    ['an end that is no time', '2026-11-30T10:15:00Z', 'never'],
    ['version 0', '"version":3', '"version":0'],
  ])('with %s is refused', (_, from, to) =>
    expect(() => parsePointer(utf8Encode(utf8Decode(body, 'p').replace(from, to)))).toThrow(malformed),
  )
  test('a page of a web server is no pointer, and the hint says so', () => {
    expect(() => splitPointerFile(utf8Encode('<html>\n<body>\n'), 'pointer stable of here')).toThrow(malformed)
  })
})

describe('a composition', () => {
  test('may be spaced, and fills in channel and target', () => {
    const [os] = parseComposition('\n { "name": "os", "key": "RWQ", "uris": ["./repo"] }\n', 'composition')
    expect(os).toMatchObject({ channel: 'stable', target: { kind: 'slots' } })
  })
  test.each([
    '',
    '{"name":"os"}',
    '{"name":"os","name":"x","key":"k","uris":["u"]}',
    '{"name":"os","key":"k","uris":[]}',
    '{"name":"os","key":"k","uris":["u"],"target":{"kind":"disk"}}',
    '{"name":"os","key":"k","uris":["u"]}\n{"name":"os","key":"k","uris":["u"]}',
  ])('%j is refused', (source) => expect(() => parseComposition(source, 'composition')).toThrow(malformed))
})
