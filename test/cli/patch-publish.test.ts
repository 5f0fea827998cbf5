// The publisher's side of patches as typed: when they are made, named, kept, put back, and when not.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { CID } from '../../core/mod.ts'
import { cidOfBytes } from '../../store/mod.ts'
import { blobPath, PatchWorld, warnings } from './patch-world.ts'
import { type Outcome, snapshot } from './world.ts'

let world: PatchWorld
/** What publishing the second and the third release said. */
const said: Outcome[] = []

/** Three releases are published, each with two patches at most. */
beforeAll(async () => {
  world = await new PatchWorld().withFirst()
  world.copy('repo', 'first')
  await world.must(`sync os ${world.node()}`)
  world.keep()
  for (const release of [2, 3]) {
    world.update(release - 1)
    world.pack(`r${release}`)
    said.push(await world.publish(`r${release}`, '--patches 2'))
    if (release === 2) world.copy('repo', 'second')
  }
  world.copy('repo', 'third')
})
afterAll(() => world.close())

/** The repository as it was after that release. */
function reset(release: 'first' | 'second' | 'third'): void {
  world.remove('repo')
  world.copy(release, 'repo')
}
beforeEach(() => reset('third'))

describe('publish', () => {
  test('makes a patch from the release before, says so, and names it in the manifest', () => {
    const [patch] = world.patches(2)
    expect(said[0]?.stdout).toMatch(/, 1 patch of \d+(\.\d+)? kB among them, /)
    expect(said[0]?.stderr).toMatch(/^patch squashfs from the release before, with zstd-1\.5\.\d: /m)
    expect(world.patches(2)).toEqual([{ from: world.squashfs(1).cid, cid: patch?.cid, size: patch?.size }])
    const bytes = world.read(`repo/${blobPath(patch?.cid as CID)}`)
    expect(bytes.length).toBe(patch?.size)
    expect(cidOfBytes(bytes)).toBe(patch?.cid)
    expect(bytes.length).toBeLessThan(world.squashfs(2).size / 20)
  })

  test('makes the same patch again, and tells of it in --json', async () => {
    const patches = world.patches(2)
    reset('first')
    const { json } = await world.publish('r2', '--json')
    expect(json).toMatchObject({ changed: true, patches: { made: 1, bytes: patches[0]?.size } })
    expect(world.patches(2)).toEqual(patches)
  })

  test('the same folder again changes nothing', async () => {
    const before = snapshot(world.path('repo'))
    expect((await world.publish('r3')).stdout).toContain('nothing changed')
    expect((await world.publish('r3', '--no-patches')).stdout).toContain('nothing changed')
    expect(snapshot(world.path('repo'))).toBe(before)
  })

  test('--no-patches and --patches 0 make none', async () => {
    for (const words of ['--no-patches', '--patches 0']) {
      reset('first')
      const outcome = await world.publish('r2', words)
      expect(outcome.stdout).not.toContain('patch')
      expect(world.patches(2)).toEqual([])
      expect(world.read('repo/manifests/os/2').toString()).not.toContain('patches')
    }
  })

  test('--patches 2 makes one from each of two releases, and a node two releases behind takes the one for it', async () => {
    expect(said[1]?.stdout).toMatch(/, 2 patches of /)
    expect(world.patches(3).map(({ from }) => from)).toEqual([world.squashfs(2).cid, world.squashfs(1).cid])
    world.fresh()
    // the one for the other node is not needed by this one
    world.remove(`repo/${blobPath(world.patches(3)[0]?.cid as CID)}`)
    const synced = await world.must(`sync os ${world.node()} --booted a --prefer bytes --json`)
    expect(synced.json.plan[1]).toMatchObject({ how: 'patch', fetch: world.patches(3)[1]?.size })
    expect(warnings(synced)).toEqual([])
    expect(world.wrong('r3')).toBeUndefined()
  })

  test('an entry that did not change keeps its patches', async () => {
    world.copy('r3', 'r4')
    world.write('r4/kernel', 'another kernel')
    expect((await world.publish('r4')).stdout).not.toContain('patch')
    expect(world.patches(4)).toEqual(world.patches(3))
    await world.publish('r4', '--no-patches')
    expect(world.patches(4)).toEqual(world.patches(3))
    world.write('r5/kernel', 'one more')
    world.copy('r3/squashfs', 'r5/squashfs')
    await world.publish('r5', '--no-patches')
    expect(world.patches(5)).toEqual(world.patches(3))
  })

  test('a file that changed and is none that patches are made of has none, without a word', async () => {
    world.write('r4/kernel', Buffer.alloc(600_000, 'kernel'))
    world.copy('r3/squashfs', 'r4/squashfs')
    await world.publish('r4')
    world.write('r4/kernel', Buffer.alloc(600_000, 'kernels'))
    const outcome = await world.publish('r4')
    expect(outcome.stdout).not.toContain('patch')
    expect(warnings(outcome)).toEqual([])
  })

  test.each(['17', 'x', '-1'])('--patches %j is usage', async (count) => {
    const before = snapshot(world.path('repo'))
    const outcome = await world.psyblob(['publish', 'os', 'r1', '--remote', 'repo', '--key', 'os.key', `--patches=${count}`])
    expect(outcome).toMatchObject({ code: 2, stderr: expect.stringContaining('--patches') })
    expect(snapshot(world.path('repo'))).toBe(before)
  })

  test('--patches and --no-patches at once are usage', async () => {
    const before = snapshot(world.path('repo'))
    const outcome = await world.psyblob('publish os r1 --remote repo --key os.key --patches 1 --no-patches')
    expect(outcome).toMatchObject({ code: 2, stderr: expect.stringMatching(/opposite things\n {2}hint: leave one of them out/) })
    expect(snapshot(world.path('repo'))).toBe(before)
  })

  test.each([
    [
      '--refresh --patches 3',
      /--refresh only signs the pointer again: it makes no patches.*\n {2}hint: leave out --patches and --no-patches/,
    ],
    [
      '--refresh --no-patches',
      /--refresh only signs the pointer again: it makes no patches.*\n {2}hint: leave out --patches and --no-patches/,
    ],
    ['os r1 --tree --patches 3', /--patches is for images: files of a system have no patches.*\n {2}hint: leave out --patches/],
    ['os r1 --post-exec /kernel --patches 1', /--patches is for images/],
  ])('%s is usage, for it says nothing', async (words, why) => {
    const before = snapshot(world.path('repo'))
    const outcome = await world.psyblob(`publish ${words} --remote repo --key os.key`)
    expect(outcome).toMatchObject({ code: 2, stderr: expect.stringMatching(why) })
    expect(snapshot(world.path('repo'))).toBe(before)
  })

  test('of a tree that nobody called one --patches says that there are none; --no-patches and --patches 0 are no mistake', async () => {
    world.write('system/etc/hostname', 'one\n')
    world.write('system/usr/bin/tool', 'a tool\n')
    for (const words of ['--no-patches', '--patches 0'])
      expect((await world.must(`publish base system --tree ${words} --remote repo --key os.key`)).stderr).not.toContain('patches')
    world.write('system/etc/hostname', 'two\n')
    const outcome = await world.must('publish base system --patches 2 --remote repo --key os.key')
    expect(outcome.stdout).toContain('base 2 ')
    expect(outcome.stderr).toContain('no patches were made: files of a system have no patches')
  })

  test('who asks for patches of a release that has none hears when they are made, and nobody else does', async () => {
    const told = /^1 image of it has no patches: they are made with the next release that differs$/m
    reset('first')
    await world.publish('r2', '--no-patches')
    const before = snapshot(world.path('repo'))
    const asked = await world.publish('r2', '--patches 3')
    expect(asked.stdout).toContain('nothing changed')
    expect(asked.stderr).toMatch(told)
    expect((await world.publish('r2', '--patches 3 --json')).json.patches).toEqual({ made: 0, bytes: 0, lacking: 1 })
    expect((await world.publish('r2', '--json')).json.patches.lacking).toBe(null)
    for (const words of ['', '--no-patches', '--patches 0']) expect((await world.publish('r2', words)).stderr).not.toContain('no patches')
    expect(snapshot(world.path('repo'))).toBe(before)
    await world.publish('r3', '--patches 3')
    expect(world.patches(3)).toHaveLength(2)
    expect((await world.publish('r3', '--patches 3')).stderr).not.toContain('no patches')
  })

  test('a lost patch and a damaged one are put back by publishing again; what cannot be made again is told of', async () => {
    const before = snapshot(world.path('repo'))
    const [lost, damaged] = world.patches(3).map(({ cid }) => `repo/${blobPath(cid)}`) as [string, string]
    world.remove(lost)
    const bytes = world.read(damaged)
    bytes[2000] = (bytes[2000] as number) ^ 1
    world.write(damaged, bytes)
    const verified = await world.psyblob('verify os --remote --key os.pub --remote repo --json')
    expect(verified.code).toBe(13)
    expect(verified.json[0].findings).toMatchObject([
      { path: '/squashfs (patch)', problem: 'missing' },
      { path: '/squashfs (patch)', problem: 'changed' },
    ])
    expect((await world.publish('r3')).stdout).toContain('2 missing blobs put back')
    expect(snapshot(world.path('repo'))).toBe(before)
    await world.must('verify os --remote --key os.pub --remote repo')
    world.remove(damaged)
    world.remove(`repo/${blobPath(world.squashfs(1).cid)}`)
    const outcome = await world.publish('r3')
    expect(outcome.stdout).toContain('nothing changed')
    expect(warnings(outcome)).toEqual([expect.stringMatching(/a patch of \/squashfs is lost and cannot be made again/)])
  })

  test('an image by an encoder that nobody has gets none, and one line says why', async () => {
    world.pack('lzo', '-comp lzo')
    const outcome = await world.publish('lzo')
    expect(warnings(outcome)).toEqual([
      expect.stringMatching(/no patch of \/squashfs: nothing here compresses as lzo of squashfs was compressed; nodes fetch the chunks/),
    ])
    expect(outcome.stdout).not.toContain('patch')
    expect(world.patches(4)).toEqual([])
    world.fresh()
    await world.must(`sync os ${world.node()} --booted a --prefer bytes`)
    expect(world.wrong('lzo')).toBeUndefined()
  })

  /** Publishes the second release, and interrupts it so many milliseconds after it began to make the patch. */
  const interrupted = (milliseconds: number) =>
    world.psyblob('publish os r2 --remote repo --key os.key --version r2', {
      started: (child) => {
        // the step before it ends when it begins
        child.stderr?.on('data', (text: Buffer) => {
          if (/^upload: /m.test(text.toString())) setTimeout(() => child.kill('SIGINT'), milliseconds)
        })
      },
    })

  test('ctrl-C while a patch is made leaves nothing behind, and the next publish is as if it had not been', async () => {
    const [first, whole] = [fileNamesOf('first'), fileNamesOf('second')]
    const [patch] = /(?<="patches":\[{"from":"\w+","cid":")\w+/.exec(world.read('second/manifests/os/2').toString()) ?? []
    reset('first')
    expect(await interrupted(0)).toMatchObject({ code: 130, stderr: expect.stringMatching(/^psyblob: interrupted: .*\n {2}hint: /m) })
    // blobs of the release that were uploaded stay, and there is no patch, no manifest, nothing unfinished
    const news = fileNamesOf('repo').filter((name) => !first.includes(name))
    expect(news.filter((name) => !name.startsWith('/blobs/') || !whole.includes(name) || name.endsWith(patch ?? '/'))).toEqual([])
    await world.publish('r2')
    expect(fileNamesOf('repo')).toEqual(whole)
  })

  test('ctrl-C at any other moment either stops it, or comes too late and the release has its patch', async () => {
    const patches = JSON.parse(world.read('second/manifests/os/2').toString().split('\n')[2] ?? '').bin.patches
    for (let time = 0; time < 3; time++) {
      reset('first')
      const moment = Math.random() * 2000
      const outcome = await interrupted(moment)
      if (outcome.code === 0) expect([moment, world.patches(2)]).toEqual([moment, patches])
      else expect([moment, outcome.code, fileNamesOf('repo').includes('/manifests/os/2')]).toEqual([moment, 130, false])
    }
  })
})

function fileNamesOf(repository: string): readonly string[] {
  const lines = snapshot(world.path(repository)).trimEnd().split('\n')
  return lines.map((line) => line.split(' ')[0] ?? '')
}
