// A publisher whose indexes lie, with its own signature under them: the node refuses or fetches the whole blob, reads no more than it must,
// and is ready for the next good release.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type EntryBlob, formatPublicKeyFile, type IndexBlob, limits } from '../../core/mod.ts'
import { indexTree } from '../../store/index-tree.ts'
import { noise, type Outcome, snapshot, World } from '../cli/world.ts'
import { type Bend, type BentServer, bentServer } from '../fixtures/bent-server.ts'
import { blobOf } from '../fixtures/repository.ts'
import { answerFrom, type Chunk, evenChunks, fileEntry, indexBytes, Site } from '../fixtures/site.ts'

const size = 3_000_000
const chunkBytes = 8192
const header = 24
const record = 36
/** What any psyblob may take: spec/performance.md. */
const mostMemory = 128 * 1024 * 1024
/** More than the blob, the kernel, documents and a true index together: whoever reads more was led on by a lie. */
const mostBytes = size + 1_000_000
/** The most entries that an index may have at all, and one that no manifest may name. */
const mostEntries = Math.floor((limits.index - header) / record)

const old = noise('lying: old', size)
/** `old` with some chunks in its middle written anew: most pages of its index stay what they were. */
function edited(name: string, at = 1_000_000, length = 250_000): Buffer {
  const bytes = Buffer.from(old)
  bytes.set(noise(`lying: ${name}`, length), at)
  return bytes
}
const cutOf = (bytes: Uint8Array) => evenChunks(bytes, chunkBytes)
const withChunk = (chunks: readonly Chunk[], at: number, change: Partial<Chunk>) =>
  chunks.map((chunk, number) => (number === at ? { ...chunk, ...change } : chunk))
const stating = (index: Uint8Array, stated: bigint) => {
  Buffer.from(index.buffer, index.byteOffset).writeBigUInt64LE(stated, 16)
  return index
}

let world: World
let site: Site
let server: BentServer
/** What the server answers instead, by path. */
const bends = new Map<string, () => Bend>()
let serial = 1

const kernel = noise('lying: kernel', 100_000)
const release = (bin: EntryBlob, bend?: (body: string) => string) => {
  const records = [fileEntry('/kernel', 'kernel', site.plain(kernel)), fileEntry('/squashfs', 'squashfs', bin)]
  site.release(++serial, records, bend === undefined ? {} : { bend })
}

beforeAll(async () => {
  world = new World()
  site = new Site()
  server = await bentServer((asked) => bends.get(asked.target.slice(1))?.() ?? answerFrom(site.files, asked))
  world.write('os.pub', formatPublicKeyFile(site.key.publicKey))
  // a child says how much memory it took when it leaves; rusage would tell of the process that it was forked from
  const told = `
    const { readFileSync, writeFileSync } = require('node:fs')
    process.on('exit', () => writeFileSync(process.env.TEST_PEAK, /VmHWM:\\s+(\\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))[1]))
  `
  world.write('peak.cjs', told)
  release(site.indexed(old, cutOf(old)))
  await world.must(sync('base', ''), { env: env('base') })
})
afterAll(async () => {
  await server.close()
  world.close()
})

const node = (name: string) => `--key os.pub --remote ${server.url} --slot-a ${name}/a --slot-b ${name}/b --esp ${name}/esp`
const sync = (name: string, booted = '--booted a') => `sync os ${node(name)} ${booted} --compat any --timeout 5 --json`
const env = (name: string) => ({
  PSYBLOB_STORE: world.path(name, 'store'),
  NODE_OPTIONS: `--require=${world.path('peak.cjs')}`,
  TEST_PEAK: world.path(`${name}.peak`),
})

type Run = Outcome & {
  /** Bytes that the server sent, and those of memory that psyblob took. */
  readonly sent: number
  readonly memory: number
  readonly asked: readonly string[]
}

async function run(name: string): Promise<Run> {
  const [sent, asked] = [server.sent, server.asked.length]
  const outcome = await world.psyblob(sync(name), { env: env(name) })
  const memory = Number(world.read(`${name}.peak`).toString()) * 1024
  return Object.assign(outcome, { sent: server.sent - sent, memory, asked: server.asked.slice(asked).map(({ target }) => target.slice(1)) })
}

let nodes = 0

/** Has a node meet the release that was published last; then a good one. Answers what became of the first. */
async function meet(bytes: Buffer): Promise<Run> {
  const name = `node${++nodes}`
  world.copy('base', name)
  const booted = snapshot(world.path(name, 'a'))
  const first = await run(name)
  expect(snapshot(world.path(name, 'a')), 'slot a').toBe(booted)
  if (first.code === 0) expect(world.read(`${name}/b/squashfs`).equals(bytes), 'the bytes of slot b').toBe(true)
  else {
    // the slot that was to be written does not say that it is a release, and nobody boots it
    expect(first.stderr).toMatch(/psyblob: (malformed|corrupt|unavailable): .*\n {2}hint: /)
    const status = (await world.must(`status ${node(name)} --compat any --json`, { env: env(name) })).json
    expect(status.boot.order[0]).toBe('a')
    expect(snapshot(world.path(name, 'b'))).not.toMatch(/^\/manifest/m)
  }
  const good = edited(`good ${name}`, 400_000)
  release(site.indexed(good, cutOf(good)))
  bends.clear()
  const after = await run(name)
  expect(after).toMatchObject({ code: 0 })
  expect(after.json).toMatchObject({ serial, slot: 'b', changed: true })
  expect(world.read(`${name}/b/squashfs`).equals(good), 'the bytes of the good release').toBe(true)
  expect(snapshot(world.path(name, 'a')), 'slot a').toBe(booted)
  expect(after.memory, 'bytes of memory for the good release').toBeLessThanOrEqual(mostMemory)
  world.remove(name)
  return first
}

function within(run: Run): void {
  expect(run.sent, 'bytes that the server sent').toBeLessThanOrEqual(mostBytes)
  expect(run.memory, 'bytes of memory').toBeLessThanOrEqual(mostMemory)
}

/** The whole blob was fetched, and somebody was told why. */
function expectWhole(run: Run, why: RegExp): void {
  expect(run).toMatchObject({ code: 0, stderr: expect.stringMatching(/warning: no usable chunk index, the whole blob is fetched: /) })
  expect(run.stderr).toMatch(why)
  expect(run.json.plan.find((line: { path: string }) => line.path === '/squashfs')).toMatchObject({ how: 'whole', fetch: size })
  within(run)
}

function expectRefused(run: Run, text: RegExp): void {
  expect(run.code).toBe(13)
  expect(run.stderr).toMatch(text)
  within(run)
}

/** Either is right where the specification leaves it open: but it must be one of them. */
function expectWholeOrRefused(run: Run): void {
  if (run.code === 0) expectWhole(run, /./)
  else expectRefused(run, /psyblob: (malformed|corrupt): /)
}

/** A release whose index is `index`, whatever that is, named by its right CID. */
function publishIndex(bytes: Buffer, index: Uint8Array): void {
  release({ ...site.plain(bytes), index: { cid: site.put(index).cid, size: index.length } })
}

async function* endless(): AsyncGenerator<Uint8Array> {
  for (;;) yield Buffer.alloc(65_536, 1)
}

describe('an index that lies about lengths is not used, the whole blob is fetched', () => {
  const cases: readonly (readonly [string, (bytes: Buffer) => Uint8Array, RegExp])[] = [
    [
      'one chunk longer than the blob has room for',
      (bytes) => stating(indexBytes(withChunk(cutOf(bytes), 366, { length: chunkBytes })), BigInt(size)),
      /its chunks add up to 3006464 bytes, expected 3000000/,
    ],
    [
      'the last chunk left out',
      (bytes) => stating(indexBytes(cutOf(bytes).slice(0, -1)), BigInt(size)),
      /its chunks add up to 2998272 bytes, expected 3000000/,
    ],
    [
      'a chunk of no bytes',
      (bytes) => indexBytes([...cutOf(bytes), { length: 0, digest: Buffer.alloc(32) }]),
      /chunk 367 is 0 bytes long, allowed are 1 to 1048576/,
    ],
    [
      'a chunk of four gigabytes',
      (bytes) => stating(indexBytes(withChunk(cutOf(bytes), 7, { length: 0xffffffff })), BigInt(size)),
      /chunk 7 is 4294967295 bytes long, allowed are/,
    ],
    [
      'one chunk that is longer than any may be',
      (bytes) => indexBytes(evenChunks(bytes, 1024 * 1024 + 1)),
      /chunk 0 is 1048577 bytes long, allowed are/,
    ],
    ['lengths that pass 2^53', (bytes) => stating(indexBytes(cutOf(bytes)), 2n ** 64n - 1n), /expected the index of 3000000 bytes/],
    ['no chunk at all', () => indexBytes([]), /expected the index of 3000000 bytes, got one of 0/],
    ['no chunk, and the size of the blob', () => stating(indexBytes([]), BigInt(size)), /add up to 0 bytes, expected 3000000/],
    ['half a record', (bytes) => indexBytes(cutOf(bytes)).subarray(0, -18), /no whole number of records/],
    [
      'another format',
      (bytes) => Buffer.concat([Buffer.from('psyblob index\0\u0002\0'), indexBytes(cutOf(bytes)).subarray(16)]),
      /not a chunk index of format 1/,
    ],
    ['no index but the blob itself', (bytes) => bytes, /not a chunk index of format 1/],
    [
      'a true index of another blob of another size',
      (bytes) => indexBytes(cutOf(bytes.subarray(0, size - 5))),
      /expected the index of 3000000 bytes, got one of 2999995/,
    ],
  ]
  test.each(cases)('%s', async (name, lie, why) => {
    const bytes = edited(name)
    publishIndex(bytes, lie(bytes))
    const met = await meet(bytes)
    expect(met.stderr).toMatch(why)
    // an index that is the blob comes twice
    if (lie(bytes) === bytes) expect(met.code).toBe(0)
    else expectWhole(met, why)
  })
})

describe('an index that lies about what its chunks are', () => {
  test('a chunk that has to be fetched: refused, and its digest and the one that came are named', async () => {
    const bytes = edited('wrong digest')
    publishIndex(bytes, indexBytes(withChunk(cutOf(bytes), 130, { digest: noise('no such chunk', 32) })))
    expectRefused(await meet(bytes), /corrupt: blob bafkr4i.*: chunk 130: expected bafkr4i.*, got bafkr4i/)
  })

  test('two chunks that this machine has, one in the place of the other: refused when the file is read back', async () => {
    const bytes = edited('exchanged')
    const chunks = cutOf(bytes)
    const [one, two] = [chunks[3], chunks[5]] as [Chunk, Chunk]
    publishIndex(bytes, indexBytes(withChunk(withChunk(chunks, 3, two), 5, one)))
    expectRefused(await meet(bytes), /corrupt: reading back \/squashfs in slot b: expected bafkr4i.*, got bafkr4i/)
  })

  test('every chunk is said to be one that this machine has: refused when the file is read back, and nothing of it fetched', async () => {
    const bytes = edited('all the same')
    const [first] = cutOf(old) as [Chunk]
    const last = cutOf(old).at(-1) as Chunk
    publishIndex(bytes, indexBytes(cutOf(bytes).map(({ length }) => (length === chunkBytes ? first : last))))
    const met = await meet(bytes)
    expectRefused(met, /corrupt: reading back \/squashfs/)
    expect(met.asked).not.toContain(blobOf(bytes).path)
  })

  test('an index of another blob of the same size: refused, and the old one does not pass for the new', async () => {
    const bytes = edited('the old index')
    publishIndex(bytes, indexBytes(cutOf(old)))
    expectRefused(await meet(bytes), /corrupt: reading back \/squashfs/)
  })
})

describe('an index that is said to be huge is not read into memory', () => {
  test('10^9 entries: the manifest is refused, and nothing of it is fetched', async () => {
    const bytes = edited('a thousand million')
    const { cid, size: real } = site.indexed(bytes, cutOf(bytes)).index as IndexBlob
    const bin = { ...site.plain(bytes), index: { cid, size: real } }
    release(bin, (body) => body.replace(`"cid":"${cid}","size":${real}`, `"cid":"${cid}","size":${header + 10 ** 9 * record}`))
    const met = await meet(bytes)
    expectRefused(met, /malformed: manifest os\/\d+ of .*, line 3: field bin\.index/)
    expect(met.asked.filter((path) => path.startsWith('blobs/'))).toEqual([])
  })

  test.each([
    ['the most that any may have', mostEntries],
    ['a million', 1_000_000],
  ])('%s entries, and a body that does not end', async (name, entries) => {
    const bytes = edited(`endless, ${name}`)
    const { cid } = site.indexed(bytes, cutOf(bytes)).index as IndexBlob
    release({ ...site.plain(bytes), index: { cid, size: header + entries * record } })
    bends.set(blobOf(indexBytes(cutOf(bytes))).path, () => ({ body: endless() }))
    expectWholeOrRefused(await meet(bytes))
  })

  test('the most entries that any may have, and a body that ends after the true ones', async () => {
    const bytes = edited('ends')
    const { cid } = site.indexed(bytes, cutOf(bytes)).index as IndexBlob
    release({ ...site.plain(bytes), index: { cid, size: header + mostEntries * record } })
    expectWholeOrRefused(await meet(bytes))
  })

  test('one entry more than there are: as a body that was cut, and the next remote or the next run may have it', async () => {
    const bytes = edited('one more')
    const { cid, size: real } = site.indexed(bytes, cutOf(bytes)).index as IndexBlob
    release({ ...site.plain(bytes), index: { cid, size: real + record } })
    const met = await meet(bytes)
    expect(met.stderr).toMatch(new RegExp(`expected ${real + record} bytes, got ${real}`))
    expect([0, 13, 14]).toContain(met.code)
    within(met)
  })

  test('one entry fewer than there are: the bytes are not what the CID names', async () => {
    const bytes = edited('one fewer')
    const { cid, size: real } = site.indexed(bytes, cutOf(bytes)).index as IndexBlob
    release({ ...site.plain(bytes), index: { cid, size: real - record } })
    expectRefused(await meet(bytes), new RegExp(`corrupt: .*longer than ${real - record} bytes`))
  })

  test('chunks of four bytes, each of them right: an index that is larger than its blob saves nothing', async () => {
    const bytes = edited('crumbs')
    publishIndex(bytes, indexBytes(evenChunks(bytes, 4)))
    const met = await meet(bytes)
    expect(met.code).toBe(0)
    within(met)
  })
})

describe('an index of an index that lies', () => {
  /** The true index of `bytes`, the pages of it, and the index of the pages. */
  const treeOf = (bytes: Buffer) => {
    const { blobs } = indexTree(indexBytes(cutOf(bytes)))
    const [own, above] = blobs as [(typeof blobs)[0], (typeof blobs)[0]]
    const pages: Chunk[] = []
    for (let at = header; at < above.bytes.length; at += record) {
      const length = Buffer.from(above.bytes.buffer, above.bytes.byteOffset + at, 4).readUInt32LE()
      pages.push({ length, digest: above.bytes.subarray(at + 4, at + record) })
    }
    return { own: { cid: own.cid, size: own.bytes.length }, pages }
  }
  const publishTree = (bytes: Buffer, own: IndexBlob, above: IndexBlob, bend?: (body: string) => string) => {
    site.indexed(bytes, cutOf(bytes))
    release({ ...site.plain(bytes), index: { ...own, index: above } as NonNullable<EntryBlob['index']> }, bend)
  }
  const putAbove = (index: Uint8Array) => ({ cid: site.put(index).cid, size: index.length })
  const oldPages = treeOf(old).pages

  test('this is the way that pages come when nobody lies: fewer bytes than the index has', async () => {
    const bytes = edited('no lie')
    const { own, pages } = treeOf(bytes)
    publishTree(bytes, own, putAbove(indexBytes(pages)))
    const met = await meet(bytes)
    expect(met.code).toBe(0)
    expect(met.stderr).not.toContain('warning')
    expect(met.sent).toBeLessThan(250_000 + 2 * chunkBytes + kernel.length + own.size)
  })

  test('pages of other bytes: refused, or the index is taken as a whole', async () => {
    const bytes = edited('other pages')
    const { own, pages } = treeOf(bytes)
    const known = new Set(oldPages.map(({ digest }) => Buffer.from(digest).toString('hex')))
    const at = pages.findIndex(({ digest }) => !known.has(Buffer.from(digest).toString('hex')))
    publishTree(bytes, own, putAbove(indexBytes(withChunk(pages, at, { digest: noise('no such page', 32) }))))
    const met = await meet(bytes)
    if (met.code !== 0) expectRefused(met, /corrupt: /)
    within(met)
  })

  test('pages that are right one by one and give another whole: the index is taken as a whole', async () => {
    const bytes = edited('exchanged pages')
    const { own, pages } = treeOf(bytes)
    const known = new Set(oldPages.map(({ digest }) => Buffer.from(digest).toString('hex')))
    const ours = [...pages.keys()].filter((page) => page > 0 && known.has(Buffer.from(pages[page]?.digest ?? []).toString('hex')))
    // two pages that this machine has, one in the place of the other
    const [one, two] = [ours[0], ours[1]] as [number, number]
    const exchanged = withChunk(withChunk(pages, one, pages[two] as Chunk), two, pages[one] as Chunk)
    publishTree(bytes, own, putAbove(indexBytes(exchanged)))
    const met = await meet(bytes)
    expect(met.code).toBe(0)
    expect(met.json.plan.find((line: { path: string }) => line.path === '/squashfs')).toMatchObject({ how: 'chunks' })
    expect(met.asked.filter((path) => path === blobOf(indexBytes(cutOf(bytes))).path).length).toBeGreaterThan(0)
    within(met)
  })

  test('lengths of pages that do not add up: the index is taken as a whole', async () => {
    const bytes = edited('long pages')
    const { own, pages } = treeOf(bytes)
    publishTree(bytes, own, putAbove(indexBytes(withChunk(pages, 1, { length: 4 * record }))))
    const met = await meet(bytes)
    expect(met.code).toBe(0)
    expect(met.json.plan.find((line: { path: string }) => line.path === '/squashfs')).toMatchObject({ how: 'chunks' })
    within(met)
  })

  test.each([1, 2])('an index that names itself as its own, %i levels deep', async (levels) => {
    const bytes = edited(`itself ${levels}`)
    const { own } = treeOf(bytes)
    publishTree(bytes, own, levels === 1 ? own : { ...own, index: own })
    const met = await meet(bytes)
    expect(met.code).toBe(0)
    within(met)
    // no more often than there are levels
    expect(met.asked.filter((path) => path === blobOf(indexBytes(cutOf(bytes))).path).length).toBeLessThanOrEqual(levels + 1)
  })

  test('four levels: the manifest is refused, and nothing of it is fetched', async () => {
    const bytes = edited('four levels')
    const { own, pages } = treeOf(bytes)
    const above = putAbove(indexBytes(pages))
    const text = JSON.stringify(above)
    const deeper = `{"cid":"${above.cid}","size":${above.size},"index":${text}}`
    publishTree(bytes, own, { ...above, index: above }, (body) => {
      const bent = body.replace(`"index":${text}`, `"index":${deeper}`)
      expect(bent).not.toBe(body)
      return bent
    })
    const met = await meet(bytes)
    expectRefused(met, /malformed: manifest os\/\d+ of .*, line 3: field bin\.index/)
    expect(met.asked.filter((path) => path.startsWith('blobs/'))).toEqual([])
  })

  test('a level above that is said to be huge, with a body that does not end: what is above is not worth more than the index', async () => {
    const bytes = edited('huge above')
    const { own, pages } = treeOf(bytes)
    const above = putAbove(indexBytes(pages))
    publishTree(bytes, own, { ...above, size: header + mostEntries * record })
    bends.set(blobOf(indexBytes(pages)).path, () => ({ body: endless() }))
    const met = await meet(bytes)
    if (met.code !== 0) expectRefused(met, /psyblob: (malformed|corrupt): /)
    within(met)
  })

  test('one page that this machine has, again and again, makes up a huge index: no memory is spent on it', async () => {
    const bytes = edited('bomb')
    const tree = indexTree(indexBytes(cutOf(old)))
    const [own] = tree.blobs as [(typeof tree.blobs)[0]]
    const at = (oldPages[0] as Chunk).length
    const page = oldPages[1] as Chunk
    const piece = own.bytes.subarray(at, at + page.length)
    const count = Math.floor((100 * 1024 * 1024) / page.length)
    const huge = Buffer.concat([own.bytes.subarray(0, at), ...Array.from({ length: count }, () => piece)])
    const { cid } = blobOf(huge)
    publishTree(
      bytes,
      { cid, size: huge.length },
      putAbove(indexBytes([oldPages[0] as Chunk, ...Array.from({ length: count }, () => page)])),
    )
    expectWholeOrRefused(await meet(bytes))
  })
})
