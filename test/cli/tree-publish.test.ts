// Systems published as trees, as typed: what becomes an entry and how, what is left out, what is refused.
import { spawnSync } from 'node:child_process'
import { chmodSync, chownSync, linkSync, lstatSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { noise, snapshot, World } from './world.ts'

const isRoot = process.getuid?.() === 0
let world: World
beforeEach(async () => {
  world = new World()
  await world.must('key new os --no-password')
  await world.must('init repo --key os.key --repo org.example.test')
  world.write('root/etc/hostname', 'here\n')
  world.write('root/usr/bin/tool', '#!/bin/sh\n')
  chmodSync(world.path('root/usr/bin/tool'), 0o755)
})
afterEach(() => world.close())

const publish = 'publish base-system root --remote repo --key os.key'

type Record = {
  path: string
  role: string
  mod: number
  uid: number
  gid: number
  target: string | null
  bin: { cid: string; size: number; index?: object } | null
}

/** The records of a release by their paths. */
function records(serial = 1): Readonly<{ [path: string]: Record }> {
  const lines = world.read(`repo/manifests/base-system/${serial}`).toString().trimEnd().split('\n').slice(1)
  return Object.fromEntries(lines.map((line) => JSON.parse(line) as Record).map((record) => [record.path, record]))
}

describe('publish of a tree', () => {
  test('records everything as it is: folders, links, modes, owners, hard links as equal blobs', async () => {
    mkdirSync(world.path('root/var/empty'), { recursive: true })
    symlinkSync('usr/bin', world.path('root/bin'))
    symlinkSync('/nowhere\u0001', world.path('root/etc/dangling'))
    linkSync(world.path('root/usr/bin/tool'), world.path('root/usr/bin/other-name'))
    world.write('root/usr/bin/su', 'su')
    chmodSync(world.path('root/usr/bin/su'), 0o6755)
    chmodSync(world.path('root/var/empty'), 0o1777)
    world.write('root/empty', '')
    chmodSync(world.path('root/empty'), 0o400)
    if (isRoot) chownSync(world.path('root/etc/hostname'), 12, 3_000_000)
    const { stdout } = await world.must(publish)
    expect(stdout).toContain('as a tree of 5 files, 5 folders and 2 links')
    const all = records()
    expect(Object.keys(all)).toEqual([
      '/bin',
      '/empty',
      '/etc',
      '/etc/dangling',
      '/etc/hostname',
      '/usr',
      '/usr/bin',
      '/usr/bin/other-name',
      '/usr/bin/su',
      '/usr/bin/tool',
      '/var',
      '/var/empty',
    ])
    expect(all['/bin']).toMatchObject({ role: 'file', mod: 0o120777, target: 'usr/bin', bin: null })
    expect(all['/etc/dangling']?.target).toBe('/nowhere\u0001')
    expect(all['/var/empty']).toMatchObject({ mod: 0o041777, target: null, bin: null })
    expect(all['/usr/bin/su']).toMatchObject({ mod: 0o106755, bin: { size: 2 } })
    expect(all['/empty']).toMatchObject({ mod: 0o100400, bin: { size: 0 } })
    expect(all['/usr/bin/other-name']?.bin).toEqual(all['/usr/bin/tool']?.bin)
    if (isRoot) expect(all['/etc/hostname']).toMatchObject({ uid: 12, gid: 3_000_000 })
    const { uid, gid } = lstatSync(world.path('root/usr'))
    expect(all['/usr']).toMatchObject({ uid, gid })
  })

  test('again changes nothing; with one file changed only that is uploaded; a blob that was lost is put back', async () => {
    world.write('root/usr/share/big', noise('big', 1_500_000))
    world.write('root/usr/share/copy-of-hostname', 'here\n')
    const first = (await world.must(`${publish} --json`)).json
    expect(first).toMatchObject({ changed: true, tree: { files: 4, folders: 4, links: 0 } })
    const before = snapshot(world.path('repo'))
    expect((await world.must(`${publish} --json`)).json).toMatchObject({ changed: false, blobs: { uploaded: 0 } })
    expect(snapshot(world.path('repo'))).toBe(before)
    const cid = records()['/etc/hostname']?.bin?.cid ?? ''
    rmSync(world.path('repo/blobs', cid.slice(-3, -1), cid))
    expect((await world.must(publish)).stdout).toContain('1 missing blob put back')
    expect(snapshot(world.path('repo'))).toBe(before)
    world.write('root/etc/hostname', 'there\n')
    expect((await world.must(`${publish} --json`)).json).toMatchObject({ serial: 2, blobs: { uploaded: 1 }, bytes: { uploaded: 6 } })
    chmodSync(world.path('root/etc/hostname'), 0o600)
    expect((await world.must(`${publish} --json`)).json).toMatchObject({ serial: 3, blobs: { uploaded: 0 } })
    await world.must('verify base-system --remote --key os.pub --remote repo')
  })

  test('cuts files above a mebibyte only', async () => {
    world.write('root/usr/large', noise('large', 1024 * 1024 + 1))
    world.write('root/usr/small', noise('small', 1024 * 1024))
    await world.must(publish)
    expect(records()['/usr/large']?.bin).toHaveProperty('index')
    expect(records()['/usr/small']?.bin).not.toHaveProperty('index')
  })

  test('leaves out devices, pipes, sockets, psyblob’s own folder and lost+found, and says so', async () => {
    world.run('mkfifo', ['root/etc/pipe', 'root/usr/pipe'])
    world.write('root/.psyblob/state', 'x')
    mkdirSync(world.path('root/lost+found'))
    world.write('root/usr/.psyblob/mine', 'x')
    const { stderr } = await world.must(publish)
    expect(stderr).toContain('left out 2 of root that are no files, folders or links')
    expect(stderr).toContain('the first is /etc/pipe')
    expect(Object.keys(records())).toEqual([
      '/etc',
      '/etc/hostname',
      '/usr',
      '/usr/.psyblob',
      '/usr/.psyblob/mine',
      '/usr/bin',
      '/usr/bin/tool',
    ])
  })

  test.runIf(isRoot)('does not go into other file systems', async () => {
    mkdirSync(world.path('root/proc'))
    if (spawnSync('mount', ['-t', 'tmpfs', 'none', world.path('root/proc')]).status !== 0) return
    try {
      writeFileSync(world.path('root/proc/inside'), 'x')
      const { stderr } = await world.must(publish)
      expect(stderr).toContain('other file systems are mounted in root and left out')
      expect(stderr).toContain('/proc')
      expect(Object.keys(records())).toContain('/proc')
      expect(Object.keys(records())).not.toContain('/proc/inside')
    } finally {
      world.run('umount', ['root/proc'])
    }
  })

  test('refuses names that no release can have, all of them at once up to ten, and publishes nothing', async () => {
    const before = snapshot(world.path('repo'))
    writeFileSync(Buffer.concat([Buffer.from(`${world.path('root/etc')}/caf`), Buffer.from([0xe9])]), 'x')
    world.write('root/etc/a\u0007b', 'x')
    world.write('root/etc/bidi\u202e', 'x')
    world.write('root/etc/\u00e4', 'x')
    world.write('root/etc/a\u0308', 'x')
    const refused = await world.psyblob(publish)
    expect(refused.code).toBe(2)
    expect(refused.stderr).toContain('4 names that no release can have')
    for (const text of [
      '/etc/caf\\xe9: not UTF-8',
      '/etc/a\\u{7}b: a control',
      'bidi\\u{202e}: a control',
      'one name, composed in two ways',
    ])
      expect(refused.stderr).toContain(text)
    for (let name = 0; name < 20; name++) world.write(`root/usr/x\u0007${name}`, 'x')
    expect((await world.psyblob(publish)).stderr).toMatch(/24 names .*; and 14 more\n {2}hint: rename or remove/)
    expect(snapshot(world.path('repo'))).toBe(before)
  })

  test('takes names with a backslash and names that differ in case only, as real systems have them', async () => {
    for (const name of ['system-a\\x2db.slice', 'Pod', 'pod']) world.write(`root/usr/${name}`, name)
    await world.must(publish)
  })

  test('refuses links that lead to bytes that are no text', async () => {
    symlinkSync(Buffer.from([0x2f, 0xff]), world.path('root/etc/link'))
    const refused = await world.psyblob(publish)
    expect(refused.code).toBe(2)
    expect(refused.stderr).toContain('/etc/link: it leads to /\\xff, not UTF-8')
  })

  test('takes names of every script', async () => {
    world.write('root/etc/Főtanúsítvány.crt', 'x')
    world.write('root/etc/日本語', 'x')
    await world.must(publish)
    expect(Object.keys(records())).toContain('/etc/日本語')
  })

  test('a file that changes while it is read is a conflict, and nothing is published', async () => {
    for (let file = 0; file < 300; file++) world.write(`root/usr/share/${file}`, noise(`${file}`, 100_000))
    const before = snapshot(world.path('repo/manifests'))
    let turns = 0
    const timer = setInterval(() => writeFileSync(world.path(`root/usr/share/${turns++ % 300}`), noise(`${turns}`, 100_000)), 1)
    const outcome = await world.psyblob(publish).finally(() => clearInterval(timer))
    expect(outcome.code).toBe(11)
    expect(outcome.stderr).toContain('changed while it was being published')
    expect(snapshot(world.path('repo/manifests'))).toBe(before)
  })
})

describe('whether a folder is a tree', () => {
  test('is seen by its folders etc and usr, said by options, and stays what it was', async () => {
    world.write('slots/kernel', 'k')
    world.write('slots/boot/etc/x', 'x')
    expect((await world.must('publish os slots --remote repo --key os.key --json')).json.tree).toBeNull()
    expect((await world.must('publish other slots --tree --remote repo --key os.key --json')).json.tree).not.toBeNull()
    // what was a tree is one, whatever it looks like
    world.write('slots/kernel', 'l')
    expect((await world.must('publish other slots --remote repo --key os.key --json')).json.tree).not.toBeNull()
    // and what was for slots is so until somebody says otherwise
    world.write('slots/etc/x', 'x')
    expect((await world.must('publish os slots --remote repo --key os.key --json')).json.tree).toBeNull()
    expect((await world.must('publish os slots --tree --remote repo --key os.key --json')).json.tree).not.toBeNull()
    expect((await world.must('publish third root --no-tree --remote repo --key os.key --json')).json.tree).toBeNull()
  })

  test('an empty folder is refused', async () => {
    mkdirSync(world.path('nothing'))
    const refused = await world.psyblob('publish x nothing --tree --remote repo --key os.key')
    expect(refused.code).toBe(2)
    expect(refused.stderr).toContain('is empty')
  })
})

describe('--post-exec', () => {
  test('names a file of the tree', async () => {
    await world.must(`${publish} --post-exec /usr/bin/tool`)
    expect(JSON.parse(world.read('repo/manifests/base-system/1').toString().split('\n')[0] ?? '')['post-exec']).toBe('/usr/bin/tool')
    for (const path of ['/usr/bin', '/nothing', 'usr/bin/tool', '']) {
      const refused = await world.psyblob([...publish.split(' '), '--post-exec', path])
      expect(refused.code).toBe(2)
      expect(refused.stderr).toContain('names no plain file of the tree')
    }
    expect((await world.psyblob(`${publish} --no-tree --post-exec /usr/bin/tool`)).code).toBe(2)
  })
})
