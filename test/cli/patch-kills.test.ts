// Killed at random moments while a patch is fetched or applied: the next run has the right bytes, and neither fetches nor makes again what is there.
import { existsSync, statSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ChunkIndex, type EntryBlob, type IndexBlob, parseChunkIndex } from '../../core/mod.ts'
import { blake3 } from '../../store/blake3.ts'
import { type Asked, type BentServer, bentServer } from '../fixtures/bent-server.ts'
import { blobPath, honestAnswer, PatchWorld, warnings } from './patch-world.ts'
import { type Outcome, snapshot } from './world.ts'

/** How many kills: 12, or as PSYBLOB_KILLS says; the figure of the long run is 50. */
const wanted = Number(process.env['PSYBLOB_KILLS'] ?? 12)
/** Bytes that a kill may cost: what sockets hold, and what was not written yet. */
const inFlight = 64 * 1024
const headBytes = 1024
/** How the line looks while the patch comes. */
const line = { piece: 2048, pause: 30 }
/** Kills of one update, at most: most of them are there while it is fetched or while it is applied, and not the rest of a long series. */
const ofOne = 3

let world: PatchWorld
let server: BentServer
let squashfs: EntryBlob
let patch: NonNullable<EntryBlob['patches']>[number]
let index: ChunkIndex
/** Bytes that went out, by path. */
const sent = new Map<string, number>()

/** The first folder of an address is the run that asks: what a killed one had asked for may be answered after its end. */
const runOf = ({ target }: Asked) => target.split('/')[1]
const pathOf = ({ target }: Asked) => decodeURIComponent(target.split('/').slice(2).join('/'))

async function* slowly(path: string, body: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < body.length; at += line.piece) {
    const piece = body.subarray(at, at + line.piece)
    yield piece
    sent.set(path, (sent.get(path) ?? 0) + piece.length)
    await sleep(line.pause)
  }
}

beforeAll(async () => {
  world = await new PatchWorld().withBoth(11)
  squashfs = world.squashfs(2)
  patch = world.patches(2)[0] as typeof patch
  index = parseChunkIndex(world.read(`repo/${blobPath((squashfs.index as IndexBlob).cid)}`), squashfs.size, 'r2')
  server = await bentServer((asked) => {
    const path = pathOf(asked)
    const honest = honestAnswer(world.path('repo', path), asked)
    if (!(honest.body instanceof Uint8Array) || (path !== blobPath(patch.cid) && path !== blobPath(squashfs.cid))) return honest
    return { ...honest, headers: { ...honest.headers, 'Content-Length': String(honest.body.length) }, body: slowly(path, honest.body) }
  })
})
afterAll(async () => {
  await server.close()
  world.close()
})

let runs = 0

const part = () => world.path('b/.psyblob', `${patch.cid}.patch.part`)
const partBytes = () => (existsSync(part()) ? statSync(part()).size : 0)

/** When a run is killed: after so many milliseconds, or once so many bytes of the patch are there. */
type Moment = { readonly milliseconds: number } | { readonly bytes: number }

async function syncOnce(moment?: Moment): Promise<{ readonly outcome: Outcome; readonly run: string }> {
  const run = `run${++runs}`
  let timer: NodeJS.Timeout | undefined
  const outcome = await world.psyblob(`sync os ${world.node(`${server.url}${run}/`)} --booted a --prefer bytes --json`, {
    started(child) {
      const kill = () => child.kill('SIGKILL')
      if (moment !== undefined && 'milliseconds' in moment) timer = setTimeout(kill, moment.milliseconds)
      else if (moment !== undefined) timer = setInterval(() => partBytes() >= moment.bytes && kill(), 2)
    },
  })
  clearInterval(timer)
  return { outcome, run }
}

type Held = { /** Bytes of the patch. */ readonly patch: number /** Of the new image, by chunk. */; readonly chunks: ReadonlySet<number> }

function held(): Held {
  const file = (name: string) => (existsSync(world.path('b/.psyblob', name)) ? world.read(`b/.psyblob/${name}`) : Buffer.alloc(0))
  // a kill may come when the image is in its place already
  const image = existsSync(world.path('b/squashfs')) ? world.read('b/squashfs') : file(`${squashfs.cid}.part`)
  const chunks = new Set<number>()
  for (let chunk = 0; chunk < index.count; chunk++) {
    const piece = image.subarray(index.offset(chunk), index.offset(chunk) + index.length(chunk))
    if (piece.length === index.length(chunk) && Buffer.compare(blake3().digest(piece), index.digest(chunk)) === 0) chunks.add(chunk)
  }
  return { patch: partBytes(), chunks }
}

test(`sync by a patch that is killed ${wanted} times at random moments does nothing twice`, async () => {
  const booted = snapshot(world.path('a'))
  world.fresh()
  const begun = performance.now()
  const { outcome: first } = await syncOnce()
  const undisturbed = performance.now() - begun
  expect(first.json.plan[1].how).toBe('patch')
  expect(world.wrong('r2')).toBeUndefined()

  const moments: Moment[] = []
  let [kills, rounds, before, fetching, applying, saved] = [0, 0, 0, 0, 0, 0]
  try {
    while (kills < wanted) {
      rounds++
      world.fresh()
      sent.clear()
      let [here, begins]: [number, Held] = [0, { patch: 0, chunks: new Set() }]
      for (;;) {
        // every other update is cut while the patch is fetched, to begin with
        const early = { bytes: 1 + Math.floor(0.8 * Math.random() * patch.size) }
        const later = { milliseconds: (0.15 + 0.65 * Math.random()) * undisturbed }
        const moment = kills === wanted || here === ofOne ? undefined : here === 0 && rounds % 2 === 1 ? early : later
        if (moment !== undefined) moments.push(moment)
        const { outcome, run } = await syncOnce(moment)
        expect(snapshot(world.path('a')), 'slot a').toBe(booted)
        // what is there of the patch is not asked for again: only its head, to reckon with
        for (const asked of server.asked.filter((one) => runOf(one) === run && pathOf(one) === blobPath(patch.cid))) {
          const [, from = 0, to = Number.POSITIVE_INFINITY] = (/^bytes=(\d+)-(\d+)$/.exec(asked.headers['range'] ?? '') ?? []).map(Number)
          if (from !== 0 || to !== headBytes - 1) expect(from, 'where the patch goes on').toBe(begins.patch)
          if (begins.patch === patch.size) expect([from, to]).toEqual([0, headBytes - 1])
        }
        if (outcome.code === 0) {
          expect(warnings(outcome)).toEqual([])
          break
        }
        expect(outcome).toMatchObject({ code: 137 })
        kills++
        here++
        const now = held()
        // chunks that were right stay right
        expect([...begins.chunks].filter((chunk) => !now.chunks.has(chunk))).toEqual([])
        if (now.patch === 0) before++
        else if (now.patch < patch.size) fetching++
        else applying++
        saved += Math.max(0, now.chunks.size - begins.chunks.size)
        begins = now
      }
      expect(world.wrong('r2')).toBeUndefined()
      // the last answers to somebody who is gone are counted by now
      await sleep(2 * line.pause)
      const again = (sent.get(blobPath(patch.cid)) ?? 0) - patch.size - (here + 1) * headBytes
      expect(again, `bytes of the patch fetched twice after ${here} kills`).toBeLessThanOrEqual(here * inFlight)
      // chunks come only where less is missing than the patch has
      expect(sent.get(blobPath(squashfs.cid)) ?? 0).toBeLessThanOrEqual(patch.size + here * inFlight)
      await world.must(`verify ${world.node()}`)
    }
  } catch (error) {
    console.log(`killed at ${JSON.stringify(moments)}`)
    throw error
  }
  expect(fetching).toBeGreaterThan(0)
  expect(applying).toBeGreaterThan(0)
  console.log(
    `${kills} kills in ${rounds} updates, ${Math.round(undisturbed)} ms undisturbed: ${before} before a byte of the patch was there, ` +
      `${fetching} while it was fetched, ${applying} while it was applied; ${saved} chunks were there for the runs after them`,
  )
}, 3_600_000)
