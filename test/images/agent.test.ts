// The agent's timer, with a clock, a die and a sleep that the test holds: when it asks, when it reboots.
import { readFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { PsyblobError } from '../../core/mod.ts'
import { runAgent } from '../../images/agent.ts'
import { openNode } from '../../images/node.ts'
import { parseRebootWindow } from '../../images/reboot-window.ts'
import { openRun } from '../../images/run.ts'
import { World } from '../cli/world.ts'

const hour = 3_600_000

let world: World
beforeEach(async () => {
  world = await new World().withRelease()
  await world.must(`sync os ${world.node()}`)
  await world.must(`mark good a ${world.node()} --booted a`)
})
afterEach(() => world.close())

/** Runs the agent from today's 22:00 on; `slept` is called after each sleep with the hours it has been running. */
async function run(window: string, slept: (hours: number) => Promise<void> | void = () => undefined) {
  const start = new Date().setHours(22, 0, 0, 0)
  let now = start
  const rebooted: number[] = []
  const synced: { readonly hours: number; readonly serial: number; readonly changed: boolean }[] = []
  const hours = () => (now - start) / hour
  const real = openRun(() => undefined)
  const node = await openNode({
    storeDir: world.path('store'),
    components: [
      {
        name: 'os',
        key: readFileSync(world.path('os.pub'), 'utf8').split('\n')[1] ?? '',
        uris: [world.path('repo')],
        channel: 'stable',
        target: { kind: 'slots', a: { dir: world.path('a') }, b: { dir: world.path('b') }, esp: { dir: world.path('esp') } },
      },
    ],
    disk: undefined,
    booted: 'a',
    stallSeconds: 30,
    run: async (argv, options) => {
      if (argv[0] !== 'reboot') return real(argv, options)
      rebooted.push(hours())
      return { code: 0, stdout: Buffer.alloc(0), stderr: '' }
    },
    report: () => undefined,
    clock: () => now,
  })
  const options = { healthDir: world.path('none'), healthTime: 1000, patience: 0, every: 2 * hour, jitter: hour, once: false }
  const result = await runAgent(
    node,
    { ...options, window: parseRebootWindow('--reboot', window) },
    {
      random: () => 0.5,
      sleep: async (milliseconds) => {
        now += milliseconds
        await slept(hours())
        if (hours() > 12) throw new PsyblobError('interrupted', 'long enough')
      },
      say: () => undefined,
      tell: () => undefined,
      synced: ({ serial, changed }) => synced.push({ hours: hours(), serial, changed }),
    },
  ).catch((error: unknown) => error)
  return { result, rebooted, synced }
}

describe('the agent', () => {
  test('asks after the jitter, and then every so often, jitter included', async () => {
    const { synced, rebooted, result } = await run('always')
    expect(synced.map(({ hours }) => hours)).toEqual([0.5, 3, 5.5, 8, 10.5])
    expect(rebooted).toEqual([])
    expect(result).toMatchObject({ code: 'interrupted' })
  })

  test('waits with a reboot for its hours, asking on meanwhile', async () => {
    await world.publish2()
    const { synced, rebooted, result } = await run('02:00-04:00')
    expect(synced).toEqual([
      { hours: 0.5, serial: 2, changed: true },
      { hours: 3, serial: 2, changed: false },
    ])
    expect(rebooted).toHaveLength(1)
    expect(rebooted[0]).toBeCloseTo(4, 1)
    expect(result).toMatchObject({ rebooting: true })
  })

  test('never reboots where it must not', async () => {
    await world.publish2()
    const { rebooted, synced } = await run('never')
    expect(rebooted).toEqual([])
    expect(synced.filter(({ changed }) => changed)).toHaveLength(1)
  })

  test('does not ask the boot loader again for what it passed over, but for what somebody asks meanwhile', async () => {
    await world.publish2()
    await world.must(`sync os ${world.node()} --booted a`)
    await world.must(`mark good b ${world.node()} --booted b`)
    // a good slot stands first, and yet the other one was booted: its kernel does not load
    const first = await run('always')
    expect(first.rebooted).toEqual([])
    let isAsked = false
    world.remove('store/attempts')
    const second = await run('always', async (hours) => {
      if (hours < 2 || isAsked) return
      isAsked = true
      await world.must(`activate a ${world.node()} --booted a`)
      await world.must(`activate b ${world.node()} --booted a`)
    })
    expect(second.rebooted).toHaveLength(1)
  })

  test('does not reboot into what somebody has rolled back while it waited', async () => {
    await world.publish2()
    let isBack = false
    const { rebooted } = await run('02:00-04:00', async (hours) => {
      if (hours < 2 || isBack) return
      isBack = true
      await world.must(`rollback ${world.node()} --booted a`)
    })
    expect(rebooted).toEqual([])
  })
})
