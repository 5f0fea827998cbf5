// The vectors of patches are what they are made by: PSYBLOB_WRITE_VECTORS=1 npx vitest run test/spec/patch-vectors.test.ts writes them anew.
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { limits } from '../../core/mod.ts'
import { refusal } from '../fixtures/repository.ts'
import { appliedPatch } from './applied-patch.ts'
import type { PatchVector } from './patch-vector.ts'
import { patchVectors } from './patch-vectors.ts'

const folder = join(import.meta.dirname, '../../spec/vectors/patch')
const isWriting = process.env['PSYBLOB_WRITE_VECTORS'] === '1'

test('the vectors of patches are those that are made here, each a patch of its own', async () => {
  const vectors = Object.entries(await patchVectors())
  expect(new Set(vectors.map(([, { old, patch }]) => `${old} ${patch}`)).size).toBe(vectors.length)
  if (isWriting) {
    await mkdir(folder, { recursive: true })
    for (const [name, vector] of vectors) await writeFile(join(folder, `${name}.json`), `${JSON.stringify(vector, undefined, 2)}\n`)
  }
  expect(await readdir(folder).then((names) => names.sort())).toEqual(vectors.map(([name]) => `${name}.json`).sort())
  for (const [name, vector] of vectors) expect(JSON.parse(await readFile(join(folder, `${name}.json`), 'utf8'))).toEqual(vector)
})

test.each([
  ['codec-zstd-1.5.7', 'zstd-1.5.5', 19],
  ['codec-zstd-1.5.7', 'zstd-1.5.7', 15],
  ['codec-zlib-1.2.13', 'zlib-1.2.13', 6],
  ['codec-xz-5.8.2', 'xz-5.8.2', 13],
  ['codec-xz-5.8.2-x86', 'xz-5.8.2', 17],
  ['codec-lz4hc-1.9.4', 'lz4hc-1.9.4', 4],
])('the vector %s is refused when its encoder is taken for %s of level %i', async (name, encoder, level) => {
  const vector = (await patchVectors())[name] as PatchVector
  const patch = Buffer.from(vector.patch, 'hex')
  patch.fill(0, 120, 148).write(encoder, 120)
  patch.writeUInt32LE(level, 148)
  expect(await refusal(appliedPatch(Buffer.from(vector.old, 'hex'), patch))).toMatch(/^(malformed|corrupt): /)
})

test('the worked example of patch.md is the vector of that name, every byte of it', async () => {
  const [, example = ''] = /## 10 (.*)/s.exec(await readFile(join(import.meta.dirname, '../../spec/patch.md'), 'utf8')) ?? []
  const blocks = [...example.matchAll(/^```\n(.*?)^```/gms)].map(([, block = '']) => block.replaceAll(/\s/g, ''))
  expect(blocks.join('')).toBe((await patchVectors())['example']?.patch)
})

test('patch.md 7 lists the limits that there are', async () => {
  const [, section = ''] = /## 7 (.*?)## 8/s.exec(await readFile(join(import.meta.dirname, '../../spec/patch.md'), 'utf8')) ?? []
  const MiB = 1024 * 1024
  const { ofBlob, codecs, groups, piece, unit, sources, sourceBytes, sourceRaw, handled, triples, groupMade, stream, streams, made } =
    limits.patch
  expect([ofBlob, codecs, groups, sources, triples]).toEqual([16, 16, 65_536, 4096, 1_048_576])
  expect([piece, unit, groupMade, stream, sourceBytes, sourceRaw]).toEqual([8, 8, 16, 16, 16, 32].map((count) => count * MiB))
  expect([handled(1000), streams(1000), made(1000)]).toEqual([128_000 + MiB, 2000 + MiB, 8000 + 16 * MiB])
  for (const row of [
    '| patches of a blob | 16 |',
    '| codecs; groups | 16; 65,536 |',
    '| 8 n + 16 MiB |',
    '| 2 n + 1 MiB |',
    '| 4,096 |',
    '| the text of a unit | 16 MiB |',
    'each once | 32 MiB |',
    '| 128 m + 1 MiB |',
    '| 1,048,576 |',
    '| 8 MiB each |',
  ])
    expect(section).toContain(row)
})
