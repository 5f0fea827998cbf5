// Every vector of spec/vectors but those of signatures, which test/core runs: one case a file, good and bad.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ChunkIndexBuilder, parseChunkIndex } from '../../core/chunk-index.ts'
import { type Cutter, chunks, fastCdc } from '../../core/chunker.ts'
import { cidOf, digestOf, parseCid } from '../../core/cid.ts'
import { parseComposition } from '../../core/composition.ts'
import { isPsyblobError } from '../../core/errors.ts'
import { checkFreshness, trustedNow } from '../../core/freshness.ts'
import { indexPages } from '../../core/index-pages.ts'
import { parseManifest } from '../../core/manifest.ts'
import { parseName, parsePath, parseSerial, parseTime } from '../../core/names.ts'
import { parsePointer } from '../../core/pointer.ts'
import { parseRoot } from '../../core/root.ts'
import { readSquashfs } from '../../core/squashfs.ts'
import { squashfsCutter } from '../../core/squashfs-cutter.ts'
import { readXz } from '../../core/xz.ts'
import { grub } from '../../images/bootloaders/grub.ts'
import { blake3 } from '../../store/blake3.ts'
import { indexTree } from '../../store/index-tree.ts'
import { squashfsCodec } from '../../store/squashfs-codecs.ts'
import { appliedPatch } from './applied-patch.ts'
import { madeOf } from './made-of.ts'

const root = join(import.meta.dirname, '../../spec/vectors')

// biome-ignore lint/suspicious/noExplicitAny: each kind of vector has fields of its own
type Vector = any

const utf8 = (text: string) => new Uint8Array(Buffer.from(text))
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

async function cuts(bytes: Uint8Array, cutter: Cutter): Promise<readonly number[]> {
  const lengths: number[] = []
  const source = async function* () {
    yield bytes
  }
  for await (const chunk of chunks(source(), { cutter })) lengths.push(chunk.length)
  return lengths
}

/** What a reader makes of a vector; throws what it refuses. */
const readers: Readonly<Record<string, (vector: Vector) => unknown>> = {
  names: ({ kind, text, number }) => {
    if (kind === 'path') return parsePath(text)
    if (kind === 'time') return parseTime(text)
    return kind === 'serial' ? parseSerial(number) : parseName(text, kind)
  },
  cid: ({ text }) => hex(digestOf(parseCid(text))),
  manifest: ({ text }) => parseManifest(utf8(text), 'manifest').records.map(({ path }) => path),
  pointer: ({ text }) => parsePointer(utf8(text)).version,
  root: ({ text }) => parseRoot(utf8(text)).version,
  freshness: ({ text, channel, repo, seen, clock }) => {
    const now = trustedNow(parseTime(clock), seen)
    return checkFreshness(parsePointer(utf8(text)), cidOf(blake3().digest(utf8(text))), { channel, repo, seen, now, what: 'pointer' })
  },
  composition: ({ text }) => parseComposition(text, 'composition').map(({ name, channel, target }) => `${name} ${channel} ${target.kind}`),
  'chunk-index': ({ bytes, size }) => {
    const index = parseChunkIndex(new Uint8Array(Buffer.from(bytes, 'hex')), size, 'index')
    return Array.from({ length: index.count }, (_, chunk) => index.length(chunk))
  },
  'index-pages': ({ records, value }) => {
    const builder = new ChunkIndexBuilder()
    const { seed, count, first = 0, same } = records
    for (let at = first; at < first + count; at++) builder.add(4096, blake3().digest(utf8(`${seed}${same ?? at}`)))
    const bytes = builder.finish()
    const pages = [...indexPages(bytes)]
    return {
      pages: Array.isArray(value.pages) ? pages : { count: pages.length, first: pages.slice(0, value.pages.first.length) },
      index: indexTree(bytes).index,
    }
  },
  xz: ({ base64, most }) => Buffer.from(readXz(new Uint8Array(Buffer.from(base64, 'base64')), most, 'vector')).toString(),
  patch: async ({ old, patch }) =>
    hex(await appliedPatch(new Uint8Array(Buffer.from(old, 'hex')), new Uint8Array(Buffer.from(patch, 'hex')))),
  chunker: ({ bytes }) => cuts(madeOf(bytes), fastCdc()),
  squashfs: async ({ base64 }) => {
    const image = new Uint8Array(Buffer.from(base64, 'base64'))
    const read = async (at: number, length: number) => image.subarray(at, at + length)
    const layout = await readSquashfs({ read, codec: squashfsCodec }, image.length)
    return layout === undefined ? 'not-squashfs' : { start: layout.start, ends: [...layout.ends] }
  },
  'squashfs-cutter': ({ bytes, start, ends }) => cuts(madeOf(bytes), squashfsCutter({ start, ends: Float64Array.from(ends) })),
  'boot-state': ({ files }) => {
    const read = async (name: string) => (files[name] === undefined ? undefined : new Uint8Array(Buffer.from(files[name], 'base64')))
    return grub({ label: 'vector', read, create: () => Promise.reject(), writeSector: () => Promise.reject() }).read()
  },
}

for (const [kind, reader] of Object.entries(readers)) {
  const names = readdirSync(join(root, kind)).sort()
  describe(`vectors of ${kind}`, () => {
    test('are there, good and bad', () => {
      expect(names.length).toBeGreaterThanOrEqual(3)
    })

    test.each(names)('%s', async (name) => {
      const vector: Vector = JSON.parse(readFileSync(join(root, kind, name), 'utf8'))
      expect(vector.what).toMatch(/\S/)
      let got = 'ok'
      let value: unknown
      try {
        value = await reader(vector)
      } catch (error) {
        if (!isPsyblobError(error)) throw error
        got = error.code
      }
      expect(`${vector.what}: ${got}`).toBe(`${vector.what}: ${vector.expect}`)
      if (vector.value !== undefined) expect(value).toEqual(vector.value)
    })
  })
}
