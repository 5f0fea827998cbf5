// Several remotes, as a whole update meets them: partial ones complete each other, four evil ones of five cost little, and order is nothing.
import { readFileSync } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { documents, type Entry, type ProgressEvent, shardOf } from '../../core/mod.ts'
import { assemble } from '../../store/assemble.ts'
import { authorityOf } from '../../store/authority.ts'
import { connections } from '../../store/link.ts'
import { LocalStore } from '../../store/local.ts'
import { Mirrors } from '../../store/mirrors.ts'
import { costOf, type EntryPlan, planRelease } from '../../store/plan.ts'
import { type Refreshed, refresh } from '../../store/refresh.ts'
import { HttpRemote } from '../../store/remotes/http.ts'
import { readState, type State } from '../../store/state.ts'
import { type Asked, type Bend, type BentServer, bentServer } from '../fixtures/bent-server.ts'
import { type Evil, evilAnswer, evils } from '../fixtures/evil.ts'
import { madeUp, refusal, same, temporaryFolder } from '../fixtures/repository.ts'
import { answerFrom, evenChunks, fileEntry, Site, siteRepo } from '../fixtures/site.ts'

let dir: string
let remove: () => Promise<void>
beforeEach(async () => {
  ;({ dir, remove } = await temporaryFolder())
})
afterEach(() => remove())

type Files = Readonly<Record<string, Uint8Array>>
type Answer = (asked: Asked) => Bend

/** Two blobs with an index and three without, as images have them. */
const filesOf = (number: number): Files => ({
  '/config': madeUp(2_000, number + 40),
  '/initramfs': madeUp(150_000, number + 30),
  '/kernel': madeUp(90_000, number + 20),
  '/modloop': madeUp(200_000, number + 10),
  '/squashfs': madeUp(600_000, number),
})
const roles: Readonly<Record<string, Entry['role']>> = { '/kernel': 'kernel', '/initramfs': 'initramfs' }
const isCut = (path: string) => path === '/squashfs' || path === '/modloop'

function publish(site: Site, serial: number, files: Files): void {
  const records = Object.entries(files).map(([path, bytes]) =>
    fileEntry(path, roles[path] ?? 'file', isCut(path) ? site.indexed(bytes, evenChunks(bytes, 8192)) : site.plain(bytes)),
  )
  site.release(serial, records)
}

/** Release 1, and what the repository was then; release 2. */
function twoReleases(): { readonly site: Site; readonly first: ReadonlyMap<string, Uint8Array>; readonly files: Files } {
  const site = new Site()
  publish(site, 1, filesOf(1))
  const first = new Map(site.files)
  const files = filesOf(100)
  publish(site, 2, files)
  return { site, first, files }
}

type Updated = {
  readonly refreshed: Refreshed
  readonly files: Files
  readonly fetched: number
  /** What the plan asks for: path and range, or `whole`. */
  readonly asks: readonly string[]
  readonly warnings: readonly string[]
}

type UpdateOptions = { readonly stallSeconds?: number; readonly state?: State; readonly planned?: () => void }

/** A whole update from these servers, in this order, into empty folders. */
async function update(site: Site, servers: readonly BentServer[], options: UpdateOptions = {}): Promise<Updated> {
  const { stallSeconds = 5, state = await readState(join(dir, 'none')), planned } = options
  const warnings: string[] = []
  const report = (event: ProgressEvent) => void (event.type === 'warning' && warnings.push(event.text))
  const remotes = servers.map(({ url }) => new HttpRemote(url, { stallSeconds, report }))
  const mirrors = new Mirrors(remotes, { report, pauses: [1, 1] })
  const work = join(dir, 'work')
  const [store, parts] = [new LocalStore(join(work, 'store')), join(work, 'parts')]
  await mkdir(work, { recursive: true })
  try {
    const { publicKey: key } = site.key
    const trust = {
      product: 'os',
      key,
      authority: authorityOf({}, { key, repo: siteRepo }),
      channel: 'stable',
      repo: siteRepo,
      compat: 'any',
    }
    const refreshed = await refresh({ trust, mirrors, store, state, clock: Date.now(), keep: true })
    const { manifest } = refreshed.release
    const target = { manifest, target: undefined, others: [], parts, store, mirrors, report }
    const plans = await planRelease({
      ...target,
      force: false,
      keepIndexes: true,
      frugal: false,
      adopt: true,
      prefer: 'time',
      patches: true,
    })
    planned?.()
    const done = await assemble({ plans, parts, mirrors, report })
    const files = Object.fromEntries(done.map(({ plan, part }) => [plan.entry.path, readFileSync(part as string)]))
    const fetched = plans.reduce((sum, plan) => sum + costOf(plan).fetched, 0)
    return { refreshed, files, fetched, asks: plans.flatMap(asksOf), warnings }
  } finally {
    await Promise.all(remotes.map((remote) => remote.close()))
    await rm(work, { recursive: true, force: true })
  }
}

function asksOf(plan: EntryPlan): readonly string[] {
  const { cid } = plan.entry.bin
  const path = `blobs/${shardOf(cid)}/${cid}`
  if (plan.how === 'whole') return [`${path} whole`]
  if (plan.how !== 'chunks') return []
  const { index } = plan.sources
  return plan.runs.map((run) => {
    const [from, end] = [index.offset(run.first), index.offset(run.last) + index.length(run.last)]
    return `${path} ${from === 0 && end === index.size ? 'whole' : `bytes=${from}-${end - 1}`}`
  })
}

function expectFiles(got: Files, wanted: Files): void {
  expect(Object.keys(got).sort()).toEqual(Object.keys(wanted).sort())
  for (const [path, bytes] of Object.entries(wanted)) expect(same(got[path] as Uint8Array, bytes), path).toBe(true)
}

/** Servers that answer so while `work` runs. */
async function withServers<Value>(answers: readonly Answer[], work: (servers: readonly BentServer[]) => Promise<Value>): Promise<Value> {
  const servers = await Promise.all(answers.map(bentServer))
  try {
    return await work(servers)
  } finally {
    await Promise.all(servers.map((server) => server.close()))
  }
}

const pathOf = ({ target }: Asked) => decodeURIComponent(target.slice(1))

describe('partial mirrors', () => {
  test('complete each other whatever each of them lacks, nothing comes twice, and none is blamed', async () => {
    const { site, files } = twoReleases()
    // what the second release needs, manifest and indexes too; all of them have the pointer
    const pointer = documents.pointer('stable')
    const needed: string[] = []
    const noting: Answer = (asked) => {
      needed.push(pathOf(asked))
      return answerFrom(site.files, asked)
    }
    await withServers([noting], (servers) => update(site, servers))
    // a manifest without its signature is another matter
    const signature = documents.manifestSignature('os', 2)
    const names = [...new Set(needed)].filter((name) => name !== pointer && name !== signature)
    expect(names).toHaveLength(5 + 2 + 1)
    const holders = fc.array(fc.uniqueArray(fc.nat(2), { minLength: 1 }), { minLength: names.length, maxLength: names.length })
    await fc.assert(
      fc.asyncProperty(holders, async (who) => {
        let sent = 0
        const answers = [0, 1, 2].map(
          (mirror): Answer =>
            (asked) => {
              const at = names.indexOf(pathOf(asked) === signature ? documents.manifest('os', 2) : pathOf(asked))
              if (at >= 0 && who[at]?.includes(mirror) !== true) return { status: 404 }
              const bend = answerFrom(site.files, asked)
              if (pathOf(asked).startsWith('blobs/')) sent += (bend.body as Uint8Array | undefined)?.length ?? 0
              return bend
            },
        )
        await withServers(answers, async (servers) => {
          const got = await update(site, servers)
          expectFiles(got.files, files)
          expect(got.warnings).toEqual([])
          const indexes = [...Object.values(got.refreshed.release.manifest.records)].map(({ bin }) => bin?.index?.size ?? 0)
          expect(sent).toBe(got.fetched + indexes.reduce((sum, bytes) => sum + bytes, 0))
        })
      }),
      { numRuns: 25 },
    )
  }, 120_000)

  test('of which one lacks the signature of a manifest: it gives its blobs all the same', async () => {
    const { site, files } = twoReleases()
    const signature = documents.manifestSignature('os', 2)
    const kernel = site.put(files['/kernel'] as Uint8Array)
    const without =
      (path: string): Answer =>
      (asked) =>
        pathOf(asked) === path ? { status: 404 } : answerFrom(site.files, asked)
    await withServers([without(signature), without(kernel.path)], async (servers) =>
      expectFiles((await update(site, servers)).files, files),
    )
  })

  test('of which none has a blob: it is named, and so are all of them', async () => {
    const { site, files } = twoReleases()
    const kernel = site.put(files['/kernel'] as Uint8Array)
    const lacking: Answer = (asked) => (pathOf(asked) === kernel.path ? { status: 404 } : answerFrom(site.files, asked))
    await withServers([lacking, lacking], async (servers) => {
      const told = await refusal(update(site, servers))
      expect(told).toMatch(new RegExp(`^unavailable: no remote has blob ${kernel.cid}: `))
      for (const { url } of servers) expect(told).toContain(url)
    })
  })

  test('of which none has an index: the whole blob is fetched from whoever has it', async () => {
    const { site, files } = twoReleases()
    const squashfs = site.indexed(files['/squashfs'] as Uint8Array, evenChunks(files['/squashfs'] as Uint8Array, 8192))
    const index = site.put(squashfs.tree.blobs[0]?.bytes as Uint8Array)
    const blob = site.put(files['/squashfs'] as Uint8Array)
    const without =
      (...paths: readonly string[]): Answer =>
      (asked) =>
        paths.includes(pathOf(asked)) ? { status: 404 } : answerFrom(site.files, asked)
    await withServers([without(index.path, blob.path), without(index.path)], async (servers) => {
      const got = await update(site, servers)
      expectFiles(got.files, files)
      expect(got.warnings).toEqual([expect.stringMatching(/^no usable chunk index, the whole blob is fetched: /)])
    })
  })
})

describe('four evil remotes of five', () => {
  /** Bytes a run asks for at most on one connection, and what sockets take besides before anybody reads it. */
  const mostOfOne = connections * 1_500_000
  /** Questions to one that is to be dropped: one on each connection for each blob, each asked twice, and four hops for a loop. */
  const mostQuestions = connections * 4 * 2

  test('cannot keep the new release from a node, nor give it anything else, wherever the honest one stands', async () => {
    const { site, first, files } = twoReleases()
    // a node that has seen the first release knows an old pointer when it sees one
    const state = await withServers([(asked) => answerFrom(first, asked)], async (servers) => (await update(site, servers)).refreshed.state)
    const newer = await withServers([(asked) => answerFrom(site.files, asked)], async (servers) => update(site, servers, { state }))
    expect(newer.refreshed.release.manifest.serial).toBe(2)
    const bad = fc.record({ how: fc.constantFrom(...evils), from: fc.constantFrom('the start' as const, 'blobs' as const) })
    await fc.assert(
      fc.asyncProperty(fc.array(bad, { minLength: 4, maxLength: 4 }), fc.nat(4), async (four, place) => {
        const answers = four.map(({ how, from }) => evilAnswer({ files: site.files, first }, how, from))
        await withServers(
          answers.toSpliced(place, 0, (asked) => answerFrom(site.files, asked)),
          async (servers) => {
            const got = await update(site, servers, { stallSeconds: 1, state: newer.refreshed.state })
            expect(got.refreshed.release.manifest.serial).toBe(2)
            expectFiles(got.files, files)
            for (const [at, server] of servers.toSpliced(place, 1).entries()) {
              const who = `${four[at]?.how} from ${four[at]?.from}`
              expect(server.asked.length, `questions to ${who}`).toBeLessThanOrEqual(mostQuestions)
              expect(server.sent, `bytes of ${who}`).toBeLessThanOrEqual(mostOfOne)
            }
            // who was dropped is named once
            expect(new Set(got.warnings).size).toBe(got.warnings.length)
          },
        )
      }),
      // each of them first, alone or with the three that follow it; and then whatever chance brings
      {
        numRuns: 10,
        examples: evils.map((_, turn) => {
          const four = [0, 1, 2, 3].map((next) => ({
            how: evils[(turn + next) % evils.length] as Evil,
            from: (turn + next) % 2 === 0 ? ('the start' as const) : ('blobs' as const),
          }))
          return [four, 4] as [typeof four, number]
        }),
      },
    )
  }, 300_000)

  test('and no honest one: refused, with the worst of them told, and nothing is taken from them', async () => {
    const { site, first } = twoReleases()
    const state = await withServers(
      [(asked) => answerFrom(site.files, asked)],
      async (servers) => (await update(site, servers)).refreshed.state,
    )
    const five = ['hang', 'garbage', 'old', 'huge', 'redirect loop'] as const
    await withServers(
      five.map((how) => evilAnswer({ files: site.files, first }, how, 'the start')),
      async (servers) => {
        const told = await refusal(update(site, servers, { stallSeconds: 1, state }))
        expect(told).toMatch(/^rollback: none of 5 remotes gives channels\/stable: /)
        for (const { url } of servers) expect(told).toContain(url)
      },
    )
  })
})

describe('the order of answers', () => {
  test('is nothing: the same bytes from the same ranges, whoever answers first and whatever comes late', async () => {
    const { site, files } = twoReleases()
    const delays = fc.array(fc.nat(30), { minLength: 40, maxLength: 40 })
    await fc.assert(
      fc.asyncProperty(delays, fc.integer({ min: 1, max: 4 }), async (late, mirrors) => {
        const asks: string[] = []
        // only what is planned comes late
        let isPlanned = false
        const answer: Answer = (asked) => {
          const delay = late[(asked.count * 7 + asks.length) % late.length] ?? 0
          if (isPlanned) asks.push(`${pathOf(asked)} ${asked.headers['range'] ?? 'whole'}`)
          return { ...answerFrom(site.files, asked), ...(isPlanned ? { delay, bodyDelay: delay >> 1 } : {}) }
        }
        const planned = () => {
          isPlanned = true
        }
        await withServers(Array(mirrors).fill(answer), async (servers) => {
          const got = await update(site, servers, { planned })
          expectFiles(got.files, files)
          expect(got.warnings).toEqual([])
          expect(asks.toSorted()).toEqual(got.asks.toSorted())
          await vi.waitFor(() => expect(servers.reduce((sum, server) => sum + server.sent, 0)).toBeGreaterThanOrEqual(got.fetched))
        })
      }),
      { numRuns: 15 },
    )
  }, 120_000)

  test('of remotes is nothing either: each of them first, the same bytes', async () => {
    const { site, first, files } = twoReleases()
    const honest: Answer = (asked) => answerFrom(site.files, asked)
    const answers = [
      honest,
      evilAnswer({ files: site.files, first }, 'garbage', 'blobs'),
      evilAnswer({ files: site.files, first }, 'redirect loop', 'the start'),
    ]
    for (const order of [
      [0, 1, 2],
      [0, 2, 1],
      [1, 0, 2],
      [1, 2, 0],
      [2, 0, 1],
      [2, 1, 0],
    ]) {
      await withServers(
        order.map((at) => answers[at] as Answer),
        async (servers) => expectFiles((await update(site, servers)).files, files),
      )
    }
  })
})
