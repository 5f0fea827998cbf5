// A node that may take patches, as typed: what it says before, what it fetches, who decides, and what a psyblob does that knows no patches.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type EntryBlob, parseManifest } from '../../core/mod.ts'
import { blobPath, type CountingServer, honestAnswer, PatchWorld, serveRepository, warnings } from './patch-world.ts'
import { snapshot } from './world.ts'

let world: PatchWorld
let server: CountingServer
let squashfs: EntryBlob
let patch: NonNullable<EntryBlob['patches']>[number]

beforeAll(async () => {
  world = await new PatchWorld().withBoth()
  squashfs = world.squashfs(2)
  patch = world.patches(2)[0] as typeof patch
})
afterAll(() => world.close())
beforeEach(async () => {
  world.fresh()
  server = await serveRepository(world)
})
afterEach(() => server.close())

const sync = (words = '') => world.must(`sync os ${world.node(server.url)} --booted a ${words}`)
const fetched = (cid: EntryBlob['cid']) => server.bytes.get(blobPath(cid)) ?? 0

describe('sync --prefer bytes', () => {
  test('takes the patch, gives the bytes that were published, and fetches far less than with chunks', async () => {
    const before = world.state()
    const patched = await sync('--prefer bytes --json')
    expect(patched.json.plan[1]).toMatchObject({ path: '/squashfs', how: 'patch', fetch: patch.size, requests: 1 })
    expect(warnings(patched)).toEqual([])
    expect(world.wrong('r2')).toBeUndefined()
    expect(fetched(squashfs.cid)).toBe(0)
    // its head is looked at first
    expect(fetched(patch.cid)).toBe(patch.size + 1024)
    const total = server.sent
    await world.must(`verify ${world.node()}`)
    world.fresh()
    expect(world.state()).toBe(before)
    const chunks = await sync('--prefer time --json')
    expect(chunks.json.plan[1]).toMatchObject({ how: 'chunks' })
    expect(world.wrong('r2')).toBeUndefined()
    expect(fetched(squashfs.cid)).toBe(chunks.json.plan[1].fetch)
    expect(total).toBeLessThan((server.sent - total) / 4)
  })

  test.each(['bytes', 'time', 'chunks'])('or %s takes from the line what its dry run said, which changes nothing', async (prefer) => {
    const before = world.state()
    const dry = (await sync(`--prefer ${prefer} --dry-run --json`)).json
    expect(world.state()).toBe(before)
    const told = server.sent
    const run = (await sync(`--prefer ${prefer} --json`)).json
    expect({ bytes: run.bytes, requests: run.requests }).toEqual({ bytes: dry.bytes, requests: dry.requests })
    expect(server.sent - told).toBe(run.bytes.fetched)
  })

  test('is what a composition may say', async () => {
    const line = {
      name: 'os',
      key: world.read('os.pub').toString().split('\n')[1],
      uris: [server.url],
      target: { kind: 'slots', a: { dir: 'a' }, b: { dir: 'b' }, esp: { dir: 'esp' } },
    }
    world.write('composition', `${JSON.stringify({ ...line, prefer: 'bytes' })}\n`)
    const planned = async (words: string) =>
      (await world.must(`sync --composition composition --booted a --dry-run --json ${words}`)).json.plan[1].how
    expect(await planned('')).toBe('patch')
    expect(await planned('--prefer time')).toBe('chunks')
    world.write('composition', `${JSON.stringify({ ...line, prefer: 'speed' })}\n`)
    expect(await world.psyblob('sync --composition composition')).toMatchObject({ code: 13, stderr: expect.stringContaining('prefer') })
    world.write('composition', `${JSON.stringify({ ...line, prefer: 'bytes' })}\n`)
    const synced = await world.must('sync --composition composition --booted a --json')
    expect(synced.json.plan[1]).toMatchObject({ how: 'patch' })
    expect(world.wrong('r2')).toBeUndefined()
  })

  test('takes no patch where nothing of the image is here', async () => {
    world.remove('a')
    const synced = await sync('--prefer bytes --json')
    expect(synced.json.plan[1].ways.map(({ how }: { how: string }) => how)).toEqual(['chunks', 'whole'])
    expect(warnings(synced)).toEqual([])
    expect(fetched(patch.cid)).toBe(0)
  })

  test.each([
    ['lost', () => world.remove(`lacking/${blobPath(patch.cid)}`)],
    [
      'damaged',
      () => {
        const bytes = world.read(`lacking/${blobPath(patch.cid)}`)
        bytes[2000] = (bytes[2000] as number) ^ 1
        world.write(`lacking/${blobPath(patch.cid)}`, bytes)
      },
    ],
  ])('from a folder that was downloaded where the patch is %s: chunks, and the download says so', async (_, spoil) => {
    world.remove('lacking')
    world.remove('stick')
    world.copy('repo', 'lacking')
    spoil()
    const downloaded = await world.must('download os stick --key os.pub --remote lacking')
    expect(warnings(downloaded)).toEqual([expect.stringMatching(/patch bafkr4i\w+ is not copied: .*; nodes take chunks in its place/)])
    const synced = await world.must(`sync os --path stick --key os.pub --slot-a a --slot-b b --esp esp --booted a --prefer bytes --json`)
    expect(synced.json.plan[1]).toMatchObject({ how: 'chunks' })
    expect(warnings(synced)).toEqual([expect.stringContaining('no patch of /squashfs is used')])
    expect(world.wrong('r2')).toBeUndefined()
    world.remove('stick')
  })

  test('from a downloaded folder, which has the patches too', async () => {
    await world.must(`download os stick --key os.pub --remote ${server.url}`)
    const synced = await world.must(`sync os --path stick --key os.pub --slot-a a --slot-b b --esp esp --booted a --prefer bytes --json`)
    expect(synced.json.plan[1]).toMatchObject({ how: 'patch' })
    expect(world.wrong('r2')).toBeUndefined()
  })
})

test('--prefer chunks takes no patch, and does not ask for one', async () => {
  const synced = await sync('--prefer chunks --json')
  expect(synced.json.plan[1]).toMatchObject({ how: 'chunks' })
  expect(warnings(synced)).toEqual([])
  expect(fetched(patch.cid)).toBe(0)
  expect(world.wrong('r2')).toBeUndefined()
})

test('--prefer other is usage', async () => {
  for (const line of [`sync os ${world.node()} --prefer other`, `diff os 1 2 ${world.node()} --prefer other`])
    expect(await world.psyblob(line)).toMatchObject({ code: 2, stderr: expect.stringMatching(/--prefer.*\n {2}hint: /) })
})

describe('sync --dry-run and diff', () => {
  const waysOf = (line: { readonly ways: readonly object[] }) => line.ways
  const figures = (how: string) => ({ how, bytes: expect.any(Number), requests: expect.any(Number), seconds: expect.any(Number) })

  test('show the ways side by side with bytes and seconds, the one that is taken first', async () => {
    const size = '\\d+(\\.\\d+)? (B|kB|MB) \\d+(\\.\\d+)? s'
    const line = (first: string, second: string) =>
      new RegExp(`/squashfs .* ${first} +.* ${first} ${size}, ${second} ${size}, whole ${size}`)
    for (const command of [`sync os ${world.node()} --booted a --dry-run`, `diff os 1 2 ${world.node()}`]) {
      expect((await world.must(`${command} --prefer bytes`)).stdout).toMatch(line('patch', 'chunks'))
      expect((await world.must(`${command} --prefer time`)).stdout).toMatch(line('chunks', 'patch'))
    }
  })

  test('say the same in --json', async () => {
    const dry = (await sync('--prefer bytes --dry-run --json')).json.plan[1]
    const compared = (await world.must(`diff os 1 2 ${world.node(server.url)} --prefer bytes --json`)).json.entries[1]
    for (const one of [dry, compared]) {
      expect(waysOf(one)).toEqual(['patch', 'chunks', 'whole'].map(figures))
      expect(one.ways[0]).toMatchObject({ bytes: patch.size, requests: 1 })
      expect(one.ways[1].bytes).toBeGreaterThan(4 * patch.size)
      expect(one.ways[2].bytes).toBe(squashfs.size)
    }
    const chunked = (await sync('--prefer time --dry-run --json')).json.plan[1]
    expect(waysOf(chunked)).toEqual(['chunks', 'patch', 'whole'].map(figures))
  })
})

/**
 * A psyblob of before has the field in its schema and does nothing with it: commit 5383a45 built from its own sources syncs from such a
 * repository, which was tried by hand. It reads the manifest that is published without patches, and asks for what anybody asks for there.
 */
test('a reader that drops the patches of a manifest has the release that it would have without them, and asks for no patch', async () => {
  world.copy('first', 'plain')
  await world.must('publish os r2 --remote plain --key os.key --version r2 --no-patches')
  const recordsOf = (body: string | Buffer) => parseManifest(Buffer.from(body), 'manifest').records
  const dropped = world
    .read('repo/manifests/os/2')
    .toString()
    .replace(/,"patches":\[[^\]]*\]/g, '')
  expect(recordsOf(dropped)).toEqual(recordsOf(world.read('plain/manifests/os/2')))
  /** What a node asks for that has no use for patches: the line is too quick for them. */
  const askedOf = async (repository: string) => {
    world.fresh()
    const asked = new Set<string>()
    const quick = await serveRepository(world, (path, _, request) => {
      asked.add(path)
      return { ...honestAnswer(world.path(repository, path), request), delay: 50 }
    })
    try {
      const links = { [quick.url]: { roundTrip: 60, bandwidth: 100_000_000 } }
      world.write('store/links.json', JSON.stringify({ psyblob: 'links/1', links }))
      const synced = await world.must(`sync os ${world.node(quick.url)} --booted a`)
      expect(warnings(synced)).toEqual([])
      expect(world.wrong('r2')).toBeUndefined()
    } finally {
      await quick.close()
    }
    return asked
  }
  const asked = await askedOf('plain')
  expect(await askedOf('repo')).toEqual(asked)
  const blobsOf = (repository: string) => snapshot(world.path(repository, 'blobs')).trimEnd().split('\n')
  const blobs = blobsOf('repo').filter((line) => !blobsOf('plain').includes(line))
  expect(blobs.map((line) => `blobs${line.split(' ')[0]}`)).toEqual([blobPath(patch.cid)])
  expect(asked).toContain(blobPath(squashfs.cid))
  expect(asked).not.toContain(blobPath(patch.cid))
})

test('what is remembered of the line decides: a slow one makes the patch the quicker way', async () => {
  // a memory is believed as long as answers take as long as they did
  const far = await serveRepository(world, (_, honest) => ({ ...honest, delay: 50 }))
  try {
    const synced = async (bandwidth: number, words = '') => {
      world.fresh()
      world.write('store/links.json', JSON.stringify({ psyblob: 'links/1', links: { [far.url]: { roundTrip: 60, bandwidth } } }))
      return (await world.must(`sync os ${world.node(far.url)} --booted a --json ${words}`)).json.plan[1]
    }
    // a patch that no machine applies sooner is not even asked for
    expect(await synced(100_000_000)).toMatchObject({ how: 'chunks', ways: [{ how: 'chunks' }, { how: 'whole' }] })
    expect(world.wrong('r2')).toBeUndefined()
    const { how, ways } = await synced(20_000)
    expect({ how, ways }).toMatchObject({ how: 'patch', ways: [{ how: 'patch' }, { how: 'chunks' }, { how: 'whole' }] })
    expect(ways[0].seconds).toBeLessThan(ways[1].seconds)
    expect(world.wrong('r2')).toBeUndefined()
    // what a dry run says is what comes, but where the ways are near each other: what this machine does is measured anew
    let clear = 0
    for (const bandwidth of [20_000, 50_000, 400_000, 4_000_000, 20_000_000]) {
      const dry = await synced(bandwidth, '--dry-run')
      if (dry.ways[1].seconds < 3 * dry.ways[0].seconds) continue
      clear++
      expect((await synced(bandwidth)).how, `${bandwidth} bytes a second`).toBe(dry.how)
    }
    expect(clear).toBeGreaterThan(1)
  } finally {
    await far.close()
  }
})
