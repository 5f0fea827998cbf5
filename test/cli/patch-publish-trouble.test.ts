// A publisher's patches when something is in their way: the release is published all the same, and one line says what it goes without.
import { mkdirSync, readdirSync, statSync, truncateSync } from 'node:fs'
import { basename } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { CID } from '../../core/mod.ts'
import { blobPath, PatchWorld, warnings } from './patch-world.ts'
import { noise, snapshot } from './world.ts'

let world: PatchWorld

/** Three releases, of which the third has patches from both others. */
beforeAll(async () => {
  world = await new PatchWorld().withFirst()
  world.copy('repo', 'first')
  for (const release of [2, 3]) {
    world.update(release - 1)
    world.pack(`r${release}`)
    await world.publish(`r${release}`, '--patches 2')
    world.copy('repo', release === 2 ? 'second' : 'third')
  }
})
afterAll(() => world.close())

/** The repository as it was after that release. */
function reset(release: 'first' | 'second' | 'third'): void {
  world.remove('repo')
  world.copy(release, 'repo')
}

const fromOf = (serial: number) => world.patches(serial).map(({ from }) => from)
const fileOf = (cid: CID) => `repo/${blobPath(cid)}`

function flip(name: string, at: number): void {
  const bytes = world.read(name)
  bytes[at] = (bytes[at] as number) ^ 1
  world.write(name, bytes)
}

describe('a former release', () => {
  beforeEach(() => reset('second'))
  const manifest = 'repo/manifests/os/1'
  const signature = `${manifest}.minisig`

  test.each<readonly [what: string, damage: () => void, why: RegExp]>([
    ['whose signature has a wrong byte', () => flip(signature, world.read(signature).indexOf('\n') + 60), /signature/],
    ['whose signature is none', () => world.write(signature, 'nothing\n'), /signature/],
    ['whose signature is gone', () => world.remove(signature), /manifest os\/1 of .*repo has no signature beside it/],
    ['in whose place is something else', () => world.write(manifest, '{}\n'), /the one that it follows is not what it was at .*repo/],
    ['that is longer than a manifest may be', () => truncateSync(world.path(manifest), 64 * 1024 * 1024 + 1), /longer than/],
    [
      'that is a folder',
      () => {
        world.remove(manifest)
        mkdirSync(world.path(manifest))
      },
      /no plain file/,
    ],
  ])('%s ends the patches there, with a warning', async (_, damage, why) => {
    damage()
    const outcome = await world.publish('r3', '--patches 2')
    expect(outcome.stdout).toMatch(/, 1 patch of /)
    expect(warnings(outcome)).toEqual([
      expect.stringMatching(/no patches from releases before os 2: .*; nodes that are farther behind fetch/),
    ])
    expect(warnings(outcome)).toEqual([expect.stringMatching(why)])
    expect(fromOf(3)).toEqual([world.squashfs(2).cid])
  })

  test('that is not there any more ends them without a word', async () => {
    for (const name of [manifest, signature]) world.remove(name)
    expect(warnings(await world.publish('r3', '--patches 16'))).toEqual([])
    expect(fromOf(3)).toEqual([world.squashfs(2).cid])
  })
})

describe('a disk that is full', () => {
  /** Names and bytes of all blobs of that repository but those in `without`. */
  const blobsOf = (repository: string, without: readonly CID[]) =>
    readdirSync(world.path(repository, 'blobs'), { recursive: true, encoding: 'utf8' })
      .map((name) => ({ name, state: statSync(world.path(repository, 'blobs', name)) }))
      .filter(({ name, state }) => state.isFile() && !without.includes(basename(name) as CID))
      .map(({ name, state }) => ({ name, size: state.size }))
  const namesOf = (blobs: ReturnType<typeof blobsOf>) => blobs.map(({ name }) => name).sort()

  /** The blobs of the repository lie on a disk of their own, which has room for `blobs` and `spare` bytes more. */
  async function onDisk(blobs: ReturnType<typeof blobsOf>, spare: number, run: () => Promise<void>): Promise<void> {
    const size = [...blobs.map((blob) => blob.size), spare].reduce((sum, bytes) => sum + Math.ceil(bytes / 4096) * 4096, 0)
    world.copy('repo/blobs', 'kept')
    world.run('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=755`, 'none', 'repo/blobs'])
    try {
      world.copy('kept', 'repo/blobs')
      await run()
    } finally {
      world.run('umount', ['repo/blobs'])
      world.remove('kept')
    }
  }

  test('gets the release without the patch, with a warning, and nothing half of it', async () => {
    reset('second')
    const [patch] = world.patches(2)
    const blobs = blobsOf('second', [patch?.cid as CID])
    reset('first')
    await onDisk(blobs, (patch?.size as number) / 2, async () => {
      const outcome = await world.publish('r2')
      expect(warnings(outcome)).toEqual([
        expect.stringMatching(/no patch of \/squashfs: no space left while writing .*; nodes fetch the chunks that changed$/),
      ])
      expect(outcome.stdout).not.toContain('patch')
      expect(fromOf(2)).toEqual([])
      expect(namesOf(blobsOf('repo', []))).toEqual(namesOf(blobs))
      await world.must('verify os --remote --key os.pub --remote repo')
    })
  })

  test('has no room for a patch that was lost, and that is a warning too', async () => {
    reset('third')
    const [patch] = world.patches(3)
    const blobs = blobsOf('third', [patch?.cid as CID])
    world.remove(fileOf(patch?.cid as CID))
    await onDisk(blobs, (patch?.size as number) / 2, async () => {
      const outcome = await world.publish('r3')
      expect(outcome.stdout).toContain('nothing changed')
      expect(warnings(outcome)).toEqual([
        expect.stringMatching(/a patch of \/squashfs is lost and cannot be made again \(no space left while writing .*\): nodes fetch/),
      ])
      expect(namesOf(blobsOf('repo', []))).toEqual(namesOf(blobs))
    })
  })
})

describe('a patch that was lost', () => {
  beforeEach(() => reset('third'))
  /** A release in which the image is the same. */
  const other = (release: string) => {
    world.copy('r3/squashfs', `${release}/squashfs`)
    world.write(`${release}/kernel`, `kernel of ${release}\n`)
  }
  /** Loses the patch from the first release, and what it was made from. */
  const lose = () => {
    const [kept, lost] = world.patches(3)
    world.remove(fileOf(lost?.cid as CID))
    world.remove(fileOf(lost?.from as CID))
    return { kept, lost }
  }

  test('or damaged is made again when a next release names it', async () => {
    const [lost, damaged] = world.patches(3).map(({ cid }) => fileOf(cid)) as [string, string]
    const kept = [world.read(lost), world.read(damaged)]
    world.remove(lost)
    flip(damaged, 3000)
    other('r4')
    const outcome = await world.publish('r4')
    expect(outcome.stdout).toMatch(/, 2 patches of /)
    expect(warnings(outcome)).toEqual([])
    expect(world.patches(4)).toEqual(world.patches(3))
    expect([world.read(lost), world.read(damaged)]).toEqual(kept)
  })

  test('and cannot be made again is not named by the next release', async () => {
    const { kept } = lose()
    expect((await world.psyblob('verify os --remote --key os.pub --remote repo')).code).toBe(13)
    other('r4')
    const outcome = await world.publish('r4', '--patches 3')
    expect(warnings(outcome)).toEqual([
      expect.stringMatching(
        /a patch of \/squashfs is lost and cannot be made again.*: the release goes without it, and nodes fetch chunks in its place$/,
      ),
    ])
    expect(world.patches(4)).toEqual([kept])
    await world.must('verify os --remote --key os.pub --remote repo')
    other('r5')
    expect(warnings(await world.publish('r5'))).toEqual([])
    expect(world.patches(5)).toEqual([kept])
  })

  test('is not made again with --no-patches, and not named either', async () => {
    const [lost, kept] = world.patches(3)
    world.remove(fileOf(lost?.cid as CID))
    other('r4')
    const outcome = await world.publish('r4', '--no-patches')
    expect(warnings(outcome)).toEqual([expect.stringMatching(/a patch of \/squashfs is lost: the release goes without it/)])
    expect(world.patches(4)).toEqual([kept])
  })

  test('stays named when the same folder is published, which says what happens next', async () => {
    lose()
    const before = snapshot(world.path('repo'))
    const outcome = await world.publish('r3')
    expect(outcome.stdout).toContain('nothing changed')
    expect(warnings(outcome)).toEqual([
      expect.stringMatching(
        /is lost and cannot be made again.*: nodes fetch chunks in its place, and the next release that differs gets another one, or none$/,
      ),
    ])
    expect(snapshot(world.path('repo'))).toBe(before)
  })
})

describe('a patch that would save little', () => {
  beforeEach(() => reset('third'))

  /** Two images, the second of which has more files, not compressed; what publishing the second one said. */
  async function grown(files: Readonly<Record<string, Uint8Array>>) {
    world.remove('grown')
    world.write('grown/same', noise('same', 300_000))
    const pack = (release: string) => {
      world.remove(release)
      world.write(`${release}/kernel`, `kernel of ${release}\n`)
      const options =
        '-comp zstd -noD -noF -no-duplicates -no-sparse -no-fragments -noappend -quiet -no-progress -all-time 0 -mkfs-time 0 -all-root'
      world.run('mksquashfs', ['grown', `${release}/squashfs`, ...options.split(' ')])
    }
    pack('r4')
    await world.publish('r4', '--no-patches')
    for (const [name, bytes] of Object.entries(files)) world.write(`grown/${name}`, bytes)
    pack('r5')
    return world.publish('r5', '-v')
  }
  const news = noise('news', 4 * 131_072)
  const toldOf = ({ stderr }: { readonly stderr: string }) =>
    /no patch of \/squashfs: it would have (\d+) bytes, the chunks have (\d+)/.exec(stderr)?.slice(1).map(Number) ?? []

  test('is none when what is new stands twice in the image: a node fetches it once', async () => {
    const outcome = await grown({ one: news, two: news })
    const [patch, chunks] = toldOf(outcome)
    expect(patch).toBeGreaterThan(news.length)
    expect(chunks).toBeGreaterThan(news.length)
    expect(chunks).toBeLessThan(news.length * 1.2)
    expect(world.patches(5)).toEqual([])
    // a node agrees
    const [, { ways }] = (await world.must('diff os 4 5 --key os.pub --remote repo --json')).json.entries
    expect(ways).toMatchObject([{ how: 'chunks', bytes: chunks }, { how: 'whole' }])
  })

  test('is none when it saves zeros, which no node fetches', async () => {
    const outcome = await grown({ one: news, two: Buffer.alloc(news.length) })
    const [, chunks] = toldOf(outcome)
    expect(chunks).toBeLessThan(news.length * 1.2)
    expect(world.patches(5)).toEqual([])
  })

  test('is there when it saves what a node would fetch', async () => {
    // the same as before but for a byte of each block
    const changed = noise('same', 300_000)
    for (let at = 0; at < changed.length; at += 65_536) changed[at] = (changed[at] as number) ^ 1
    expect((await grown({ same: changed })).stdout).toMatch(/, 1 patch of /)
  })
})

describe('there is no patch, and one line says why', () => {
  let [old, next] = ['', '']
  beforeAll(() => {
    reset('third')
    ;[old, next] = [2, 3].map((serial) => fileOf(world.squashfs(serial).cid)) as [string, string]
  })
  beforeEach(() => reset('second'))

  test.each<readonly [what: string, damage: () => void, why: RegExp]>([
    ['the old image is lost', () => world.remove(old), /blob \w+, which it would be made from, is missing at .* or damaged/],
    ['the old image is damaged', () => flip(old, 5000), /blob \w+, which it would be made from, is missing at .* or damaged/],
    [
      'the new image lies there already, damaged',
      () => {
        world.write(next, world.read('r3/squashfs'))
        flip(next, 5000)
      },
      /blob \w+ at .* is damaged: publish the same folder again/,
    ],
  ])('when %s', async (_, damage, why) => {
    damage()
    const outcome = await world.publish('r3')
    expect(warnings(outcome)).toEqual([expect.stringMatching(/no patch of \/squashfs: .*; nodes fetch the chunks that changed$/)])
    expect(warnings(outcome)).toEqual([expect.stringMatching(why)])
    expect(world.patches(3)).toEqual([])
  })

  test('when psyblob is not installed whole', async () => {
    world.write(
      'parts.cjs',
      `const files = require('fs/promises')
       const { readFile } = files
       files.readFile = async (path, ...options) => {
         if (/zstd-wasm-/.test(path)) throw new Error('a part of it is missing')
         return readFile(path, ...options)
       }`,
    )
    const outcome = await world.publish('r3', '', { env: { NODE_OPTIONS: `--require=${world.path('parts.cjs')}` } })
    expect(warnings(outcome)).toEqual([
      expect.stringMatching(
        /no patch of \/squashfs: encoder zstd-[\d.]+ cannot be loaded: a part of it is missing; nodes fetch the chunks/,
      ),
    ])
  })

  test('when the machine has no WebAssembly', async () => {
    world.write('without.cjs', 'delete globalThis.WebAssembly\n')
    const outcome = await world.publish('r3', '', { env: { NODE_OPTIONS: `--require=${world.path('without.cjs')}` } })
    expect(warnings(outcome)).toEqual([expect.stringMatching(/no patch of \/squashfs: nothing here undoes zstd; nodes fetch the chunks/)])
  })
})
