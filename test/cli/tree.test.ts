// Files of a system as a product: applied whole, changed whole, what people changed is theirs.
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { TreeWorld } from './tree-world.ts'

let world: TreeWorld
beforeEach(async () => {
  world = await new TreeWorld().withSystem()
})
afterEach(() => world.close())

const apply = (words = '') => world.must(`apply base --root root --json ${words}`)

describe('apply', () => {
  test('makes an empty root what was published, in modes, owners, links and bytes, and leaves nothing of its own there', async () => {
    const { json } = await apply()
    expect(json).toMatchObject({ product: 'base', serial: 1, changed: true, previousSerial: null, saved: [], kept: [], local: [] })
    expect(world.tree('root')).toEqual(world.tree('src'))
    expect(existsSync(world.inRoot('.psyblob'))).toBe(false)
    await world.must('check current --root root')
    await world.must('verify base --root root')
  })

  test('again changes nothing, in one request', async () => {
    await apply()
    const before = lstatSync(world.inRoot('usr/bin/tool')).ino
    const { json } = await apply()
    expect(json).toMatchObject({ changed: false, requests: 1, entries: { written: 0, changed: 0, removed: 0 } })
    expect(lstatSync(world.inRoot('usr/bin/tool')).ino).toBe(before)
  })

  test('goes to the next release fetching only what differs; what is gone goes, folders too when they are empty', async () => {
    await apply()
    world.change()
    await world.publish()
    const dry = (await apply('--dry-run')).json
    expect(world.tree('root')).not.toEqual(world.tree('src'))
    const { json } = await apply()
    expect(world.tree('root')).toEqual(world.tree('src'))
    expect(json.bytes.fetched).toBe(dry.bytes.fetched)
    expect(json.bytes.fetched).toBeLessThan(100)
    expect(json).toMatchObject({ serial: 2, previousSerial: 1 })
    await world.must('check latest --root root')
  })

  test('writes to a file by a new one, so that who has the old one open keeps it', async () => {
    await apply()
    const held = openSync(world.inRoot('usr/bin/tool'), 'r')
    world.change()
    await world.publish()
    await apply()
    const bytes = Buffer.alloc(100)
    const length = readSync(held, bytes, 0, 100, 0)
    expect(bytes.toString('utf8', 0, length)).toContain('echo one')
    expect(readFileSync(world.inRoot('usr/bin/tool'), 'utf8')).toContain('echo two')
  })

  test('takes over a system that is there: equal files are kept, others kept beside', async () => {
    world.run('cp', ['-a', 'src/.', 'root/'])
    writeFileSync(world.inRoot('etc/conf'), 'my own\n')
    const { json } = await apply()
    expect(json.bytes.fetched).toBe('as published\n'.length)
    expect(json.saved).toEqual([{ path: '/etc/conf', to: '/etc/conf.psyblob-saved' }])
    expect(readFileSync(world.inRoot('etc/conf.psyblob-saved'), 'utf8')).toBe('my own\n')
    expect(readFileSync(world.inRoot('etc/conf'), 'utf8')).toBe('as published\n')
  })

  test('leaves what somebody changed until a release changes it too; then it is kept beside and named', async () => {
    await apply()
    writeFileSync(world.inRoot('etc/conf'), 'my own\n')
    world.change()
    await world.publish()
    expect((await apply()).json).toMatchObject({ local: ['/etc/conf'], saved: [] })
    expect(readFileSync(world.inRoot('etc/conf'), 'utf8')).toBe('my own\n')
    world.write('src/etc/conf', 'published anew\n')
    await world.publish()
    const outcome = await world.must('apply base --root root')
    expect(outcome.stdout).toContain("/etc/conf was somebody else's: kept as /etc/conf.psyblob-saved")
    expect(readFileSync(world.inRoot('etc/conf'), 'utf8')).toBe('published anew\n')
    expect(readFileSync(world.inRoot('etc/conf.psyblob-saved'), 'utf8')).toBe('my own\n')
  })

  test('keeps beside what somebody changed without a change of its size when a release changes its owner', async () => {
    await apply()
    const [size] = [lstatSync(world.inRoot('etc/conf')).size]
    writeFileSync(world.inRoot('etc/conf'), 'x'.repeat(size))
    // a second name: rights are not changed in place then
    linkSync(world.inRoot('etc/conf'), world.inRoot('etc/conf-too'))
    chmodSync(world.path('src/etc/conf'), 0o600)
    await world.publish()
    const { json } = await apply()
    expect(json.saved).toEqual([{ path: '/etc/conf', to: '/etc/conf.psyblob-saved' }])
    expect(readFileSync(world.inRoot('etc/conf.psyblob-saved'), 'utf8')).toBe('x'.repeat(size))
    expect(readFileSync(world.inRoot('etc/conf'), 'utf8')).toBe('as published\n')
  })

  test('keeps beside a file that has as many names as it can have', async () => {
    await apply()
    writeFileSync(world.inRoot('etc/conf'), 'mine\n', { mode: 0o644 })
    chmodSync(world.inRoot('etc/conf'), 0o4711)
    mkdirSync(world.path('names'))
    // ext4 allows 65,000; where there is no such limit nothing is shown, and nothing fails
    try {
      for (let name = 0; name < 65_100; name++) linkSync(world.inRoot('etc/conf'), world.path('names', String(name)))
    } catch {}
    world.write('src/etc/conf', 'two\n')
    await world.publish()
    expect((await apply()).json.saved).toEqual([{ path: '/etc/conf', to: '/etc/conf.psyblob-saved' }])
    expect(readFileSync(world.inRoot('etc/conf.psyblob-saved'), 'utf8')).toBe('mine\n')
    expect(lstatSync(world.inRoot('etc/conf.psyblob-saved')).mode & 0o7777).toBe(0o711)
    expect(readFileSync(world.inRoot('etc/conf'), 'utf8')).toBe('two\n')
    expect(readdirSync(world.inRoot('etc')).sort()).toEqual(['composition', 'conf', 'conf.psyblob-saved', 'secret'])
  })

  describe('while it fetches', () => {
    let server: Server
    let during: (() => void) | undefined
    beforeEach(async () => {
      server = createServer((incoming, response) => {
        const path = world.path('repo', incoming.url ?? '')
        if (!existsSync(path)) return response.writeHead(404).end()
        if (incoming.url?.startsWith('/blobs/')) {
          during?.()
          during = undefined
        }
        return response.end(readFileSync(path))
      })
      await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
      world.compose({ name: 'base', uris: [`http://127.0.0.1:${(server.address() as AddressInfo).port}/`] })
      await apply()
      world.write('src/usr/bin/more', 'more\n')
      world.write('src/usr/bin/tool', '#!/bin/sh\necho two\n')
      world.remove('src/usr/share/data')
      symlinkSync('elsewhere', world.path('src/usr/share/data'))
      writeFileSync(world.inRoot('etc/conf'), 'mine\n')
      world.write('src/etc/conf', 'two\n')
      await world.publish()
    })
    afterEach(() => new Promise((done) => server.close(done)))

    test.each([
      ['a file where a new one is to be', 'usr/bin/more'],
      ['a file that is replaced', 'usr/bin/tool'],
      ['something in a folder that a link replaces', 'usr/share/data/notes'],
      ['something in place of what is in it', 'usr/share/data/twin'],
      ['a file where another is to be kept', 'etc/conf.psyblob-saved'],
      // neither its folder nor its name changes
      ['bytes of what is in it', 'usr/share/data/large', true],
    ])('%s that somebody writes is not lost: nothing is changed, and the next run goes on', async (_, path, inPlace = false) => {
      during = () => {
        if (inPlace) return writeFileSync(world.inRoot(path), 'somebody’s\n')
        writeFileSync(world.inRoot(`${path}.new`), 'somebody’s\n')
        return renameSync(world.inRoot(`${path}.new`), world.inRoot(path))
      }
      const outcome = await world.psyblob('apply base --root root')
      expect(outcome).toMatchObject({ code: 11, stderr: expect.stringMatching(/was changed meanwhile; nothing was changed by psyblob/) })
      expect(readFileSync(world.inRoot(path), 'utf8')).toBe('somebody’s\n')
      expect((await world.must('status --root root --json')).json.tree).toMatchObject({ state: 'release', serial: 1 })
      const { saved } = (await apply()).json
      const kept = saved.find((one: { path: string }) => `/${path}/`.startsWith(`${one.path}/`))
      const rest = kept === undefined ? '' : `/${path}`.slice(kept.path.length)
      expect(readFileSync(world.inRoot(kept === undefined ? path : `${kept.to}${rest}`), 'utf8')).toBe('somebody’s\n')
    })
  })

  test('keeps what a release has no more and somebody changed, and names it', async () => {
    await apply()
    writeFileSync(world.inRoot('usr/share/data/twin'), 'mine\n')
    world.change()
    await world.publish()
    const outcome = await world.must('apply base --root root')
    expect(outcome.stdout).toContain('/usr/share/data/twin is in the release no more, and was changed here: left')
    expect(readFileSync(world.inRoot('usr/share/data/twin'), 'utf8')).toBe('mine\n')
  })

  test.each(['folder to file', 'file to folder', 'folder to link', 'link to folder', 'file to link', 'link to file'])(
    'changes the type of an entry: %s',
    async (change) => {
      const [from, to] = change.split(' to ')
      const make = (kind: string | undefined) => {
        world.remove('src/usr/thing')
        if (kind === 'folder') world.write('src/usr/thing/below/file', 'in a folder\n')
        else if (kind === 'file') world.write('src/usr/thing', 'a file\n')
        else symlinkSync('share', world.path('src/usr/thing'))
      }
      make(from)
      await world.publish()
      await apply()
      make(to)
      await world.publish()
      expect((await apply()).json.saved).toEqual([])
      expect(world.tree('root')).toEqual(world.tree('src'))
      await world.must('rollback base --root root')
      make(from)
      expect(world.tree('root')).toEqual(world.tree('src'))
    },
  )

  test('keeps a folder that somebody filled and a file replaces', async () => {
    await apply()
    world.run('mkdir', ['-p', 'root/var/more'])
    world.write('root/var/more/mine', 'mine\n')
    world.write('src/var/more', 'a file now\n')
    await world.publish()
    expect((await apply()).json.saved).toEqual([{ path: '/var/more', to: '/var/more.psyblob-saved' }])
    expect(readFileSync(world.inRoot('var/more.psyblob-saved/mine'), 'utf8')).toBe('mine\n')
    expect(readFileSync(world.inRoot('var/more'), 'utf8')).toBe('a file now\n')
  })

  test('never writes through a link that somebody put on the way, and says which', async () => {
    await apply()
    mkdirSync(world.path('elsewhere/data'), { recursive: true })
    rmSync(world.inRoot('usr/share'), { recursive: true })
    symlinkSync(world.path('elsewhere'), world.inRoot('usr/share'))
    world.write('src/usr/share/data/large', 'small now\n')
    await world.publish()
    const before = world.tree('root')
    const outcome = await world.psyblob('apply base --root root')
    expect(outcome).toMatchObject({ code: 11, stderr: expect.stringContaining('/usr/share is a symbolic link') })
    expect(outcome.stderr).toContain('psyblob repair /usr/share')
    expect(world.tree('root')).toEqual(before)
    expect(world.tree('elsewhere')).toEqual({ '/data': expect.stringContaining('folder') })
    await world.must('repair /usr/share --root root')
    await world.must('apply base --root root')
    expect(world.tree('root', (path) => path.includes('psyblob-saved'))).toEqual(world.tree('src'))
  })

  test('of a version goes there, and rollback to the one before; what was left is not installed again by itself', async () => {
    await apply()
    const first = world.tree('root')
    world.change()
    await world.publish()
    await apply()
    // nothing is asked of the remote: what was replaced is in the store
    world.run('mv', ['repo/blobs', 'away'])
    expect((await world.must('rollback base --root root --json')).json).toMatchObject({ serial: 1, bytes: { fetched: 0 } })
    expect(world.tree('root')).toEqual(first)
    world.run('mv', ['away', 'repo/blobs'])
    expect((await world.must('sync base --root root --json')).json.held).toContain('was rolled back')
    expect(world.tree('root')).toEqual(first)
    await world.must('sync base --root root --force')
    expect(world.tree('root')).toEqual(world.tree('src'))
    await world.must('apply base --root root --version 1')
    expect(world.tree('root')).toEqual(first)
  })

  test('with --force puts in order what somebody changed too', async () => {
    await apply()
    writeFileSync(world.inRoot('etc/conf'), 'AS PUBLISHED\n')
    expect((await apply()).json.changed).toBe(false)
    await apply('--force')
    expect(world.tree('root')).toEqual(world.tree('src'))
  })
})

test('gc keeps what the current and the previous release need, and drops the rest', async () => {
  await apply()
  for (const text of ['two\n', 'three\n']) {
    world.write('src/etc/conf', text)
    await world.publish()
    await apply()
  }
  expect((await world.must('gc --root root --json')).json.removed).toEqual(
    expect.arrayContaining([expect.stringMatching(/base\/1$/), expect.stringMatching(/\/blob\//)]),
  )
  world.run('mv', ['repo/blobs', 'away'])
  await world.must('rollback base --root root')
  expect(readFileSync(world.inRoot('etc/conf'), 'utf8')).toBe('two\n')
})

test('status says what is installed where, and why says why', async () => {
  expect((await world.must('status --root root --json')).json.tree).toMatchObject({ state: 'empty', serial: null })
  await apply()
  expect((await world.must('status --root root --json')).json).toMatchObject({ tree: { state: 'release', serial: 1 }, upToDate: true })
  expect((await world.must('status --root root')).stdout).toMatch(/root: 1 \(.*\), \d+ entries/)
  expect((await world.must('why --root root')).stdout).toContain('the newest release known here')
  world.write('src/etc/conf', 'two\n')
  await world.publish()
  await world.must('refresh --root root')
  expect((await world.must('why --root root')).stdout).toContain('not the newest known here: that is 2')
  expect((await world.psyblob('check latest --root root')).code).toBe(1)
  await world.must('check current --root root')
  expect((await world.must('diff base current latest --root root')).stdout).toContain('/etc/conf')
})

test('--prefer is for images in slots', async () => {
  const before = world.tree('root')
  for (const command of ['sync', 'apply']) {
    const outcome = await world.psyblob(`${command} base --root root --prefer bytes`)
    expect(outcome).toMatchObject({ code: 2, stderr: expect.stringMatching(/base is not for slots\n {2}hint: leave --prefer out/) })
  }
  expect(world.tree('root')).toEqual(before)
})

test('a stick made by download gives the same as the network', async () => {
  await world.must('download base stick --root root')
  world.remove('repo')
  await world.must('sync base --root root --path stick')
  expect(world.tree('root')).toEqual(world.tree('src'))
})

test('a product of another publisher, from another repository, is kept up to date beside it', async () => {
  world.write('desk/usr/bin/desk', 'desk\n')
  await world.must('key new desk --no-password')
  await world.must('init desk-repo --key desk.key --repo org.example.desk')
  await world.must('publish desktop desk --tree --remote desk-repo --key desk.key')
  const line = (name: string) => world.read(`${name}.pub`).toString().split('\n')[1]
  world.compose({ name: 'base' }, { name: 'desktop', key: line('desk'), uris: [world.path('desk-repo')] })
  await world.must('sync --root root')
  expect((await world.must('status --root root --json')).json.map(({ tree }: { tree: object }) => tree)).toMatchObject([
    { state: 'release', serial: 1 },
    { state: 'release', serial: 1 },
  ])
  await world.must('check current --root root')
  // neither key is good for the other
  world.compose({ name: 'base' }, { name: 'desktop', uris: [world.path('desk-repo')] })
  expect((await world.psyblob('sync desktop --root root')).code).toBe(12)
})

test.each([
  ['lies in ours', '/', '/srv/desk'],
  ['ours lies in', '/srv/desk', '/'],
])('a root that %s: a path that both products have is refused, with both names', async (_, baseRoot, deskRoot) => {
  const target = (root: string) => ({ target: { kind: 'tree', root } })
  mkdirSync(world.inRoot('srv/desk'), { recursive: true })
  const [outer, inner] = baseRoot === '/' ? ['src', 'desk'] : ['desk', 'src']
  world.write(`${outer}/srv/desk/etc/shared`, 'one\n')
  world.write(`${inner}/etc/shared`, 'two\n')
  world.write('desk/usr/share/desk', 'desk\n')
  await world.publish()
  await world.must('publish desktop desk --tree --remote repo --key os.key')
  world.compose({ name: 'base', ...target(baseRoot) }, { name: 'desktop', ...target(deskRoot) })
  await world.must('apply base --root root')
  const before = world.tree('root')
  const outcome = await world.psyblob('apply desktop --root root')
  expect(outcome).toMatchObject({ code: 11, stderr: expect.stringMatching(/desktop 1 and base 2 both have (\/srv\/desk)?\/etc\/shared/) })
  expect(world.tree('root')).toEqual(before)
  world.remove('desk/etc/shared')
  world.remove('desk/srv/desk/etc/shared')
  await world.must('publish desktop desk --tree --remote repo --key os.key')
  await world.must('apply desktop --root root')
  await world.must('check current --root root')
})

test('what lies where psyblob keeps files of a product below is refused', async () => {
  mkdirSync(world.inRoot('srv/desk'), { recursive: true })
  world.compose({ name: 'base' }, { name: 'desktop', target: { kind: 'tree', root: '/srv/desk' } })
  world.write('src/srv/desk/.psyblob/desktop/journal', 'a journal\n')
  await world.publish()
  await world.must('refresh base --root root')
  const before = world.tree('root')
  expect(await world.psyblob('apply base --root root')).toMatchObject({
    code: 12,
    stderr: expect.stringMatching(/\/srv\/desk\/\.psyblob.* lies where psyblob keeps files of its own for desktop/),
  })
  expect(world.tree('root')).toEqual(before)
})

test('the empty root of another product stays when a release has it no more', async () => {
  mkdirSync(world.path('src/srv/desk'), { recursive: true })
  await world.publish()
  world.compose({ name: 'base' }, { name: 'desktop', target: { kind: 'tree', root: '/srv/desk' } })
  await apply()
  world.remove('src/srv')
  await world.publish()
  await apply()
  expect(lstatSync(world.inRoot('srv/desk')).isDirectory()).toBe(true)
})

test('a root that would become a file is refused', async () => {
  world.write('desk/usr/share/desk', 'desk\n')
  await world.must('publish desktop desk --tree --remote repo --key os.key')
  mkdirSync(world.inRoot('srv/desk'), { recursive: true })
  world.compose({ name: 'base' }, { name: 'desktop', target: { kind: 'tree', root: '/srv/desk' } })
  await world.must('apply desktop --root root')
  world.write('src/srv', 'no folder\n')
  await world.publish()
  expect(await world.psyblob('apply base --root root')).toMatchObject({
    stderr: expect.stringMatching(/base 2 and desktop 1 both have \/srv\n/),
  })
})

test('one more product beside it: a path that both have is refused, with both names; a folder is shared', async () => {
  await apply()
  world.write('desk/usr/bin/desk', 'desk\n')
  world.write('desk/usr/bin/tool', 'not mine\n')
  world.compose({ name: 'base' }, { name: 'desktop' })
  await world.must('publish desktop desk --tree --remote repo --key os.key')
  const before = world.tree('root')
  const outcome = await world.psyblob('apply desktop --root root')
  expect(outcome).toMatchObject({ code: 11, stderr: expect.stringMatching(/desktop 1 and base 1 both have \/usr\/bin\/tool/) })
  expect(world.tree('root')).toEqual(before)
  world.remove('desk/usr/bin/tool')
  await world.must('publish desktop desk --tree --remote repo --key os.key')
  const { json } = await world.must('sync --root root --json')
  expect(json.map(({ product, changed }: { product: string; changed: boolean }) => [product, changed])).toEqual([
    ['base', false],
    ['desktop', true],
  ])
  expect((await world.must('status --root root --json')).json).toHaveLength(2)
  // a folder that the other one has stays when the last file in it goes
  world.remove('src/usr/bin')
  world.remove('src/bin')
  world.write('desk/usr/bin/desk', 'desk two\n')
  await world.publish()
  await world.must('sync --root root')
  expect(readFileSync(world.inRoot('usr/bin/desk'), 'utf8')).toBe('desk\n')
})
