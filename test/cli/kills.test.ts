// Killed at random moments, again and again until it is through: what reached the disk is not fetched again, and the booted slot is as it was.
import { existsSync, readFileSync, statSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ChunkIndex, type CID, type EntryBlob, parseChunkIndex, parseManifest, shardOf } from '../../core/mod.ts'
import { blake3 } from '../../store/blake3.ts'
import { connections } from '../../store/link.ts'
import { type Asked, type Bend, type BentServer, bentServer } from '../fixtures/bent-server.ts'
import { noise, type Outcome, snapshot, World } from './world.ts'

/** How many kills: 12, or as PSYBLOB_KILLS says. The issue's figure is 50. */
const wanted = Number(process.env['PSYBLOB_KILLS'] ?? 12)
const seed = Number(process.env['PSYBLOB_SEED'] ?? Date.now() % 1_000_000)
/** Bytes that a kill may cost a connection: the longest run (spec/sync.md 3). */
const inFlight = 8 * 1024 * 1024
/** Bytes that a kill may cost a connection as psyblob is made: what is collected before it is written, and what sockets hold. */
const atHand = 1024 * 1024
/** Bytes that are read over to join two runs, at most, even if this machine is slow to answer. */
const mostGap = 256 * 1024
/** How a slow line looks: pieces of so many bytes, each so many milliseconds after the one before. */
const line = { piece: 32 * 1024, pause: 5 }

/** Numbers from 0 to 1 that only `state` decides (mulberry32). */
function randoms(state: number): () => number {
  let now = state
  return () => {
    now = (now + 0x6d2b79f5) | 0
    let mixed = Math.imul(now ^ (now >>> 15), 1 | now)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

let world: World
let server: BentServer
/** Bytes that went out, by path in the repository. */
const sent = new Map<string, number>()
let squashfs: EntryBlob
let kernel: EntryBlob
let index: ChunkIndex

const blobPath = (cid: CID) => `blobs/${shardOf(cid)}/${cid}`
const total = () => [...sent.values()].reduce((sum, bytes) => sum + bytes, 0)
const countedBytes = (bytes: number) => bytes.toLocaleString('en').replaceAll(',', ' ')

/** The first folder of an address is the run that asks: what a killed one had asked for may be read after its end. */
const runOf = ({ target }: Asked) => target.split('/')[1]
const pathOf = ({ target }: Asked) => decodeURIComponent(target.split('/').slice(2).join('/'))

function answer(asked: Asked): Bend {
  const path = pathOf(asked)
  if (!existsSync(world.path('repo', path))) return { status: 404 }
  const file = world.read(`repo/${path}`)
  const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(asked.headers['range'] ?? '') ?? []
  const body = from === undefined || to === undefined ? file : file.subarray(Number(from), Number(to) + 1)
  async function* slowly() {
    for (let at = 0; at < body.length; at += line.piece) {
      const piece = body.subarray(at, at + line.piece)
      yield piece
      sent.set(path, (sent.get(path) ?? 0) + piece.length)
      await sleep(line.pause)
    }
  }
  const head = { 'Content-Length': String(body.length), Connection: 'close' }
  if (from === undefined) return { headers: head, body: slowly() }
  return { status: 206, headers: { ...head, 'Content-Range': `bytes ${from}-${to}/${file.length}` }, body: slowly() }
}

beforeAll(async () => {
  world = new World()
  const old = noise('kills: old', 12_000_000)
  const parts = [
    noise('kills: one', 9_000_000),
    old.subarray(2_000_000, 9_000_000),
    noise('kills: two', 18_000_000),
    Buffer.alloc(1_000_000),
    noise('kills: three', 13_000_000),
  ]
  world.write('r1/kernel', noise('kills: kernel 1', 1_000_000))
  world.write('r1/squashfs', old)
  world.write('r2/kernel', noise('kills: kernel 2', 6_000_000))
  world.write('r2/squashfs', Buffer.concat(parts))
  await world.must('key new os --no-password')
  await world.must('init repo --key os.key --repo org.example.test')
  await world.must('publish os r1 --remote repo --key os.key')
  await world.must(`sync os ${world.node()}`)
  await world.must('publish os r2 --remote repo --key os.key')
  const { records } = parseManifest(world.read('repo/manifests/os/2'), 'r2')
  const binOf = (path: string) => records.find((record) => record.path === path)?.bin as EntryBlob
  squashfs = binOf('/squashfs')
  kernel = binOf('/kernel')
  index = parseChunkIndex(world.read(`repo/${blobPath(squashfs.index?.cid as CID)}`), squashfs.size, 'r2')
  for (const name of ['store', 'esp']) world.copy(name, `fresh-${name}`)
  server = await bentServer(answer)
})
afterAll(async () => {
  await server.close()
  world.close()
})

/** A node that has the first release in slot a and nothing else. */
function freshNode(): void {
  for (const name of ['b', 'store', 'esp']) world.remove(name)
  for (const name of ['store', 'esp']) world.copy(`fresh-${name}`, name)
  sent.clear()
}

/** What slot b has of the new release: chunks of the squashfs, and the length of the kernel. */
type Held = { readonly chunks: ReadonlySet<number>; readonly bytes: number; readonly kernel: number }

function held(): Held {
  const found = (cid: CID, name: string) => [world.path('b/.psyblob', `${cid}.part`), world.path('b', name)].find(existsSync)
  const path = found(squashfs.cid, 'squashfs')
  const file = path === undefined ? Buffer.alloc(0) : readFileSync(path)
  const chunks = new Set<number>()
  let bytes = 0
  for (let chunk = 0; chunk < index.count; chunk++) {
    const piece = file.subarray(index.offset(chunk), index.offset(chunk) + index.length(chunk))
    if (piece.length !== index.length(chunk) || Buffer.compare(blake3().digest(piece), index.digest(chunk)) !== 0) continue
    chunks.add(chunk)
    bytes += piece.length
  }
  const kernelPath = found(kernel.cid, 'kernel')
  return { chunks, bytes, kernel: kernelPath === undefined ? 0 : statSync(kernelPath).size }
}

/** Bytes that a run asked for although they lay there before it; every one of them is a gap between two that did not. */
function askedAgain(run: string, before: Held): number {
  let again = 0
  for (const asked of server.asked.filter((one) => runOf(one) === run)) {
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(asked.headers['range'] ?? '') ?? []
    if (pathOf(asked) === blobPath(kernel.cid)) expect(Number(first ?? 0), 'where the kernel goes on').toBe(before.kernel)
    if (pathOf(asked) !== blobPath(squashfs.cid)) continue
    const [from, to] = [index.at(Number(first ?? 0)), index.at(Number(last ?? squashfs.size - 1))]
    for (const end of [from, to])
      expect(before.chunks.has(end), `chunk ${end} is there and at the end of range ${first}-${last}`).toBe(false)
    let stretch = 0
    for (let chunk = from; chunk <= to; chunk++) {
      stretch = before.chunks.has(chunk) ? stretch + index.length(chunk) : 0
      again += before.chunks.has(chunk) ? index.length(chunk) : 0
      expect(stretch, `bytes that are there before chunk ${chunk} and asked for in one piece`).toBeLessThanOrEqual(mostGap)
    }
  }
  return again
}

let runs = 0

/** One `sync`, killed after so many milliseconds. */
async function syncOnce(milliseconds?: number): Promise<{ readonly outcome: Outcome; readonly run: string }> {
  const run = `run${++runs}`
  let timer: NodeJS.Timeout | undefined
  const outcome = await world.psyblob(`sync os ${world.node(`${server.url}${run}/`)} --booted a --json`, {
    started: (child) => {
      if (milliseconds !== undefined) timer = setTimeout(() => child.kill('SIGKILL'), milliseconds)
    },
  })
  clearTimeout(timer)
  return { outcome, run }
}

test(`sync that is killed ${wanted} times at random moments loses what was in flight and nothing else`, async () => {
  const booted = snapshot(world.path('a'))
  const line = `sync os ${world.node(`${server.url}plan/`)} --booted a --json --dry-run`
  freshNode()
  const plan: number = (await world.must(line)).json.bytes.fetched
  freshNode()
  const begun = performance.now()
  expect((await syncOnce()).outcome.code).toBe(0)
  const undisturbed = performance.now() - begun
  // the plan is exact: without kills there is nothing to make up for
  expect(total()).toBe(plan)

  const random = randoms(seed)
  const moments: number[] = []
  const told = () => `PSYBLOB_SEED=${seed}, killed after [${moments.map(Math.round).join(', ')}] ms`
  let [kills, rounds, lost, again, worst] = [0, 0, 0, 0, 0]
  try {
    while (kills < wanted) {
      rounds++
      freshNode()
      let before: Held = { chunks: new Set(), bytes: 0, kernel: 0 }
      let here = 0
      for (;;) {
        const moment = kills < wanted ? random() * undisturbed : undefined
        if (moment !== undefined) moments.push(moment)
        const { outcome, run } = await syncOnce(moment)
        expect(snapshot(world.path('a')), 'slot a').toBe(booted)
        again += askedAgain(run, before)
        if (outcome.code === 0) break
        expect(outcome).toMatchObject({ code: 137 })
        kills++
        here++
        before = held()
      }
      // the last answers to somebody who is gone are counted by now
      await sleep(20)
      const audit: readonly object[] = (await world.must(`verify ${world.node()} --json`)).json
      expect(audit).toMatchObject([
        { place: 'slot a', ok: true, serial: 1 },
        { place: 'slot b', ok: true, serial: 2 },
      ])
      for (const name of ['kernel', 'squashfs']) expect(world.read(`b/${name}`).equals(world.read(`r2/${name}`)), name).toBe(true)
      const more = total() - plan
      expect(more).toBeLessThanOrEqual(here * connections * inFlight)
      expect(more, `bytes fetched twice after ${here} kills`).toBeLessThanOrEqual(here * connections * atHand)
      lost += more
      if (here > 0) worst = Math.max(worst, more / here)
    }
  } catch (error) {
    console.log(told())
    throw error
  }
  console.log(
    `${kills} kills in ${rounds} updates of ${countedBytes(plan)} bytes, ${Math.round(undisturbed)} ms undisturbed: ` +
      `${countedBytes(lost)} bytes fetched twice, ${countedBytes(Math.round(worst))} a kill in the worst update, ` +
      `${countedBytes(again)} of them in gaps of ranges; allowed are ${countedBytes(kills * connections * inFlight)} (PSYBLOB_SEED=${seed})`,
  )
}, 600_000)
