// Patches that a publisher signed and that are not what they should be: the chunks do the work, in time and in memory.
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliCompressSync, constants } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  type CID,
  type EntryBlob,
  formatPatchHead,
  formatPublicKeyFile,
  limits,
  type Patch,
  type PatchGroup,
  type PatchStream,
  parsePatch,
  patchTableBytes,
} from '../../core/mod.ts'
import { VarintWriter } from '../../core/varint.ts'
import { loadEncoder } from '../../store/mod.ts'
import { type BentServer, bentServer } from '../fixtures/bent-server.ts'
import { blobOf } from '../fixtures/repository.ts'
import { answerFrom, evenChunks, fileEntry, Site } from '../fixtures/site.ts'
import { blobPath, PatchWorld, warnings } from './patch-world.ts'
import { noise, type Outcome } from './world.ts'

/** What a node may take with two threads for a patch that somebody makes. Bytes. */
const mostMemory = 192 * 1024 * 1024
/** For one that takes all that the limits give; and where pieces are of 8 MiB, which zstd needs that much for. */
const mostEver = 256 * 1024 * 1024
const mostForPieces = 448 * 1024 * 1024
/** Milliseconds, on a machine with other work. */
const mostTime = 60_000

let world: PatchWorld
let site: Site
let server: BentServer
let serial = 1
/** The patch that was published, and the blobs that it is between. */
let right: Buffer
let old: EntryBlob
let next: EntryBlob

const without = ({ cid, size, index }: EntryBlob): EntryBlob => ({ cid, size, ...(index === undefined ? {} : { index }) })

beforeAll(async () => {
  world = await new PatchWorld().withBoth()
  site = new Site()
  for (const entry of readdirSync(world.path('repo/blobs'), { recursive: true, withFileTypes: true }))
    if (entry.isFile()) site.put(readFileSync(join(entry.parentPath, entry.name)))
  server = await bentServer((asked) => answerFrom(site.files, asked))
  right = world.read(`repo/${blobPath(world.patches(2)[0]?.cid as CID)}`)
  old = without(world.squashfs(1))
  next = without(world.squashfs(2))
  world.write('site.pub', formatPublicKeyFile(site.key.publicKey))
  world.write(
    'peak.cjs',
    `const { readFileSync, writeFileSync } = require('node:fs')
    process.on('exit', () => writeFileSync(process.env.TEST_PEAK, /VmHWM:\\s+(\\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))[1]))`,
  )
  await install('node', old)
})
beforeEach(() => world.remove('peak'))
afterAll(async () => {
  await server.close()
  world.close()
})

const words = (name: string) => `--key site.pub --remote ${server.url} --slot-a ${name}/a --slot-b ${name}/b --esp ${name}/esp --compat any`

/** A node that has this image in slot a. */
async function install(name: string, image: EntryBlob): Promise<void> {
  mkdirSync(world.path(name))
  site.release(serial, [fileEntry('/squashfs', 'squashfs', image)])
  await world.must(`sync os ${words(name)}`, { env: { PSYBLOB_STORE: world.path(name, 'store') } })
}

type Met = Outcome & { readonly memory: number; readonly milliseconds: number }

/** The node meets a release whose image has these patches. */
async function meet(name: string, image: EntryBlob, patches: NonNullable<EntryBlob['patches']>): Promise<Met> {
  const kept = `${name}-kept`
  world.remove(kept)
  world.copy(name, kept)
  try {
    site.release(++serial, [fileEntry('/squashfs', 'squashfs', { ...image, patches })])
    const begun = performance.now()
    const outcome = await world.psyblob(`sync os ${words(name)} --booted a --prefer bytes --json`, {
      env: {
        PSYBLOB_STORE: world.path(name, 'store'),
        NODE_OPTIONS: `--require=${world.path('peak.cjs')}`,
        TEST_PEAK: world.path('peak'),
      },
    })
    const milliseconds = performance.now() - begun
    expect(outcome).toMatchObject({ code: 0 })
    expect(blobOf(world.read(`${name}/b/squashfs`)).cid).toBe(image.cid)
    expect(readdirSync(world.path(name, 'b')).sort()).toEqual(['manifest', 'manifest.minisig', 'squashfs'])
    return Object.assign(outcome, { milliseconds, memory: Number(world.read('peak').toString()) * 1024 })
  } finally {
    world.remove(name)
    world.copy(kept, name)
  }
}

/** The published patch, put together again with another head. */
function withHead(change: Partial<Patch>): Buffer {
  const patch = parsePatch(right, right.length, 'patch')
  return Buffer.concat([
    formatPatchHead({ ...patch, ...change }),
    right.subarray(patchTableBytes({ codecs: 1, groups: patch.groups.length })),
  ])
}

const named = (bytes: Uint8Array, from: CID = old.cid) => ({ from, cid: site.put(bytes).cid, size: bytes.length })

describe('a patch', () => {
  test('as it was published is used by this node', async () => {
    const met = await meet('node', next, [named(right)])
    expect(met.json.plan[0].how).toBe('patch')
    expect(warnings(met)).toEqual([])
    expect(met.memory).toBeLessThanOrEqual(mostMemory)
  })

  const level = (bytes: Buffer, to: number) => {
    bytes.writeUInt32LE(to, 120 + 28)
    return bytes
  }
  const cases: readonly (readonly [what: string, bytes: () => Buffer, why: RegExp])[] = [
    ['that is none', () => noise('no patch', 9000), /no patch of \/squashfs is used: patch bafkr4i\w+: no patch/],
    [
      'that is shorter than a head',
      () => noise('no patch', 50),
      /no patch of \/squashfs is used: patch bafkr4i\w+: it ends within its head/,
    ],
    ['from another blob', () => withHead({ old: { cid: blobOf(noise('other', 9)).cid, size: 9 } }), /is one of other blobs/],
    ['to another blob', () => withHead({ next: { cid: old.cid, size: next.size } }), /is one of other blobs/],
    [
      'of a later format',
      () => {
        const bytes = withHead({})
        bytes[14] = 2
        return bytes
      },
      /no patch of \/squashfs is used: patch bafkr4i\w+: a patch of format 2/,
    ],
    [
      'by an encoder that nobody has',
      () => withHead({ codecs: [{ name: 'zstd-9.9.9', level: 15 }] }),
      /no encoder zstd-9\.9\.9 of level 15/,
    ],
    ['at a level that there is not', () => level(withHead({}), 99), /no encoder zstd-1\.5\.\d of level 99/],
    ['at another level than the image is made with', () => level(withHead({}), 1), /patch of \/squashfs: \d+ of its \d+ parts failed: /],
    ['whose head ends too early', () => right.subarray(0, 130), /no patch of \/squashfs is used|expected \d+ bytes, got 130/],
    ['that is longer than it says', () => Buffer.concat([right, Buffer.alloc(9)]), /expected \d+ bytes, got \d+/],
    [
      'whose streams are noise',
      () => Buffer.concat([right.subarray(0, 1200), noise('streams', right.length - 1200)]),
      /patch of \/squashfs: \d+ of its \d+ parts failed: /,
    ],
  ]
  test.each(cases)('%s is left for the chunks', async (_, bytes, why) => {
    const met = await meet('node', next, [named(bytes())])
    expect(warnings(met)).toEqual([expect.stringMatching(why)])
    expect(met.stderr).toMatch(/chunks are fetched in/)
  })

  test.each([1, -1])('that is %i byte longer in the manifest is left for the chunks', async (more) => {
    const { from, cid, size } = named(right)
    const met = await meet('node', next, [{ from, cid, size: size + more }])
    expect(warnings(met)).toEqual([expect.stringMatching(/chunks are fetched in/)])
  })

  test('that is good is found among bad ones, and the old image as its own patch is none', async () => {
    const met = await meet(
      'node',
      next,
      [named(noise('no patch', 9000)), { ...old, from: old.cid }, named(right)].map(({ from, cid, size }) => ({ from, cid, size })),
    )
    expect(met.json.plan[0].how).toBe('patch')
    expect(warnings(met).length).toBeLessThanOrEqual(2)
  })
})

type Streams = { readonly control: Uint8Array; readonly differences?: Uint8Array; readonly inserted?: Uint8Array }
type Group = { readonly length: number; readonly made: number; readonly streams: Streams }

const none = new Uint8Array(0)

/** A patch of these groups, packed as small as brotli can. */
function patchOf(from: EntryBlob, to: EntryBlob, groups: readonly Group[]): Buffer {
  const packed = groups.map(({ streams: { control, differences = none, inserted = none } }) =>
    [control, differences, inserted].map((bytes) =>
      bytes.length === 0
        ? { packing: 'stored' as const, raw: 0, bytes: Buffer.alloc(0) }
        : {
            packing: 'brotli' as const,
            raw: bytes.length,
            bytes: brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 5 } }),
          },
    ),
  )
  const table = groups.map(({ length, made }, number): PatchGroup => {
    const streams = packed[number]?.map(({ packing, raw, bytes }): PatchStream => ({ packing, raw, packed: bytes.length }))
    return { at: 0, length, made, from: 0, streams: streams as unknown as PatchGroup['streams'] }
  })
  const head = formatPatchHead({
    old: { cid: from.cid, size: from.size },
    next: { cid: to.cid, size: to.size },
    packing: 'none',
    codecs: [{ name: 'zstd-1.5.5', level: 15 }],
    groups: table,
  })
  return Buffer.concat([head, ...packed.flat().map(({ bytes }) => bytes)])
}

const mebibyte = 1024 * 1024
const numbers = (write: (writer: VarintWriter) => void): Uint8Array => {
  const writer = new VarintWriter()
  write(writer)
  return writer.finish()
}
const put = (writer: VarintWriter, ...values: readonly number[]) => {
  for (const value of values) writer.put(value)
}
/** As core/patch-group.ts numbers them. */
const step = { copy: 0, literal: 1, unit: 2, emit: 3 }

describe('a patch that takes all that the limits give', () => {
  const size = 24 * mebibyte
  const [firstChange, every, changed] = [100_000, 4 * mebibyte, 300_000]
  let from: EntryBlob
  let to: EntryBlob
  let bytes: Buffer

  beforeAll(async () => {
    const old = noise('bomb', size)
    from = site.indexed(old, evenChunks(old, 32 * 1024))
    bytes = Buffer.from(old)
    for (let at = firstChange; at < size; at += every) bytes.set(noise(`bomb ${at}`, changed), at)
    to = site.indexed(bytes, evenChunks(bytes, 32 * 1024))
    await install('large', from)
  })

  /** So many groups, alike, that make the whole. */
  const alike = (count: number, made: number, streams: (length: number) => Streams): readonly Group[] =>
    Array.from({ length: count }, (_, number) => {
      const length = Math.floor((size * (number + 1)) / count) - Math.floor((size * number) / count)
      return { length, made, streams: streams(length) }
    })
  const { unit } = limits.patch

  const bombs: readonly (readonly [what: string, groups: () => Promise<readonly Group[]>])[] = [
    [
      'zeros without end',
      async () => {
        // an old text of 8 MiB from one source, taken with no difference, encoded as one piece
        const control = numbers((writer) => {
          for (let number = 0; number < 2; number++) {
            put(writer, step.unit, 0, 1, 0, 0, unit, unit, 1, unit, 0, 0)
            put(writer, step.emit, 1, unit)
          }
        })
        return alike(8, 2 * unit, () => ({ control, differences: numbers((writer) => put(writer, 2 ** 52, 0)) }))
      },
    ],
    [
      'changes without end',
      async () => {
        const count = limits.patch.triples
        const control = numbers((writer) => {
          put(writer, step.unit, 0, 1, 0, 0, unit, unit, count)
          for (let number = 0; number < count; number++) put(writer, 8, 0, 0)
          put(writer, step.emit, 0, unit)
        })
        return alike(3, unit, () => ({ control, differences: numbers((writer) => put(writer, unit, 0)) }))
      },
    ],
    [
      'units without end',
      async () => {
        const count = 1_200_000
        const control = numbers((writer) => {
          for (let number = 0; number < count; number++) put(writer, step.unit, 0, 0, 1, 1, 0, 1, 0, step.emit, 0, 1)
        })
        return alike(3, count, () => ({ control, inserted: new Uint8Array(count) }))
      },
    ],
    [
      'steps without end',
      async () => {
        const control = numbers((writer) => {
          for (let number = 0; number < 5_000_000; number++) put(writer, step.copy, number === 0 ? 0 : 1, 1)
        })
        return alike(3, 0, () => ({ control }))
      },
    ],
    [
      'pieces without end, of a byte each',
      async () => {
        const count = 200_000
        const encode = await loadEncoder('zstd-1.5.5', 15)
        const { length: each } = encode(new Uint8Array(1))
        const control = (length: number) =>
          numbers((writer) => {
            put(writer, step.unit, 0, 0, count, 1, 0, count, 0)
            for (let number = 0; number < count; number++) put(writer, step.emit, 1, 1)
            put(writer, step.copy, 0, length - each * count)
          })
        return alike(3, count, (length) => ({ control: control(length), inserted: new Uint8Array(count) }))
      },
    ],
    [
      'sources without end',
      async () => {
        // 4096 times the same 256 bytes for each unit: as much as may be handled for so many that are made
        const [count, made] = [400, 16 * 1024]
        const control = (length: number) =>
          numbers((writer) => {
            for (let number = 0; number < count; number++) {
              put(writer, step.unit, 0, 4096, 2, 0, 256, 0, 256)
              for (let part = 1; part < 4096; part++) put(writer, 6, 0, 256)
              put(writer, made, 1, made, 0, 0, step.emit, 0, made)
            }
            put(writer, step.copy, 0, length - count * made)
          })
        const differences = numbers((writer) => put(writer, count * made, 0))
        return alike(3, count * made, (length) => ({ control: control(length), differences }))
      },
    ],
    [
      'streams that unpack to more than they say',
      async () => {
        return alike(3, 0, () => ({ control: new Uint8Array(200 * mebibyte) }))
      },
    ],
  ]
  test.each(bombs)(
    '%s: it ends, in memory, and the chunks do the work',
    async (what, groups) => {
      const patch = patchOf(from, to, await groups())
      if (what.startsWith('streams')) {
        // the head says less than there is
        const first = 120 + 32 + 16
        for (let group = 0; group < 3; group++) patch.writeUInt32LE(1000, first + 40 * group)
      }
      const met = await meet('large', without(to), [named(patch, from.cid)])
      console.log(
        `${what}: ${patch.length} bytes, ${Math.round(met.memory / mebibyte)} MiB, ${Math.round(met.milliseconds)} ms; ${warnings(met)}`,
      )
      expect(warnings(met)).toEqual([expect.stringMatching(/^psyblob: warning: patch of \/squashfs: .*; chunks are fetched in its place/)])
      expect(met.memory).toBeLessThanOrEqual(what.startsWith('zeros') ? mostForPieces : mostEver)
      expect(met.milliseconds).toBeLessThan(mostTime)
    },
    2 * mostTime,
  )

  test('and one that copies nearly all of a large blob does so in parts', async () => {
    // cut otherwise, so that no chunk is here
    const image = site.indexed(bytes, evenChunks(bytes, 30_000))
    const inserted: Buffer[] = []
    const control = numbers((writer) => {
      let at = 0
      for (let place = firstChange; place < size; place += every) {
        put(writer, step.copy, at === 0 ? 0 : 2 * changed, place - at, step.literal, changed)
        inserted.push(bytes.subarray(place, place + changed))
        at = place + changed
      }
      put(writer, step.copy, 2 * changed, size - at)
    })
    const patch = patchOf(from, image, [{ length: size, made: 0, streams: { control, inserted: Buffer.concat(inserted) } }])
    const met = await meet('large', without(image), [named(patch, from.cid)])
    expect(met.json.plan[0].how).toBe('patch')
    expect(warnings(met)).toEqual([])
    expect(met.memory).toBeLessThanOrEqual(mostMemory)
  })
})
