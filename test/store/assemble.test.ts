// The same bytes come out whatever the seeds, the remotes and the order of their answers: made-up releases, damaged seeds, servers that bend.
import { readFileSync, writeFileSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type Entry, type EntryBlob, formatManifest, type Manifest, parseManifest } from '../../core/mod.ts'
import { assemble } from '../../store/assemble.ts'
import { ingest } from '../../store/ingest.ts'
import { LocalStore } from '../../store/local.ts'
import { Mirrors } from '../../store/mirrors.ts'
import { costOf, type EntryCost, type EntryPlan, planRelease } from '../../store/plan.ts'
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

type Published = { readonly manifest: Manifest; readonly bin: EntryBlob; readonly blobs: ReadonlyMap<string, Uint8Array> }

async function manifestOf(bytes: Uint8Array, chunked = true): Promise<Published> {
  const path = join(dir, 'published')
  await writeFile(path, bytes)
  const { cid, size, index } = await ingest(path, { chunked })
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
  return { manifest: parseManifest(body, 'test'), bin, blobs }
}

/** What a server does to an answer: nothing, or one of the things that servers do. */
const mischief = ['none', 'late', 'cut', 'flip', 'flip and cut', 'rangeless', 'absent', 'refusing', 'short', 'other range'] as const
type Mischief = (typeof mischief)[number]

function answer(blobs: ReadonlyMap<string, Uint8Array>, { target, headers, count }: Asked, how: Mischief, often: number): Bend {
  const bytes = blobs.get(decodeURIComponent(target.slice(1)))
  const bent = how !== 'none' && count % often === 0
  if (bytes === undefined || (how === 'absent' && bent)) return { status: 404 }
  if (how === 'refusing' && bent) return { status: 503 }
  const asked = /bytes=(\d+)-(\d+)/.exec(headers['range'] ?? '')
  const whole = asked === null || how === 'rangeless'
  const [from, to] = whole ? [0, bytes.length - 1] : [Number(asked[1]), Number(asked[2])]
  let body = Buffer.from(bytes.subarray(from, to + 1))
  const stated = how === 'other range' && bent ? `bytes 0-${to - from}/${bytes.length}` : `bytes ${from}-${to}/${bytes.length}`
  const middle = body.length >> (how === 'flip' ? 1 : 2)
  if (how.startsWith('flip') && bent && body.length > 0) body[middle] = ((body[middle] as number) + 1) & 255
  if (how === 'short' && bent) body = body.subarray(0, body.length >> 1)
  return {
    ...(whole ? {} : { status: 206, headers: { 'Content-Range': stated } }),
    body,
    ...(how === 'late' && bent ? { delay: 20 } : {}),
    ...(how.endsWith('cut') && bent ? { cut: body.length >> 1 } : {}),
  }
}

type ServerShape = { readonly how: Mischief; readonly often: number }
const honest: ServerShape = { how: 'none', often: 1 }

const report = () => undefined

/** Plans and assembles from these servers, and removes everything afterwards. `between` happens when the plan is made. */
async function assembledFrom(
  shapes: readonly ServerShape[],
  release: Published,
  options: { readonly before?: Published | undefined; readonly between?: (slot: string) => Promise<(() => void) | undefined> } = {},
): Promise<{
  readonly got: Buffer
  readonly cost: EntryCost
  /** Bytes of the blob that servers sent, and how many requests for it they had. */
  readonly sent: number
  readonly requests: number
}> {
  const { path } = blobOf(release.blobs.values().next().value as Uint8Array)
  let [sent, requests, all] = [0, 0, 0]
  const servers = await Promise.all(
    shapes.map(({ how, often }) =>
      bentServer((asked) => {
        const bend = answer(release.blobs, asked, how, often)
        const { length } = (bend.body as Uint8Array | undefined) ?? new Uint8Array()
        all += bend.cut ?? length
        if (asked.target !== `/${path}`) return bend
        sent += bend.cut ?? length
        requests++
        return bend
      }),
    ),
  )
  const remotes = servers.map(({ url }) => new HttpRemote(url, { stallSeconds: 5, report }))
  const mirrors = new Mirrors(remotes, { report, pauses: [1, 1] })
  const [slot, parts] = [join(dir, 'slot'), join(dir, 'parts')]
  try {
    for (const folder of [slot, parts]) await mkdir(folder, { recursive: true })
    const plans = await planRelease({
      manifest: release.manifest,
      target: { dir: slot, manifest: options.before?.manifest },
      others: [],
      parts,
      store: new LocalStore(join(dir, 'store')),
      mirrors,
      force: false,
      keepIndexes: true,
      frugal: false,
      adopt: true,
      prefer: 'time',
      patches: true,
      report,
    })
    const stop = await options.between?.(slot)
    const [one] = await assemble({ plans, parts, mirrors, report }).finally(() => stop?.())
    const got = readFileSync(one?.part ?? join(slot, 'squashfs'))
    // what was said to be sent was, by servers that did no mischief: bodies are counted when they are out
    if (shapes.every(isHonest)) await vi.waitFor(() => expect(servers.reduce((sum, server) => sum + server.sent, 0)).toBe(all))
    return { got, cost: costOf(plans[0] as EntryPlan), sent, requests }
  } finally {
    await Promise.all([...remotes.map((remote) => remote.close()), ...servers.map((server) => server.close())])
    await rm(dir, { recursive: true, force: true })
    await mkdir(dir)
  }
}

function isHonest({ how }: ServerShape): boolean {
  return how === 'none' || how === 'late'
}

const edit = fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), drop: fc.nat(60_000), put: fc.nat(60_000), seed: fc.nat(1000) })
/** Of a seed that is one of the first three everything is known when the plan is made. */
const seedStates = ['as published', 'cut short', 'unknown', 'damaged', 'gone', 'changing'] as const
const knownStates = seedStates.slice(0, 3)
const often = fc.integer({ min: 1, max: 3 })
const shapes = (how: readonly Mischief[]) => fc.record({ how: fc.constantFrom(...how), often })
const runs = (usual: number) => ({ numRuns: Math.ceil((usual * Number(process.env['PSYBLOB_RUNS'] ?? 60)) / 60) })

const update = (states: readonly (typeof seedStates)[number][]) =>
  fc.record({
    size: fc.integer({ min: 70_000, max: 900_000 }),
    edits: fc.array(edit, { minLength: 1, maxLength: 4 }),
    zeros: fc.boolean(),
    seed: fc.constantFrom(...states),
    hurt: fc.double({ min: 0, max: 0.999, noNaN: true }),
    part: fc.constantFrom('none', 'half', 'garbage'),
  })
type Update = ReturnType<typeof update> extends fc.Arbitrary<infer Value> ? Value : never

/** One update of an image that has an index, from a seed and an unfinished file in these states. */
async function updated({ size, edits, zeros, seed, hurt, part }: Update, servers: readonly ServerShape[]) {
  const old = Buffer.from(madeUp(size, 1))
  const made = edited(old, edits)
  const image = zeros ? Buffer.concat([made, Buffer.alloc(300_000), made.subarray(0, 5000)]) : made
  const before = await manifestOf(old)
  const release = await manifestOf(image)
  const [slot, parts] = [join(dir, 'slot'), join(dir, 'parts')]
  for (const folder of [slot, parts]) await mkdir(folder, { recursive: true })
  const at = Math.floor(hurt * old.length)
  if (seed === 'damaged') old.fill(7, at, Math.min(old.length, at + 30_000))
  await writeFile(join(slot, 'squashfs'), seed === 'cut short' ? old.subarray(0, at) : old)
  if (seed !== 'unknown' && before.bin.index !== undefined)
    await new LocalStore(join(dir, 'store')).putBlob(before.bin.index.cid, [...before.blobs.values()].at(-1) as Uint8Array)
  const left = join(parts, `${release.bin.cid}.part`)
  if (part === 'half') await writeFile(left, image.subarray(0, image.length >> 1))
  if (part === 'garbage') await writeFile(left, madeUp(image.length + 5000, 77))
  const between = async () => {
    const path = join(slot, 'squashfs')
    if (seed === 'gone') await rm(path)
    if (seed !== 'changing') return undefined
    const change = setInterval(() => writeFileSync(path, madeUp(size >> 1, 5)), 1)
    return () => clearInterval(change)
  }
  const outcome = await assembledFrom(servers, release, { before: seed === 'unknown' ? undefined : before, between })
  return { ...outcome, image }
}

describe('a release is assembled', () => {
  test('with the right bytes, whatever the seeds and the remotes are like', async () => {
    await fc.assert(
      fc.asyncProperty(update(seedStates), fc.array(shapes(mischief), { maxLength: 3 }), async (one, servers) => {
        // one of them is honest, and stands last
        const { got, image, cost } = await updated(one, [...servers, honest])
        expect(Buffer.compare(got, image)).toBe(0)
        expect(cost.fetched).toBeLessThanOrEqual(image.length)
      }),
      runs(60),
    )
  }, 300_000)

  test('for exactly the bytes and the requests that the plan said, when seeds and servers are what they seem', async () => {
    let fetched = 0
    await fc.assert(
      fc.asyncProperty(update(knownStates), fc.array(shapes(['none', 'late']), { minLength: 1, maxLength: 3 }), async (one, servers) => {
        const { got, image, cost, sent, requests } = await updated(one, servers)
        expect(Buffer.compare(got, image)).toBe(0)
        expect({ sent, requests }).toEqual({ sent: cost.fetched, requests: cost.requests })
        fetched += sent
      }),
      runs(40),
    )
    expect(fetched).toBeGreaterThan(0)
  }, 300_000)

  test('with the right bytes when it has no index, whatever all remotes but one do: none of them blocks the honest one', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          size: fc.integer({ min: 1, max: 400_000 }),
          part: fc.constantFrom('none', 'half', 'wrong half', 'all', 'all wrong', 'too long'),
          servers: fc.array(shapes(mischief), { minLength: 1, maxLength: 4 }),
          place: fc.nat(4),
        }),
        async ({ size, part, servers, place }) => {
          const kernel = Buffer.from(madeUp(size, 3))
          const release = await manifestOf(kernel, false)
          await mkdir(join(dir, 'parts'), { recursive: true })
          const other = Buffer.from(madeUp(size + 9, 4))
          const left = {
            none: undefined,
            half: kernel.subarray(0, size >> 1),
            'wrong half': other.subarray(0, size >> 1),
            all: kernel,
            'all wrong': other.subarray(0, size),
            'too long': other,
          }[part]
          if (left !== undefined) await writeFile(join(dir, 'parts', `${release.bin.cid}.part`), left)
          const { got, cost, sent, requests } = await assembledFrom(servers.toSpliced(place, 0, honest), release)
          expect(Buffer.compare(got, kernel)).toBe(0)
          // a wrong half is fetched anew when it turns out to be wrong
          if (servers.every(isHonest) && (part !== 'wrong half' || size < 2))
            expect({ sent, requests }).toEqual({ sent: cost.fetched, requests: cost.requests })
        },
      ),
      runs(80),
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
    try {
      const plans = await planRelease({
        ...plan,
        force: false,
        keepIndexes: true,
        frugal: false,
        adopt: true,
        prefer: 'time',
        patches: true,
        report,
      })
      const [done] = await assemble({ plans, parts, mirrors, report })
      expect(Buffer.compare(readFileSync(done?.part ?? ''), image)).toBe(0)
      expect(server.sent).toBeLessThan(300_000)
    } finally {
      await Promise.all([remote.close(), server.close()])
    }
  })
})
