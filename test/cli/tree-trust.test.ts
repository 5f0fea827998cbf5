// What a tree leaves behind for others to misuse, and what becomes of one that was taken back.
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { isRoot, TreeWorld } from './tree-world.ts'

let world: TreeWorld
beforeEach(async () => {
  world = await new TreeWorld().withSystem({ allow: ['setuid'] })
})
afterEach(() => world.close())

test('blobs in the store let nobody run or read what he may not', async () => {
  chmodSync(world.path('src/usr/bin/tool'), 0o4755)
  await world.publish()
  await world.must('apply base --root root')
  world.write('src/usr/bin/tool', 'safe now\n')
  world.write('src/etc/secret', 'hush, hush\n')
  await world.publish()
  await world.must('apply base --root root')
  expect(world.run('find', ['root/var/psyblob/blob', '-type', 'f', '-perm', '/7077'])).toBe('')
  expect(world.run('stat', ['-c', '%a', 'root/var/psyblob/blob']).trim()).toBe('700')
  await world.must('rollback base --root root')
  expect(world.tree('root')['/usr/bin/tool']).toMatch(/^file 4755/)
})

test.skipIf(!isRoot)('a journal or a folder of somebody else is not believed', async () => {
  await world.must('apply base --root root')
  const journal = {
    psyblob: 'journal/1',
    product: 'base',
    serial: 1,
    manifest: `bafkr4i${'a'.repeat(52)}`,
    previous: null,
    postExec: null,
    mounts: [],
  }
  mkdirSync(world.inRoot('.psyblob/base'), { recursive: true })
  writeFileSync(
    world.inRoot('.psyblob/base/journal'),
    `${JSON.stringify(journal)}\n{"do":"rights","path":"/etc/conf","mod":33261,"uid":0,"gid":0}\n`,
  )
  chownSync(world.inRoot('.psyblob/base/journal'), 1234, 1234)
  world.write('src/etc/conf', 'two\n')
  await world.publish()
  const before = world.tree('root')
  expect(await world.psyblob('apply base --root root')).toMatchObject({ code: 11, stderr: expect.stringContaining('somebody else') })
  expect(world.tree('root')).toEqual(before)
  world.remove('root/.psyblob/base/journal')
  chownSync(world.inRoot('.psyblob/base'), 1234, 1234)
  // what somebody else made is removed with what was staged before, and made anew
  await world.must('apply base --root root')
  expect(existsSync(world.inRoot('.psyblob'))).toBe(false)
})

test.skipIf(!isRoot)('a journal that a link leads to is not believed', async () => {
  await world.must('apply base --root root')
  world.run('mkdir', ['-p', '-m', '700', 'other/.psyblob/base'])
  world.write('other/.psyblob/base/journal', 'of another root\n')
  symlinkSync(world.path('other/.psyblob'), world.inRoot('.psyblob'))
  const outcome = await world.psyblob('apply base --root root')
  expect(outcome).toMatchObject({ code: 11, stderr: expect.stringMatching(/\.psyblob is of somebody else, and is not believed/) })
})

test('a journal waits for what was mounted when it was written', async () => {
  await world.must('apply base --root root')
  const before = world.tree('root')
  world.write('src/etc/conf', 'two\n')
  await world.publish()
  await world.must('refresh base --root root')
  const manifest = (await world.must('show base --latest --root root --json')).json.manifest
  const header = { psyblob: 'journal/1', product: 'base', serial: 2, manifest, previous: 1, postExec: null, mounts: ['/etc'] }
  mkdirSync(world.inRoot('.psyblob/base'), { recursive: true, mode: 0o700 })
  chmodSync(world.inRoot('.psyblob'), 0o700)
  const step = { do: 'put', path: '/etc/conf', from: 0, at: '/etc' }
  writeFileSync(world.inRoot('.psyblob/base/journal'), `${JSON.stringify(header)}\n${JSON.stringify(step)}\n`, { mode: 0o600 })
  for (const command of ['apply base', 'repair /etc', 'rollback base'])
    expect(await world.psyblob(`${command} --root root`)).toMatchObject({
      code: 11,
      stderr: expect.stringMatching(/nothing is mounted on \/etc .*\n {2}hint: mount it/),
    })
  expect(world.tree('root', (path) => path.startsWith('/.psyblob'))).toEqual(before)
  expect((await world.must('status --root root --json')).json.tree).toMatchObject({ state: 'unfinished', serial: 1 })
})

test('a root that is not there is not made', async () => {
  expect(await world.psyblob('apply base --root nowhere --key os.pub --remote repo')).toMatchObject({
    code: 10,
    stderr: expect.stringContaining('no folder'),
  })
  expect(existsSync(world.path('nowhere'))).toBe(false)
})

test('a root that is empty is filled also where the composition names mounts that are not there yet', async () => {
  world.compose({ name: 'base', allow: ['setuid'], target: { kind: 'tree', root: '/', mounts: ['/usr', '/bin', '/boot/efi'] } })
  await world.must('apply base --root root')
  expect(world.tree('root')).toEqual(world.tree('src'))
})

test('a release that was taken back is replaced by the next one, with what only it had', async () => {
  world.write('src/usr/bin/backdoor', 'evil\n')
  await world.publish()
  await world.must('apply base --root root')
  const { manifest } = (await world.must('show base --root root --json')).json
  await world.must('root init root.json --repo org.example.test --root os.pub --release os.pub --pointer os.pub --threshold 1')
  await world.must(['root', 'revoke', 'root.json', manifest])
  await world.must('root sign root.json --key os.key')
  await world.must('root publish root.json --remote repo')
  world.remove('src/usr/bin/backdoor')
  await world.publish()
  await world.must('sync base --root root')
  expect(world.tree('root')).toEqual(world.tree('src'))
})

describe('an apply that was cut short when everything was staged', () => {
  beforeEach(async () => {
    await world.must('apply base --root root')
    world.change()
    await world.publish()
    // as a kill leaves it: the journal is there, nothing of it was done
    mkdirSync(world.inRoot('.psyblob/base'), { recursive: true, mode: 0o700 })
    chmodSync(world.inRoot('.psyblob'), 0o700)
    await world.must('refresh base --root root')
    writeFileSync(world.inRoot('.psyblob/base/0'), '#!/bin/sh\necho two\n', { mode: 0o755 })
    const manifest = (await world.must('show base --latest --root root --json')).json.manifest
    const header = { psyblob: 'journal/1', product: 'base', serial: 2, manifest, previous: 1, postExec: null, mounts: [] }
    const step = { do: 'put', path: '/usr/bin/tool', from: 0, at: '' }
    writeFileSync(world.inRoot('.psyblob/base/journal'), `${JSON.stringify(header)}\n${JSON.stringify(step)}\n`, { mode: 0o600 })
  })
  const current = async () => (await world.must('status --root root --json')).json.tree

  test.each(['repair /usr/bin', 'rollback base', 'sync base'])('is finished before %s looks at anything', async (command) => {
    expect(await current()).toMatchObject({ state: 'unfinished' })
    world.run('mv', ['repo', 'away'])
    const outcome = await world.psyblob(`${command} --root root`)
    world.run('mv', ['away', 'repo'])
    expect(outcome.stderr).toContain('cut short, and is finished first')
    expect(await current()).toMatchObject({ state: 'release', serial: command.startsWith('rollback') ? 1 : 2 })
    if (command.startsWith('rollback'))
      expect((await world.must('sync base --root root --json')).json.held).toContain('serial 2 was rolled back')
    else expect(readFileSync(world.inRoot('usr/bin/tool'), 'utf8')).toContain('echo two')
  })
})
