// Threads that work on patches, and what becomes of a patch when they do not: real ones, of a bundle as the product has it.
import { execFileSync } from 'node:child_process'
import { chmod, open, readdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { build } from 'esbuild'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type CID, cidOf, type PatchGroup, parseChunkIndex, parsePatch } from '../../core/mod.ts'
import { blake3 } from '../../store/blake3.ts'
import { Mirrors } from '../../store/mirrors.ts'
import type { Answer, Job, Setting } from '../../store/patches/job.ts'
import { patchPart } from '../../store/patches/patch-part.ts'
import { Threads as HereAlone } from '../../store/patches/threads.ts'
import { ChunkSources } from '../../store/seeds.ts'
import { type HandMadeGroup, handMade, numbers, step } from '../fixtures/patches.ts'
import { madeUp, temporaryFolder } from '../fixtures/repository.ts'
import { evenChunks, indexBytes } from '../fixtures/site.ts'

const root = join(import.meta.dirname, '../..')
/** Where packages are found. */
const bundle = join(root, `node_modules/.cache/psyblob-threads-${process.pid}`)
const programs = ['threads', 'apply-patch', 'patch-worker']

let Threads: typeof HereAlone
let threadCount: () => number
let applyPatch: typeof import('../../store/patches/apply-patch.ts').applyPatch
let dir: string
let remove: () => Promise<void>

beforeAll(async () => {
  await build({
    ...{ absWorkingDir: root, entryPoints: programs.map((name) => `store/patches/${name}.ts`), outdir: bundle, logLevel: 'warning' },
    ...{ bundle: true, splitting: true, format: 'esm', platform: 'node', target: 'node20', packages: 'external' },
  })
  await writeFile(join(bundle, 'package.json'), '{"type":"module"}\n')
  ;({ Threads, threadCount } = await import(join(bundle, 'threads.js')))
  ;({ applyPatch } = await import(join(bundle, 'apply-patch.js')))
})
afterAll(() => rm(bundle, { recursive: true, force: true }))
beforeEach(async () => {
  ;({ dir, remove } = await temporaryFolder())
})
afterEach(() => remove())

const old = madeUp(100_000, 1)
const groupBytes = 4096
/** A group that copies the bytes of its number, and one that no reader takes. */
const copying = (number: number): HandMadeGroup => ({ length: groupBytes, control: numbers(step.copy, [number * groupBytes], groupBytes) })
const wrong: HandMadeGroup = { length: groupBytes, control: numbers(5) }

type Laid = { readonly setting: Setting & { readonly patch: string }; readonly groups: readonly PatchGroup[]; readonly size: number }

/** An old file and a patch of it. */
async function laid(next: Uint8Array, groups: readonly HandMadeGroup[]): Promise<Laid> {
  const [path, patch] = [join(dir, 'old'), join(dir, 'patch')]
  const bytes = handMade({ old, next, groups })
  await writeFile(path, old)
  await writeFile(patch, bytes)
  const setting = { old: { path, size: old.length }, packing: 'none', codecs: [], patch } as const
  return { setting, groups: parsePatch(bytes, bytes.length, 'patch').groups, size: bytes.length }
}

const copies = (count: number) =>
  laid(
    old.subarray(0, count * groupBytes),
    Array.from({ length: count }, (_, number) => copying(number)),
  )
/** Asks for the bytes of a group, which is there, or for so many stretches of them. */
const job = (group: PatchGroup | undefined, wanted: readonly (readonly [number, number])[] = []): Job => {
  const { at } = group as PatchGroup
  return { do: 'apply', group: group as PatchGroup, wanted: wanted.length === 0 ? [[at, at + groupBytes]] : wanted }
}

function expectRight(answers: readonly Answer[], groups: readonly PatchGroup[]): void {
  expect(answers.map(({ did }) => did)).toEqual(groups.map(() => 'apply'))
  for (const [number, { at }] of groups.entries()) {
    const { bytes } = answers[number] as Extract<Answer, { did: 'apply' }>
    expect(bytes.map((made) => made.at)).toEqual([at])
    expect(Buffer.compare(bytes[0]?.bytes ?? Buffer.alloc(0), old.subarray(at, at + groupBytes))).toBe(0)
  }
}

/** Makes threads that have 24 MiB for what is no buffer, as a machine without memory would. */
async function withLittleMemory<Value>(work: () => Promise<Value>): Promise<Value> {
  setFlagsFromString('--max-old-space-size=24')
  try {
    return await work()
  } finally {
    setFlagsFromString('--max-old-space-size=0')
  }
}

/** A job that is larger than such a thread. */
const deadly = (group: PatchGroup | undefined): Job =>
  job(
    group,
    Array.from({ length: 1_000_000 }, (_, at) => [at, at + 1]),
  )
const died = { did: 'fail', why: 'a thread did not come through it' }

describe('threads', () => {
  test('do jobs beside each other, more than there are of them', async () => {
    const { setting, groups } = await copies(20)
    const threads = new Threads(setting, 2)
    expectRight(await Promise.all(groups.map((group) => threads.run(job(group)))), groups)
    // both are there still: two jobs for each
    expect(threads.width).toBe(4)
    await threads.end()
  })

  test('of which one dies of a job: it is not tried again, and the others are done', () =>
    withLittleMemory(async () => {
      const { setting, groups } = await copies(20)
      const threads = new Threads(setting, 2)
      // both have begun
      await Promise.all([0, 1].map((number) => threads.run(job(groups[number]))))
      const killed = threads.run(deadly(groups[0]))
      expectRight(await Promise.all(groups.map((group) => threads.run(job(group)))), groups)
      expect(await killed).toEqual(died)
      expect(threads.width).toBe(2)
      await threads.end()
    }))

  test('that all die leave nothing to this one, which is killed by none of it', () =>
    withLittleMemory(async () => {
      const { setting, groups } = await copies(20)
      const threads = new Threads(setting, 3)
      await Promise.all([0, 1, 2].map((number) => threads.run(job(groups[number]))))
      const killed = Promise.all([0, 1, 2].map((number) => threads.run(deadly(groups[number]))))
      expect(await Promise.all(groups.map((group) => threads.run(job(group))))).toEqual(groups.map(() => died))
      expect(await killed).toEqual([died, died, died])
      expect(await threads.run(job(groups[7]))).toEqual(died)
      await threads.end()
    }))

  test('whose program is damaged leave it all to this one', async () => {
    const program = join(bundle, 'patch-worker.js')
    const whole = await readFile(program)
    await truncate(program, whole.length - 20)
    try {
      const { setting, groups } = await copies(20)
      const threads = new Threads(setting, 2)
      expect(threads.width).toBe(4)
      expectRight(await Promise.all(groups.map((group) => threads.run(job(group)))), groups)
      expect(threads.width).toBe(2)
      await threads.end()
    } finally {
      await writeFile(program, whole)
    }
  })

  test('that have no program are none: this one does it all', async () => {
    const { setting, groups } = await copies(20)
    const threads = new HereAlone(setting, 2)
    expect(threads.width).toBe(2)
    expectRight(await Promise.all(groups.map((group) => threads.run(job(group)))), groups)
    await threads.end()
  })

  test('that the system does not give are none: this one does it all', async () => {
    const { setting, groups } = await copies(3)
    await chmod(dir, 0o755)
    // root may have as many as it likes
    const script = `
      import { spawnSync } from 'node:child_process'
      import { stat } from 'node:fs/promises'
      import { Worker } from 'node:worker_threads'
      const [Threads, setting, jobs] = [(await import(process.argv[1])).Threads, ...process.argv.slice(2).map((text) => JSON.parse(text))]
      await stat('.')
      if (spawnSync('prlimit', ['--pid', String(process.pid), '--nproc=1']).status !== 0) throw new Error('no prlimit')
      if (process.getuid() === 0) process.setuid(65534)
      let refused = 'none'
      try {
        new Worker('', { eval: true })
      } catch ({ code }) {
        refused = code
      }
      const threads = new Threads(setting, 2)
      const answers = await Promise.all(jobs.map((job) => threads.run(job)))
      await threads.end()
      const bytes = answers.map(({ bytes }) => bytes?.map((made) => Buffer.from(made.bytes).toString('base64')))
      console.log(JSON.stringify({ refused, width: threads.width, bytes }))`
    const words = [JSON.stringify(setting), JSON.stringify(groups.map((group) => job(group)))]
    const stdout = execFileSync(process.execPath, ['--input-type=module', '-e', script, join(bundle, 'threads.js'), ...words])
    expect(JSON.parse(stdout.toString())).toEqual({
      ...{ refused: 'ERR_WORKER_INIT_FAILED', width: 2 },
      bytes: groups.map(({ at }) => [Buffer.from(old.subarray(at, at + groupBytes)).toString('base64')]),
    })
  })

  test('that are ended answer whatever was asked, and whatever is asked later', async () => {
    const { setting, groups } = await copies(20)
    const threads = new Threads(setting, 2)
    const asked = groups.map((group) => threads.run(job(group)))
    await Promise.all([threads.end(), threads.end()])
    for (const answer of [...(await Promise.all(asked)), await threads.run(job(groups[0]))])
      expect(answer).toEqual({ did: 'fail', why: 'ended' })
  })

  test.each([
    ['threads', () => Threads],
    ['this one', () => HereAlone],
  ])('whose old file is gone say so of each job: %s', async (_, of) => {
    const { setting, groups } = await copies(5)
    await rm(setting.old.path)
    const threads = new (of())(setting, 2)
    for (const answer of await Promise.all(groups.map((group) => threads.run(job(group)))))
      expect(answer).toEqual({ did: 'fail', why: expect.stringContaining('ENOENT') })
    await threads.end()
  })
})

/** What came of a patch: which chunks are right, and what was said. */
async function applied(next: Uint8Array, laying: Promise<Laid>) {
  const { setting, size } = await laying
  const bytes = indexBytes(evenChunks(next, groupBytes))
  const sources = new ChunkSources(parseChunkIndex(bytes, next.length, 'index'))
  const path = join(dir, 'next')
  await writeFile(path, new Uint8Array(next.length))
  const patch = await readFile(setting.patch)
  const [from, cid] = [old, patch].map((blob) => cidOf(blake3().digest(blob))) as [CID, CID]
  await rename(setting.patch, patchPart(dir, cid))
  const said: string[] = []
  const file = await open(path, 'r+')
  try {
    await applyPatch({
      // of a large one: the time that it is given is four times as long
      patch: { from, cid, size, old: setting.old.path, seconds: 112.46261 },
      ...{ sources, file, parts: dir, mirrors: new Mirrors([], { report: () => undefined }) },
      ...{ onFetch: () => undefined, onChunk: () => undefined, warn: (why) => said.push(why) },
      ...{ turn: (work) => work(), signal: new AbortController().signal },
    })
  } finally {
    await file.close()
  }
  // whatever came of it, it is not wanted again
  expect((await readdir(dir)).filter((name) => name.endsWith('.part'))).toEqual([])
  const made = evenChunks(await readFile(path), groupBytes)
  const right = made.flatMap(({ digest }, number) => (Buffer.compare(digest, sources.index.digest(number)) === 0 ? [number] : []))
  const inPlace = made.flatMap((_, number) => (sources.isInPlace(number) ? [number] : []))
  expect(inPlace).toEqual(right)
  return { said, right: right.length }
}

describe('a patch', () => {
  const count = 24
  const next = old.subarray(0, count * groupBytes)
  /** With so many wrong groups before those that are right. */
  const bad = (number: number) =>
    laid(next, [...Array(number).fill(wrong), ...Array.from({ length: count }, (_, at) => copying(at)).slice(number)])

  test('in which two parts fail does all others', async () => {
    expect(await applied(next, bad(2))).toEqual({
      said: [expect.stringMatching(/^2 of its 24 parts failed: patch: an unknown step$/)],
      right: count - 2,
    })
  })

  test('in which three parts fail is given up: those under way come to their end, and no others are begun', async () => {
    const { said, right } = await applied(next, bad(count - 2))
    const [, failed] = /^(\d+) of its 24 parts failed: patch: an unknown step$/.exec(said.join()) ?? []
    expect(Number(failed)).toBeGreaterThanOrEqual(3)
    // two for each thread are under way
    expect(Number(failed)).toBeLessThan(3 + 2 * threadCount())
    expect(right).toBe(0)
  })

  test('whose old file has gone fails as often, and says why', async () => {
    const laying = bad(0)
    await rm((await laying).setting.old.path)
    const { said, right } = await applied(next, laying)
    expect(said).toEqual([expect.stringMatching(/^\d+ of its 24 parts failed: ENOENT/)])
    expect(right).toBe(0)
  })
})
