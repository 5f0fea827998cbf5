// Each way in which a file of the system may be wrong: named, mended, and nothing else touched.
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { isRoot, TreeWorld } from './tree-world.ts'

const isOurs = (path: string) => path.includes('.psyblob-saved')

describe('a file of the system', () => {
  let world: TreeWorld
  beforeAll(async () => {
    world = await new TreeWorld().withSystem()
    await world.must('apply base --root root')
  })
  afterAll(() => world.close())
  // inodes tell whether anything else was written
  const inodes = () => Object.fromEntries(Object.keys(world.tree('root')).map((path) => [path, lstatSync(world.inRoot(path)).ino]))
  const replace = (path: string, make: (place: string) => void) => {
    rmSync(world.inRoot(path), { recursive: true, force: true })
    make(world.inRoot(path))
  }

  const cases: readonly (readonly [string, string, string, () => void])[] = [
    ['changed', '/usr/bin/tool', 'changed', () => writeFileSync(world.inRoot('usr/bin/tool'), '#!/bin/sh\necho 0ne\n')],
    ['longer', '/etc/conf', 'wrong size', () => writeFileSync(world.inRoot('etc/conf'), 'as published, and more\n')],
    ['removed', '/usr/lib/libx.so.1', 'missing', () => unlinkSync(world.inRoot('usr/lib/libx.so.1'))],
    ['replaced by a folder', '/etc/conf', 'wrong type', () => replace('etc/conf', (place) => mkdirSync(place))],
    [
      'replaced by a folder with something in it',
      '/etc/conf',
      'wrong type',
      () =>
        replace('etc/conf', (place) => {
          mkdirSync(place)
          writeFileSync(`${place}/mine`, 'mine\n')
        }),
    ],
    ['replaced by a link', '/usr/bin/tool', 'wrong type', () => replace('usr/bin/tool', (place) => symlinkSync('/bin/true', place))],
    ['replaced by a pipe', '/etc/conf', 'wrong type', () => replace('etc/conf', (place) => world.run('mkfifo', [place]))],
    ['of another mode', '/etc/secret', 'wrong mode', () => chmodSync(world.inRoot('etc/secret'), 0o644)],
    ['set to run as its owner', '/usr/bin/tool', 'wrong mode', () => chmodSync(world.inRoot('usr/bin/tool'), 0o4755)],
  ]
  const asRoot: typeof cases = [['of another owner', '/etc/secret', 'wrong owner', () => chownSync(world.inRoot('etc/secret'), 7, 42)]]
  const others: typeof cases = [
    ['a link elsewhere', '/usr/lib/libx.so', 'wrong target', () => replace('usr/lib/libx.so', (place) => symlinkSync('/tmp/x', place))],
    ['a folder of another mode', '/tmp', 'wrong mode', () => chmodSync(world.inRoot('tmp'), 0o755)],
    ['a folder that is gone', '/var/empty', 'missing', () => rmSync(world.inRoot('var/empty'), { recursive: true })],
    [
      'a folder on the way that is a link now',
      '/usr/share/data',
      'wrong type',
      () => {
        renameSync(world.inRoot('usr/share/data'), world.path('moved'))
        symlinkSync(world.path('moved'), world.inRoot('usr/share/data'))
      },
    ],
  ]

  test.each([...cases, ...(isRoot ? asRoot : []), ...others])(
    '%s is named by check and verify, and mended by repair',
    async (_, path, problem, damage) => {
      const [before, whole] = [inodes(), world.tree('root')]
      damage()
      const checked = await world.psyblob('check current --root root --json')
      expect(checked.code).toBe(1)
      expect(checked.json.findings).toContainEqual(expect.objectContaining({ path, problem }))
      expect((await world.psyblob('check current --root root')).stdout).toContain(`${path}: ${problem}`)
      expect(await world.psyblob('verify --root root')).toMatchObject({ code: 13, stdout: expect.stringContaining(`${path}: ${problem}`) })
      const elsewhere = world.tree('root', (other) => other === path || other.startsWith(`${path}/`))
      const dry = await world.must(`repair ${path} --root root --dry-run`)
      expect(dry.stdout).toContain('would be')
      await world.must(`repair ${path} --root root`)
      expect(world.tree('root', isOurs)).toEqual(whole)
      expect(world.tree('root', (other) => other === path || other.startsWith(`${path}/`) || isOurs(other))).toEqual(elsewhere)
      const after = inodes()
      for (const [other, inode] of Object.entries(before)) {
        const isBelow = other === path || other.startsWith(`${path}/`)
        if (!isBelow) expect([other, after[other]]).toEqual([other, inode])
      }
      await world.must('check current --root root')
      if (path === '/etc/conf') rmSync(world.inRoot('etc/conf.psyblob-saved'), { recursive: true, force: true })
      rmSync(world.inRoot('usr/share/data.psyblob-saved'), { force: true })
    },
  )

  test('keeps what it moved out of the way', async () => {
    replace('etc/conf', (place) => {
      mkdirSync(place)
      writeFileSync(`${place}/mine`, 'mine\n')
    })
    expect((await world.must('repair /etc/conf --root root')).stdout).toContain('kept as /etc/conf.psyblob-saved')
    expect(readFileSync(world.inRoot('etc/conf.psyblob-saved/mine'), 'utf8')).toBe('mine\n')
  })

  test('needs no remote when the store has its bytes', async () => {
    world.run('mv', ['repo', 'away'])
    unlinkSync(world.inRoot('usr/bin/tool'))
    await world.must('repair base --root root')
    await world.must('check current --root root')
    world.run('mv', ['away', 'repo'])
  })

  test('is fetched again when the store has damaged bytes', async () => {
    world.run('sh', ['-c', 'find root/var/psyblob/blob -type f -size -2 | while read f; do echo damaged > $f; done'])
    unlinkSync(world.inRoot('usr/bin/tool'))
    await world.must('repair base --root root')
    await world.must('check current --root root')
  })

  test('that no release has is not found', async () => {
    const outcome = await world.psyblob('repair /usr/bin/nothing --root root')
    expect(outcome).toMatchObject({ code: 10, stderr: expect.stringContaining('hint: psyblob show base --version current') })
  })
})

describe.skipIf(!isRoot)('a root', () => {
  let world: TreeWorld
  beforeEach(async () => {
    world = await new TreeWorld().withSystem()
  })
  afterEach(() => {
    world.run('sh', ['-c', 'umount -R root/usr/share root 2>/dev/null; true'])
    world.close()
  })
  const mountRoot = (options: string) => {
    world.run('mv', ['root/etc', 'composed'])
    world.run('mount', ['-t', 'tmpfs', '-o', options, 'none', 'root'])
    world.run('mv', ['composed', 'root/etc'])
  }

  test('that is read-only is told, and nothing is lost', async () => {
    mountRoot('size=64m')
    await world.must('apply base --root root --store store')
    world.run('mount', ['-o', 'remount,ro', 'root'])
    world.write('src/etc/conf', 'two\n')
    await world.publish()
    const before = world.tree('root')
    const outcome = await world.psyblob('apply base --root root --store store')
    expect(outcome).toMatchObject({ code: 16, stderr: expect.stringMatching(/read-only[\s\S]*hint: mount it writable/) })
    expect(world.tree('root')).toEqual(before)
    world.run('mount', ['-o', 'remount,rw', 'root'])
    await world.must('apply base --root root --store store')
    expect(world.tree('root')).toEqual(world.tree('src'))
  })

  test('that is full is told before anything in it is changed, and it goes on when there is room', async () => {
    mountRoot('size=1m')
    const outcome = await world.psyblob('apply base --root root --store store')
    expect(outcome).toMatchObject({ code: 15, stderr: expect.stringContaining('hint: ') })
    expect(world.tree('root')).toEqual({ '/etc': expect.anything() })
    world.run('mount', ['-o', 'remount,size=64m', 'root'])
    await world.must('apply base --root root --store store')
    expect(world.tree('root')).toEqual(world.tree('src'))
  })

  test('with a store that is full is told, and nothing in it is changed', async () => {
    mountRoot('size=64m')
    mkdirSync(world.path('store'))
    world.run('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'none', 'store'])
    try {
      expect(await world.psyblob('apply base --root root --store store')).toMatchObject({
        code: 15,
        stderr: expect.stringMatching(/psyblob gc|make room/),
      })
      expect(world.tree('root')).toEqual({ '/etc': expect.anything() })
    } finally {
      world.run('umount', ['store'])
    }
  })

  test('is not written to where something is mounted, unless the composition says so', async () => {
    mkdirSync(world.path('root/usr/share'), { recursive: true })
    world.run('mount', ['-t', 'tmpfs', 'none', 'root/usr/share'])
    const outcome = await world.psyblob('apply base --root root --store store')
    expect(outcome).toMatchObject({ code: 11, stderr: expect.stringContaining('something is mounted on /usr/share') })
    expect(outcome.stderr).toContain('"mounts":["/usr/share"]')
    expect(world.tree('root/usr/share')).toEqual({})
    world.compose({ name: 'base', target: { kind: 'tree', root: '/', mounts: ['/usr/share'] } })
    await world.must('apply base --root root --store store')
    expect(world.tree('root')).toEqual(world.tree('src'))
    await world.must('check current --root root --store store')
  })

  test('where a folder of the same file system is bound over one of it counts it as mounted', async () => {
    mkdirSync(world.path('root/usr/share'), { recursive: true })
    mkdirSync(world.path('other'))
    world.run('mount', ['--bind', 'other', 'root/usr/share'])
    expect((await world.psyblob('apply base --root root --store store')).code).toBe(11)
    expect(world.tree('other')).toEqual({})
  })
})
