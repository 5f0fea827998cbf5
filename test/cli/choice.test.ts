// What boots next, and what a machine holds against a release: after fall-backs, lost boot state, power cuts between two steps.
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { World } from './world.ts'

let world: World
beforeEach(async () => {
  world = await new World().withRelease()
})
afterEach(() => world.close())

const status = async (booted: string) => (await world.must(`status ${world.node()} --booted ${booted} --json`)).json
const environment = (lines: string) => `# GRUB Environment Block\n${lines}`.padEnd(1024, '#')

/** Slot a is good and runs; release 2 in slot b was tried three times. */
async function fallenBack(): Promise<void> {
  await world.must(`sync os ${world.node()}`)
  await world.must(`mark good a ${world.node()} --booted a`)
  await world.publish2()
  await world.must(`sync os ${world.node()} --booted a`)
  world.write('esp/tries', environment(`tries_for=${(await status('a')).boot.seq}\ntries=3\n`))
}

describe('after the boot loader fell back', () => {
  test('a release that is in its slot but was not yet activated is not taken for the one that failed', async () => {
    await fallenBack()
    expect((await status('a')).fellBackFrom).toBe(2)
    world.write('r3/kernel', 'third')
    await world.must('publish os r3 --remote repo --key os.key')
    // as after a power cut between seal and flip
    await world.must(`sync os ${world.node()} --booted a --no-activate`)
    expect(await status('a')).toMatchObject({ fellBackFrom: null, avoided: [2], boot: { tries: 0 } })
    expect((await world.must(`sync os ${world.node()} --booted a --json`)).json).toMatchObject({ serial: 3, held: null })
    expect(await status('a')).toMatchObject({ avoided: [2], boot: { order: ['b', 'a'], tries: 0 } })
  })

  test('activate gives the slot new tries, although it stands first already', async () => {
    await fallenBack()
    const before = (await status('a')).boot
    const { json } = await world.must(`activate b ${world.node()} --booted a --json`)
    expect(json).toMatchObject({ changed: true, order: ['b', 'a'] })
    expect((await status('a')).boot).toMatchObject({ seq: before.seq + 1, tries: 0 })
    expect((await world.must(`activate b ${world.node()} --booted a --json`)).json.changed).toBe(false)
  })

  test('sync --reboot does not go round in circles', async () => {
    await fallenBack()
    world.write('bin/reboot', '#!/bin/sh\ntouch rebooted\n')
    world.run('chmod', ['755', 'bin/reboot'])
    const env = { PATH: `${world.path('bin')}:${process.env['PATH']}` }
    await world.must(`sync os ${world.node()} --booted a --reboot`, { env })
    expect(world.run('ls', [])).not.toContain('rebooted')
  })
})

describe('with the boot state lost', () => {
  const lose = () => {
    world.write('esp/state1/select', 'x')
    world.write('esp/state2/select', 'y')
  }

  test('mark good makes the slot that runs the first', async () => {
    await world.must(`sync os ${world.node()}`)
    await world.must(`apply os b ${world.node()}`)
    lose()
    expect((await world.must(`mark good ${world.node()} --booted b --json`)).json).toMatchObject({ order: ['b', 'a'], good: ['b'] })
    expect((await status('b')).boot).toMatchObject({ order: ['b', 'a'], good: ['b'] })
  })

  test('whatever makes it anew keeps the running slot first, and lays no old tries to anybody', async () => {
    await world.must(`sync os ${world.node()}`)
    await world.must(`apply os b ${world.node()}`)
    lose()
    world.write('esp/tries', environment('tries_for=1000000002\ntries=3\n'))
    await world.must(`apply os a --force --no-activate ${world.node()} --booted b`)
    const { boot, fellBackFrom } = await status('b')
    expect(boot).toMatchObject({ order: ['b', 'a'], tries: 0, copies: ['valid', 'valid'] })
    expect(boot.seq).toBeGreaterThan(1_000_000_002)
    expect(fellBackFrom).toBeNull()
  })
})

describe('going back', () => {
  test('twice before a reboot is going back once', async () => {
    await world.must(`sync os ${world.node()}`)
    await world.must(`mark good a ${world.node()} --booted a`)
    await world.publish2()
    await world.must(`sync os ${world.node()} --booted a`)
    // it booted into b
    await world.must(`rollback ${world.node()} --booted b`)
    expect((await world.must(`rollback ${world.node()} --booted b --json`)).json).toMatchObject({ changed: false, order: ['a', 'b'] })
    expect((await status('b')).avoided).toEqual([2])
  })

  test('that is refused is told by the status', async () => {
    await world.must(`sync os ${world.node()}`)
    expect((await world.psyblob(`rollback ${world.node()} --booted a`)).code).toBe(10)
    expect((await status('a')).last).toMatchObject({ command: 'rollback', result: 'not-found' })
  })
})

test('sync --reboot reboots into what an earlier run has activated', async () => {
  await world.must(`sync os ${world.node()}`)
  await world.publish2()
  await world.must(`sync os ${world.node()} --booted a`)
  world.write('bin/reboot', '#!/bin/sh\ntouch rebooted\n')
  world.run('chmod', ['755', 'bin/reboot'])
  const env = { PATH: `${world.path('bin')}:${process.env['PATH']}` }
  await world.must(`sync os ${world.node()} --booted b --reboot`, { env })
  expect(world.run('ls', [])).not.toContain('rebooted')
  await world.must(`sync os ${world.node()} --booted a --reboot`, { env })
  expect(world.run('ls', [])).toContain('rebooted')
})
