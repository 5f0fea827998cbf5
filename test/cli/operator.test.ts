// What operators ask and mistype: empty answers, flags that mean two things, options nobody has.
import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { World } from './world.ts'

let world: World
beforeEach(async () => {
  world = await new World().withRelease()
})
afterEach(() => world.close())

describe('a question about nothing', () => {
  test.each(['check latest', 'verify', 'sync'])('is no yes: %s', async (command) => {
    const key = world.read('os.pub').toString().split('\n')[1]
    world.write(
      'composition',
      `${JSON.stringify({ name: 'base', key, uris: ['repo'], target: { kind: 'tree', root: world.path('root') } })}\n`,
    )
    mkdirSync(world.path('root'))
    const outcome = await world.psyblob(`${command} --composition composition`)
    expect(outcome.code).toBe(10)
    expect(outcome.stdout + outcome.stderr).toMatch(/: not-found: /)
  })
})

describe('flags', () => {
  test('that no command has are named', async () => {
    const outcome = await world.psyblob(`sync os --bogus ${world.node()}`)
    expect(outcome).toMatchObject({ code: 2, stderr: expect.stringContaining('no option called --bogus') })
  })

  test('verify --store os audits the store of os, also where a folder is called so', async () => {
    await world.must(`sync os ${world.node()}`)
    mkdirSync(world.path('os'))
    expect((await world.must(`verify --store os ${world.node()} --json`)).json[0].place).toContain(world.path('store'))
  })

  test('gc --remote is refused, for only the local store is swept', async () => {
    expect(await world.psyblob('gc --remote repo')).toMatchObject({ code: 16, stderr: expect.stringContaining('hint: ') })
  })
})

describe('places', () => {
  test.each([
    ['slot b inside slot a', '--slot-a x --slot-b x/b --esp esp'],
    ['the EFI folder inside slot b', '--slot-a a --slot-b x --esp x/esp'],
    ['the store inside slot a', '--slot-a x --slot-b b --esp esp --store x/s'],
  ])('%s are refused: an update would remove them', async (_, places) => {
    const outcome = await world.psyblob(`sync os --key os.pub --remote repo ${places}`)
    expect(outcome).toMatchObject({ code: 2, stderr: expect.stringMatching(/lies inside slot .*\n {2}hint: /) })
    expect(world.run('find', ['.', '-path', './x/*', '-name', 'kernel'])).toBe('')
  })

  test('the mode of a file that is kept is set, and a wrong one is found', async () => {
    await world.must(`sync os ${world.node()}`)
    chmodSync(world.path('a/kernel'), 0o600)
    const outcome = await world.psyblob(`verify --slot a ${world.node()}`)
    expect(outcome).toMatchObject({ code: 13, stdout: expect.stringContaining('/kernel: wrong mode') })
    await world.must(`repair --slot a ${world.node()}`)
    expect(statSync(world.path('a/kernel')).mode & 0o777).toBe(0o644)
  })
})

test('folders in the temporary folder that another user called like ours are not believed, and hang nothing', async () => {
  const made = world.run('bash', [join(import.meta.dirname, '../fixtures/make-disk.sh'), 'disk.img', '16'])
  expect(made).toBeDefined()
  const trap = join(tmpdir(), 'psyblob-slot-4194999-trap')
  rmSync(trap, { recursive: true, force: true })
  mkdirSync(trap, { mode: 0o700 })
  execFileSync('mkfifo', [join(trap, 'loop')])
  writeFileSync(join(trap, 'x'), '')
  chownSync(trap, 65534, 65534)
  try {
    await world.must('sync os --key os.pub --remote repo --disk disk.img')
    expect((await world.must('status --key os.pub --disk disk.img --json')).json.slots[0].serial).toBe(1)
  } finally {
    rmSync(trap, { recursive: true, force: true })
  }
}, 60_000)

test('a slot that cannot be mounted is told, and keeps nobody from tending the other', async () => {
  world.run('bash', [join(import.meta.dirname, '../fixtures/make-disk.sh'), 'disk.img', '16'])
  const node = '--key os.pub --remote repo --disk disk.img'
  await world.must(`sync os ${node}`)
  await world.must(`apply os b ${node} --booted a`)
  // the first partition of the two begins after the EFI and the secrets partition
  world.run('dd', ['if=/dev/zero', 'of=disk.img', 'bs=1M', 'seek=49', 'count=2', 'conv=notrunc', 'status=none'])
  expect((await world.must(`status ${node} --booted b`)).stdout).toMatch(/cannot mount/)
  expect((await world.must(`mark good ${node} --booted b --json`)).json.good).toEqual(['b'])
  await world.must(`verify --slot b ${node}`)
  await world.must(`check latest ${node} --booted b`)
}, 60_000)
