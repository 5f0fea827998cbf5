// Patches that cannot be used: every time the release comes as chunks, one line says why, and nothing is left behind.
import { existsSync, mkdirSync, rmSync, statfsSync, statSync } from 'node:fs'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { CID, EntryBlob } from '../../core/mod.ts'
import type { Bend } from '../fixtures/bent-server.ts'
import { blobPath, PatchWorld, serveRepository, warnings } from './patch-world.ts'
import { noise, type Outcome, type RunOptions } from './world.ts'

let world: PatchWorld
let patch: NonNullable<EntryBlob['patches']>[number]
let squashfs: CID

beforeAll(async () => {
  world = await new PatchWorld().withBoth()
  patch = world.patches(2)[0] as typeof patch
  squashfs = world.squashfs(2).cid
})
afterAll(() => world.close())
beforeEach(() => world.fresh())

const sync = (remote = 'repo', options: Omit<RunOptions, 'cwd'> = {}) =>
  world.psyblob(`sync os ${world.node(remote)} --booted a --prefer bytes --timeout 5 --json`, options)

/** The release is there, by chunks, and one line says why. */
function expectChunks(outcome: Outcome, why: RegExp): void {
  expect(outcome).toMatchObject({ code: 0 })
  expect(world.wrong('r2')).toBeUndefined()
  expect(warnings(outcome)).toEqual([expect.stringMatching(why)])
  expect(outcome.stderr).toMatch(/warning: .*chunks are fetched in/)
}

describe('an old image', () => {
  const change = (bend: (bytes: Buffer) => Buffer) => world.write('a/squashfs', bend(world.read('a/squashfs')))

  test('of which one byte changed', async () => {
    change((bytes) => {
      bytes[700_000] = (bytes[700_000] as number) ^ 1
      return bytes
    })
    expectChunks(await sync(), /no patch of \/squashfs is used: .*a\/squashfs is not what it was/)
  })

  test.each([
    ['of the same size', (size: number) => size],
    ['of another size', (size: number) => size + 4096],
  ])('with another file %s in its place', async (_, length) => {
    change(({ length: size }) => noise('another file', length(size)))
    expectChunks(await sync(), /no patch of \/squashfs is used: .*a\/squashfs is not what it was/)
  })

  test('that changes after the plan was made: what comes out otherwise is fetched', async () => {
    const server = await serveRepository(world, (path, honest, { headers }) => {
      // the patch is asked for when the plan is made, and its head while it is
      if (path === blobPath(patch.cid) && headers['range'] === undefined) change((bytes) => bytes.fill(0x5a, 200_000, 1_500_000))
      return honest
    })
    try {
      expectChunks(await sync(server.url), /patch of \/squashfs: \d+ of its \d+ parts failed: /)
      expect(server.bytes.get(blobPath(patch.cid))).toBe(1024 + patch.size)
    } finally {
      await server.close()
    }
  })
})

describe('a patch that the only server has', () => {
  const whole = (body: Uint8Array): Bend => ({ body })
  const range = (asked: string | undefined) =>
    /^bytes=(\d+)-(\d+)$/
      .exec(asked ?? '')
      ?.slice(1)
      .map(Number) as [number, number] | undefined
  type Case = readonly [what: string, answer: (bytes: Buffer, at: [number, number] | undefined) => Bend]
  const partly = (bytes: Buffer, at: [number, number] | undefined): Bend =>
    at === undefined
      ? whole(bytes)
      : {
          status: 206,
          headers: { 'Content-Range': `bytes ${at[0]}-${Math.min(at[1], bytes.length - 1)}/${bytes.length}` },
          body: bytes.subarray(at[0], at[1] + 1),
        }
  const flipped = (bytes: Buffer, place: number) => {
    const bent = Buffer.from(bytes)
    bent[place] = (bent[place] as number) ^ 1
    return bent
  }
  const cases: readonly Case[] = [
    ['cut short', (bytes, at) => partly(bytes.subarray(0, bytes.length - 5000), at)],
    ['cut to its head', (bytes, at) => partly(bytes.subarray(0, 1024), at)],
    ['empty', () => whole(Buffer.alloc(0))],
    ['with one byte changed', (bytes, at) => partly(flipped(bytes, 9000), at)],
    ['with one byte of its head changed', (bytes, at) => partly(flipped(bytes, 20), at)],
    ['in which its first byte is another', (bytes, at) => partly(flipped(bytes, 0), at)],
    ['not at all', () => ({ status: 404 })],
    ['behind an error', () => ({ status: 500 })],
    [
      'that gives its head and then nothing any more',
      (bytes, at) => (at?.[0] === 0 ? partly(bytes, at) : { ...partly(bytes, at), cut: 0 }),
    ],
  ]
  test.each(cases)('%s', async (_, answer) => {
    const bytes = world.read(`repo/${blobPath(patch.cid)}`)
    const server = await serveRepository(world, (path, honest, { headers }) =>
      path === blobPath(patch.cid) ? answer(bytes, range(headers['range'])) : honest,
    )
    try {
      const outcome = await sync(server.url)
      expectChunks(outcome, /patch.*bafkr4i/)
      // nobody is left for it: all else came from there
      expect(server.bytes.get(blobPath(squashfs))).toBeGreaterThan(100_000)
    } finally {
      await server.close()
    }
  })

  test.each([
    ['lost in the folder of a repository', () => rmSync(world.path('repo', blobPath(patch.cid)))],
    [
      'damaged in the folder of a repository',
      () => {
        const bytes = world.read(`repo/${blobPath(patch.cid)}`)
        world.write(`repo/${blobPath(patch.cid)}`, flipped(bytes, 9000))
      },
    ],
    [
      'cut in the folder of a repository',
      () => world.write(`repo/${blobPath(patch.cid)}`, world.read(`repo/${blobPath(patch.cid)}`).subarray(0, 2000)),
    ],
  ])('%s', async (_, damage) => {
    const kept = world.read(`repo/${blobPath(patch.cid)}`)
    damage()
    try {
      expectChunks(await sync(), /patch.*bafkr4i/)
    } finally {
      world.write(`repo/${blobPath(patch.cid)}`, kept)
    }
  })

  test('wrong, while a second server has it right: the patch is used, and nothing is said', async () => {
    const bytes = world.read(`repo/${blobPath(patch.cid)}`)
    const server = await serveRepository(world, (path, honest, { headers }) =>
      path === blobPath(patch.cid) ? partly(flipped(bytes, 9000), range(headers['range'])) : honest,
    )
    try {
      const outcome = await world.must(`sync os ${world.node(server.url)} --remote repo --booted a --prefer bytes --json`)
      expect(outcome.json.plan[1].how).toBe('patch')
      expect(warnings(outcome)).toEqual([])
      expect(server.bytes.get(blobPath(squashfs)) ?? 0).toBe(0)
      expect(world.wrong('r2')).toBeUndefined()
    } finally {
      await server.close()
    }
  })
})

describe('a node', () => {
  test('without WebAssembly has chunks from a folder, and reads back what it wrote', async () => {
    world.write('without.cjs', 'delete globalThis.WebAssembly\n')
    const outcome = await sync('repo', { env: { NODE_OPTIONS: `--require=${world.path('without.cjs')}` } })
    expectChunks(outcome, /no patch of \/squashfs is used: encoder zstd-1\.5\.\d cannot be loaded: WebAssembly is not defined/)
    expect(outcome.stderr).not.toContain('native wasm')
  })

  test('whose unfinished patch was damaged fetches it anew, without a word', async () => {
    const bytes = world.read(`repo/${blobPath(patch.cid)}`)
    for (const left of [Buffer.alloc(9000), Buffer.concat([bytes, noise('more', 5000)]), noise('wrong', bytes.length)]) {
      world.fresh()
      world.write(`b/.psyblob/${patch.cid}.patch.part`, left)
      const outcome = await sync()
      expect(outcome.json.plan[1].how).toBe('patch')
      expect(warnings(outcome)).toEqual([])
      expect(world.wrong('r2')).toBeUndefined()
    }
  })

  test('that did not come through a patch four times takes chunks, and says why', async () => {
    const tries = `b/.psyblob/${patch.cid}.tries.part`
    world.write(tries, '...')
    const patched = await sync()
    expect(patched.json.plan[1].how).toBe('patch')
    expect(world.wrong('r2')).toBeUndefined()
    world.fresh()
    world.write(tries, '....')
    world.write(`b/.psyblob/${patch.cid}.patch.part`, world.read(`repo/${blobPath(patch.cid)}`))
    expectChunks(await sync(), /no patch of \/squashfs is used: it was begun 4 times here and never ended; chunks are fetched instead/)
  })

  test('that is killed while a patch is applied remembers that; one that is interrupted does not', async () => {
    const tries = world.path('b/.psyblob', `${patch.cid}.tries.part`)
    for (const [signal, code, left] of [
      ['SIGKILL', 137, true],
      ['SIGINT', 130, false],
    ] as const) {
      world.fresh()
      const cut = await sync('repo', {
        started: (child) => {
          const timer = setInterval(() => {
            if (!existsSync(tries)) return
            clearInterval(timer)
            child.kill(signal)
          }, 2)
          child.on('close', () => clearInterval(timer))
        },
      })
      expect(cut.code).toBe(code)
      expect(existsSync(tries), signal).toBe(left)
    }
  })

  test('that is interrupted while a patch is fetched goes on with it', async () => {
    let isSlow = true
    const server = await serveRepository(world, (path, honest) => {
      const { body } = honest
      if (!isSlow || path !== blobPath(patch.cid) || honest.status === 206 || !(body instanceof Uint8Array)) return honest
      return { headers: { 'Content-Length': String(body.length) }, body: halting(body, 8000) }
    })
    try {
      const part = world.path('b/.psyblob', `${patch.cid}.patch.part`)
      const cut = await sync(server.url, {
        started: (child) => {
          const timer = setInterval(() => {
            if (!existsSync(part) || statSync(part).size < 8000) return
            clearInterval(timer)
            child.kill('SIGINT')
          }, 20)
          child.on('close', () => clearInterval(timer))
        },
      })
      expect(cut.code).toBe(130)
      isSlow = false
      server.bytes.clear()
      const outcome = await sync(server.url)
      expect(warnings(outcome)).toEqual([])
      expect(world.wrong('r2')).toBeUndefined()
      expect(server.bytes.get(blobPath(patch.cid))).toBe(1024 + patch.size - 8000)
    } finally {
      await server.close()
    }
  })
})

/** So many bytes, and then nothing more for as long as somebody waits. */
async function* halting(body: Uint8Array, length: number): AsyncGenerator<Uint8Array> {
  yield body.subarray(0, length)
  await new Promise((done) => setTimeout(done, 4000))
  yield body.subarray(length)
}

describe('a disk', () => {
  /** Mounts a file system of so many bytes at b. */
  const small = (bytes: number) => {
    mkdirSync(world.path('b'))
    world.run('mount', ['-t', 'tmpfs', '-o', `size=${Math.ceil(bytes / 4096) * 4096},mode=755`, 'none', 'b'])
    return () => void world.run('umount', ['b'])
  }
  const free = () => {
    const { bavail, bsize } = statfsSync(world.path('b'))
    return bavail * bsize
  }
  /** As images/space.ts reckons: two files, and the folders. */
  const needed = () => world.read('r2/squashfs').length + world.read('r2/kernel').length + 2 * 16 * 1024 + 256 * 1024

  test('with room for the image and none for the patch besides', async () => {
    const unmount = small(needed() + patch.size / 2)
    try {
      expectChunks(await sync(), /slot b has no room for a patch of \/squashfs besides it/)
    } finally {
      unmount()
    }
  })

  test('with room for both takes the patch', async () => {
    const unmount = small(needed() + patch.size + 20 * 1024)
    try {
      const outcome = await sync()
      expect(outcome.json.plan[1].how).toBe('patch')
      expect(warnings(outcome)).toEqual([])
      expect(world.wrong('r2')).toBeUndefined()
    } finally {
      unmount()
    }
  })

  test('that fills while the patch is fetched, and has room again afterwards', async () => {
    const unmount = small(3 * needed())
    const server = await serveRepository(world, (path, honest, { headers }) => {
      if (path === blobPath(patch.cid) && headers['range'] === undefined) world.write('b/.psyblob/filler', Buffer.alloc(free() - 8192))
      if (path === blobPath(squashfs)) world.remove('b/.psyblob/filler')
      return honest
    })
    try {
      expectChunks(await sync(server.url), /patch of \/squashfs: .*(no space|ENOSPC|full)/i)
    } finally {
      await server.close()
      unmount()
    }
  })

  test('that fills and stays full ends the sync with the reason, and the next one with room goes on', async () => {
    const unmount = small(3 * needed())
    const server = await serveRepository(world, (path, honest, { headers }) => {
      if (path === blobPath(patch.cid) && headers['range'] === undefined) world.write('b/.psyblob/filler', Buffer.alloc(free() - 8192))
      return honest
    })
    try {
      const outcome = await sync(server.url)
      expect(outcome).toMatchObject({ code: 15, stderr: expect.stringMatching(/^psyblob: no-space: .*\n {2}hint: /m) })
      expect((await world.must(`status ${world.node()} --json`)).json.boot.order[0]).toBe('a')
      world.remove('b/.psyblob/filler')
      expect(warnings(await world.must(`sync os ${world.node()} --booted a --prefer bytes`))).toEqual([])
      expect(world.wrong('r2')).toBeUndefined()
    } finally {
      await server.close()
      unmount()
    }
  })
})
