// The same bytes come out whatever the seeds, the remotes and the order of their answers: made-up releases, damaged seeds, servers that bend.
import { readFileSync, writeFileSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Entry, formatManifest, type Manifest, parseManifest } from '../../core/mod.ts'
import { assemble } from '../../store/assemble.ts'
import { ingest } from '../../store/ingest.ts'
import { LocalStore } from '../../store/local.ts'
import { Mirrors } from '../../store/mirrors.ts'
import { costOf, planRelease } from '../../store/plan.ts'
import { HttpRemote } from '../../store/remotes/http.ts'
import { type Asked, type Bend, bentServer } from '../fixtures/bent-server.ts'
import { blobOf, madeUp, temporaryFolder } from '../fixtures/repository.ts'

let dir: string
let remove: () => Promise<void>
beforeEach(async () => {
  ;({ dir, remove } = await temporaryFolder())
})
afterEach(() => remove())

/** How an image came out of another one: each step puts some bytes in or takes some out. */
type Edit = { readonly at: number; readonly drop: number; readonly put: number; readonly seed: number }

function edited(bytes: Uint8Array, edits: readonly Edit[]): Buffer {
  return edits.reduce<Buffer>((now, { at, drop, put, seed }) => {
    const from = Math.floor(at * now.length)
    return Buffer.concat([now.subarray(0, from), madeUp(put, seed), now.subarray(from + drop)])
  }, Buffer.from(bytes))
}

async function manifestOf(bytes: Uint8Array): Promise<{ readonly manifest: Manifest; readonly blobs: ReadonlyMap<string, Uint8Array> }> {
  const path = join(dir, 'published')
  await writeFile(path, bytes)
  const { cid, size, index } = await ingest(path, { chunked: true })
  await rm(path)
  const bin = { cid, size, ...(index === undefined ? {} : { index: { cid: index.cid, size: index.bytes.length } }) }
  const record: Entry = { path: '/squashfs', role: 'squashfs', mod: 0o100644, uid: 0, gid: 0, target: null, licence: null, bin, ccs: null }
  const content = {
    repo: 'a.b',
    name: 'os',
    desc: '',
    version: '1',
    compat: 'any',
    key: '',
    remotes: [],
    'post-exec': null,
    records: [record],
  }
  const body = formatManifest({ ...content, serial: 1, previous: null, created: '2026-01-01T00:00:00Z' })
  const blobs = new Map([[blobOf(bytes).path, bytes]])
  if (index !== undefined) blobs.set(blobOf(index.bytes).path, index.bytes)
  return { manifest: parseManifest(body, 'test'), blobs }
}

/** What a server does to an answer: nothing, or one of the things that servers do. */
const mischief = ['none', 'late', 'cut', 'flip', 'rangeless', 'absent', 'refusing', 'short', 'other range'] as const
type Mischief = (typeof mischief)[number]

function answer(blobs: ReadonlyMap<string, Uint8Array>, { target, headers, count }: Asked, how: Mischief, often: number): Bend {
  const bytes = blobs.get(decodeURIComponent(target.slice(1)))
  const bent = how !== 'none' && count % often === 0
  if (bytes === undefined || (how === 'absent' && bent)) return { status: 404 }
  if (how === 'refusing' && bent) return { status: 503 }
  const asked = /bytes=(\d+)-(\d+)/.exec(headers['range'] ?? '')
  if (asked === null || how === 'rangeless') return { body: bytes, ...(bent && how === 'cut' ? { cut: bytes.length >> 1 } : {}) }
  const [from, to] = [Number(asked[1]), Number(asked[2])]
  let body = Buffer.from(bytes.subarray(from, to + 1))
  const stated = how === 'other range' && bent ? `bytes 0-${to - from}/${bytes.length}` : `bytes ${from}-${to}/${bytes.length}`
  if (how === 'flip' && bent) body[body.length >> 1] = ((body[body.length >> 1] as number) + 1) & 255
  if (how === 'short' && bent) body = body.subarray(0, body.length >> 1)
  return {
    status: 206,
    headers: { 'Content-Range': stated },
    body,
    ...(how === 'late' && bent ? { delay: 20 } : {}),
    ...(how === 'cut' && bent ? { cut: body.length >> 1 } : {}),
  }
}

const edit = fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), drop: fc.nat(60_000), put: fc.nat(60_000), seed: fc.nat(1000) })
const seedState = fc.constantFrom('as published', 'damaged', 'cut short', 'gone', 'changing', 'unknown')

describe('a release is assembled', () => {
  test('with the right bytes, whatever the seeds and the remotes are like, and for the bytes that the plan said', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          size: fc.integer({ min: 70_000, max: 900_000 }),
          edits: fc.array(edit, { minLength: 1, maxLength: 4 }),
          zeros: fc.boolean(),
          seed: seedState,
          hurt: fc.double({ min: 0, max: 0.999, noNaN: true }),
          part: fc.constantFrom('none', 'half', 'garbage'),
          servers: fc.array(fc.record({ how: fc.constantFrom(...mischief), often: fc.integer({ min: 1, max: 3 }) }), { maxLength: 3 }),
        }),
        async ({ size, edits, zeros, seed, hurt, part, servers }) => {
          const old = Buffer.from(madeUp(size, 1))
          const made = edited(old, edits)
          const image = zeros ? Buffer.concat([made, Buffer.alloc(300_000), made.subarray(0, 5000)]) : made
          const before = await manifestOf(old)
          const { manifest, blobs } = await manifestOf(image)
          const store = new LocalStore(join(dir, 'store'))
          const slot = join(dir, 'slot')
          const parts = join(dir, 'parts')
          for (const folder of [slot, parts]) await mkdir(folder, { recursive: true })
          const path = join(slot, 'squashfs')
          const at = Math.floor(hurt * old.length)
          if (seed === 'damaged') old.fill(7, at, Math.min(old.length, at + 30_000))
          await writeFile(path, seed === 'cut short' ? old.subarray(0, at) : old)
          const bin = manifest.records[0]?.bin
          const oldBin = before.manifest.records[0]?.bin
          if (seed !== 'unknown' && oldBin?.index !== undefined)
            await store.putBlob(oldBin.index.cid, [...before.blobs.values()].at(-1) as Uint8Array)
          if (bin === undefined || bin === null) throw new Error('no blob')
          const left = join(parts, `${bin.cid}.part`)
          if (part === 'half') await writeFile(left, image.subarray(0, image.length >> 1))
          if (part === 'garbage') await writeFile(left, madeUp(image.length + 5000, 77))
          // one of them is honest, and stands last
          const all = await Promise.all(
            [...servers, { how: 'none' as const, often: 1 }].map(({ how, often }) =>
              bentServer((asked) => answer(blobs, asked, how, often)),
            ),
          )
          const remotes = all.map(({ url }) => new HttpRemote(url, { stallSeconds: 5, report: () => undefined }))
          const mirrors = new Mirrors(remotes, { report: () => undefined, pauses: [1, 1] })
          try {
            const report = () => undefined
            const target = { dir: slot, manifest: seed === 'unknown' ? undefined : before.manifest }
            const plans = await planRelease({
              manifest,
              target,
              others: [],
              parts,
              store,
              mirrors,
              force: false,
              keepIndexes: true,
              frugal: false,
              adopt: true,
              report,
            })
            if (seed === 'gone') await rm(path)
            const change = seed === 'changing' ? setInterval(() => writeFileSync(path, madeUp(size >> 1, 5)), 1) : undefined
            const assembled = await assemble({ plans, parts, mirrors, report }).finally(() => clearInterval(change))
            const one = assembled[0]
            const got = readFileSync(one?.part ?? path)
            expect(Buffer.compare(got, image)).toBe(0)
            const cost = costOf(plans[0] as (typeof plans)[number])
            expect(cost.fetched).toBeLessThanOrEqual(image.length)
          } finally {
            await Promise.all([...remotes.map((remote) => remote.close()), ...all.map((server) => server.close())])
            await rm(dir, { recursive: true, force: true })
            await mkdir(dir)
          }
        },
      ),
      { numRuns: Number(process.env['PSYBLOB_RUNS'] ?? 60) },
    )
  }, 300_000)

  test('without fetching zeros', async () => {
    const image = Buffer.concat([madeUp(100_000, 1), Buffer.alloc(4_000_000), madeUp(100_000, 2)])
    const { manifest, blobs } = await manifestOf(image)
    const server = await bentServer((asked) => answer(blobs, asked, 'none', 1))
    const remote = new HttpRemote(server.url, { stallSeconds: 5, report: () => undefined })
    const mirrors = new Mirrors([remote], { report: () => undefined })
    const parts = join(dir, 'parts')
    const plan = { manifest, target: undefined, others: [], parts, store: new LocalStore(join(dir, 'store')), mirrors }
    const report = () => undefined
    try {
      const plans = await planRelease({ ...plan, force: false, keepIndexes: true, frugal: false, adopt: true, report })
      const [done] = await assemble({ plans, parts, mirrors, report })
      expect(Buffer.compare(readFileSync(done?.part ?? ''), image)).toBe(0)
      expect(server.sent).toBeLessThan(300_000)
    } finally {
      await Promise.all([remote.close(), server.close()])
    }
  })
})
