// Hold and unhold, and what slots teach a node that lost its state.
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { World } from './world.ts'

let world: World
beforeEach(async () => {
  world = await new World().withRelease()
})
afterEach(() => world.close())

const status = async () => (await world.must(`status ${world.node()} --booted a --json`)).json

describe('a product that is held', () => {
  beforeEach(async () => {
    await world.must(`sync os ${world.node()}`)
    await world.must(['hold', 'os', '--why', 'fair until Sunday', ...world.node().split(' ')])
    await world.publish2()
  })

  test('is not updated, which is no failure, and says why', async () => {
    const outcome = await world.must(`sync os ${world.node()} --booted a --json`)
    expect(outcome.json).toMatchObject({ serial: 2, changed: false, held: expect.stringMatching(/held since .* \(fair until Sunday\)/) })
    expect(await status()).toMatchObject({ hold: { why: 'fair until Sunday' }, slots: [{ serial: 1 }, { state: 'empty' }] })
    const text = (await world.must(`status ${world.node()} --booted a`)).stdout
    expect(text).toMatch(/held since 20.*Z: fair until Sunday; psyblob unhold os/)
  })

  test('is updated by force, and stays held', async () => {
    expect((await world.must(`sync os ${world.node()} --booted a --force --json`)).json).toMatchObject({ serial: 2, held: null })
    expect((await status()).hold).not.toBeNull()
  })

  test('goes on when it is let go', async () => {
    expect((await world.must(`unhold os ${world.node()} --json`)).json).toEqual({ product: 'os', hold: null, changed: true })
    expect((await world.must(`unhold os ${world.node()}`)).stdout).toBe('os was not held\n')
    expect((await world.must(`sync os ${world.node()} --booted a --json`)).json).toMatchObject({ serial: 2, held: null, changed: true })
  })

  test('keeps its date when the reason changes, and is held by an operator, not by a key', async () => {
    const { at } = (await status()).hold
    const again = (await world.must(`hold os ${world.node()} --json`)).json
    expect(again).toEqual({ product: 'os', hold: { at, why: '' }, changed: true })
    await world.must('key new other --no-password')
    await world.must('init repo2 --key other.key --repo org.example.other')
    await world.must('publish os r2 --remote repo2 --key other.key')
    const outcome = await world.must('sync os --key other.pub --remote repo2 --slot-a a --slot-b b --esp esp --booted a --json')
    expect(outcome.json.held).toContain('held since')
  })

  test('is not rebooted into by the agent', async () => {
    await world.must(`sync os ${world.node()} --booted a --force`)
    world.write('bin/reboot', '#!/bin/sh\ntouch rebooted\n')
    world.run('chmod', ['755', 'bin/reboot'])
    const env = { PATH: `${world.path('bin')}:${process.env['PATH']}` }
    await world.must(`agent --once --health-dir none ${world.node()} --booted a`, { env })
    expect(world.run('ls', [])).not.toContain('rebooted')
  })
})

test('a product of which nothing is known cannot be held: the refusal says what to do first', async () => {
  expect(await world.psyblob(`hold os ${world.node()}`)).toMatchObject({ code: 10, stderr: expect.stringContaining('psyblob refresh os') })
  await world.must(`refresh os ${world.node()}`)
  await world.must(`hold os ${world.node()}`)
  expect((await world.must(`sync os ${world.node()} --json`)).json.held).toContain('held since')
})

describe('with the store lost, as at each boot when it lies in memory', () => {
  beforeEach(async () => {
    world.copy('repo', 'old')
    await world.publish2()
    await world.must(`sync os ${world.node()}`)
  })
  const lose = () => world.remove('store')
  const commands = [
    'sync os',
    'sync os --dry-run',
    'refresh os',
    'apply os b --force',
    'sync os --force',
    'apply os b --path old/manifests/os/1',
  ]

  test('nothing older than what is in a good slot is taken, by no command', async () => {
    await world.must(`mark good a ${world.node()} --booted a`)
    const machine = () => world.state().replace(/store\n.*/s, '')
    const before = machine()
    for (const command of commands) {
      lose()
      const refused = await world.psyblob(`${command} ${world.node('old')} --booted a`)
      expect(refused, command).toMatchObject({ code: 12, stderr: expect.stringContaining('psyblob: rollback: ') })
      expect(machine()).toBe(before)
    }
    // and what is not older is taken as ever
    lose()
    expect((await world.must(`sync os ${world.node()} --booted a --json`)).json).toMatchObject({ serial: 2, changed: false })
    expect(await status()).toMatchObject({ floor: 2 })
  })

  test('a slot that nobody called good teaches nothing', async () => {
    lose()
    expect((await world.must(`sync os ${world.node('old')} --booted a --json`)).json.serial).toBe(1)
  })

  test('another release under the serial of the good slot is refused', async () => {
    await world.must(`mark good a ${world.node()} --booted a`)
    lose()
    world.write('r3/kernel', 'another')
    await world.must('publish os r3 --remote old --key os.key')
    expect(await world.psyblob(`sync os ${world.node('old')} --booted a`)).toMatchObject({
      code: 12,
      stderr: expect.stringContaining('untrusted: os: serial 2 was'),
    })
  })

  test('a slot of another key teaches nothing', async () => {
    await world.must(`mark good a ${world.node()} --booted a`)
    lose()
    await world.must('key new other --no-password')
    await world.must('init repo2 --key other.key --repo org.example.other')
    await world.must('publish os r1 --remote repo2 --key other.key')
    const outcome = await world.must('sync os --key other.pub --remote repo2 --slot-a a --slot-b b --esp esp --booted a --json')
    expect(outcome.json.serial).toBe(1)
  })
})
