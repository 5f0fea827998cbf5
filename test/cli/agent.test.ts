// psyblob agent: health after a boot, what is marked, when it reboots, how it ends.
import { spawn } from 'node:child_process'
import { chmodSync, copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parseDuration } from '../../images/duration.ts'
import { parseRebootWindow, untilReboot } from '../../images/reboot-window.ts'
import { endWatchdog } from '../../images/watchdog.ts'
import { World } from './world.ts'

describe('on a machine', () => {
  let world: World
  let env: Record<string, string>
  beforeEach(async () => {
    world = await new World().withRelease()
    executable('bin/reboot', `echo x >> ${world.path('rebooted')}`)
    env = { PATH: `${world.path('bin')}:${process.env['PATH']}` }
    await world.must(`sync os ${world.node()}`)
  })
  afterEach(() => world.close())

  function executable(name: string, script: string): void {
    world.write(name, `#!/bin/sh\n${script}\n`)
    chmodSync(world.path(name), 0o755)
  }
  const agent = (flags: string) => world.psyblob(`agent --once --health-dir health --patience 0s ${flags} ${world.node()}`, { env })
  const status = async (booted = 'a') => (await world.must(`status ${world.node()} --booted ${booted} --json`)).json
  const useTries = async (count: number) =>
    world.write('esp/tries', `# GRUB Environment Block\ntries_for=${(await status()).boot.seq}\ntries=${count}\n`.padEnd(1024, '#'))
  const reboots = () => (existsSync(world.path('rebooted')) ? readFileSync(world.path('rebooted'), 'utf8').length / 2 : 0)
  const attempts = () =>
    readFileSync(world.path('store/attempts'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))

  test('without checks the booted slot is marked good, and once more it only says so', async () => {
    const first = await agent('--booted a')
    expect(first).toMatchObject({ code: 0, stderr: expect.stringContaining('psyblob: healthy: slot a (os 1) is good\n') })
    expect((await status()).boot.good).toEqual(['a'])
    const { seq } = (await status()).boot
    expect((await agent('--booted a')).stderr).toContain('psyblob: healthy: slot a (os 1) is good\n')
    expect((await status()).boot.seq).toBe(seq)
    expect(reboots()).toBe(0)
    expect(attempts().map(({ what, result }) => `${what} ${result}`)).toEqual(['sync installed', 'boot ok', 'mark good ok', 'health ok'])
  })

  test('a check that fails on a slot on trial is recorded, and the machine reboots without a sync', async () => {
    executable('health/10-good', 'exit 0')
    executable('health/20-web', 'echo starting; echo nobody listens >&2; exit 3')
    world.write('health/30-notes', 'no program')
    await world.publish2()
    await useTries(1)
    const outcome = await agent('--booted a --reboot never')
    expect(outcome).toMatchObject({ code: 0, stdout: '', stderr: expect.stringContaining('20-web ended with status 3: nobody listens') })
    expect(reboots()).toBe(1)
    expect(await status()).toMatchObject({ boot: { good: [] }, slots: [{ serial: 1 }, { state: 'empty' }] })
    expect(attempts().slice(-2)).toMatchObject([
      { what: 'health', result: 'failed', product: 'os', slot: 'a', serial: 1, message: '20-web ended with status 3: nobody listens' },
      { what: 'reboot' },
    ])
  })

  test('a slot that no reboot leads away from is not rebooted for ever: its tries are used, and the other slot is empty', async () => {
    executable('health/web', 'exit 1')
    await useTries(2)
    await agent('--booted a')
    expect(reboots()).toBe(1)
    await useTries(3)
    await world.publish2()
    const outcome = await agent('--booted a --reboot never --json')
    expect(outcome).toMatchObject({ code: 1, stderr: expect.stringContaining('nothing to fall back to') })
    // and what mends it may come
    expect(outcome.json).toMatchObject({ healthy: false, synced: [{ serial: 2, slot: 'b' }] })
    expect((await status()).boot.good).toEqual([])
    expect(reboots()).toBe(1)
  })

  test('nor is one whose tries nobody counts: the boot loader would come back to it without end', async () => {
    executable('health/web', 'exit 1')
    await world.publish2()
    const outcome = await agent('--booted a --reboot never --json')
    expect(outcome).toMatchObject({ code: 1, stderr: expect.stringContaining('nothing to fall back to') })
    expect(outcome.json).toMatchObject({ healthy: false, synced: [{ serial: 2, slot: 'b' }] })
    expect(reboots()).toBe(0)
  })

  test('a new slot that the boot loader went past without a try is told, and not asked for without end', async () => {
    await world.must(`mark good a ${world.node()} --booted a`)
    await world.publish2()
    await world.must(`sync os ${world.node()} --booted a`)
    const outcome = await agent('--booted a')
    expect(outcome.stderr).toContain('slot b (os) stands first, but the boot loader passed over it')
    expect(reboots()).toBe(0)
  })

  test('nor is one that the boot loader fell back to, when it was never good either', async () => {
    executable('health/web', 'exit 1')
    await world.must(`apply os b --no-activate ${world.node()}`)
    await useTries(3)
    await agent('--booted b --reboot never')
    expect(reboots()).toBe(0)
    // the third try of the first one leads to the second
    await agent('--booted a --reboot never')
    expect(reboots()).toBe(1)
  })

  test('what people marked bad stays bad', async () => {
    await world.must(`apply os b --no-activate ${world.node()}`)
    await world.must(`mark good a ${world.node()} --booted a`)
    await world.must(`mark bad a ${world.node()} --booted a`)
    expect((await agent('--booted a --reboot never')).stderr).toContain('slot a (os 1) was marked bad')
    expect(await status()).toMatchObject({ avoided: [1], boot: { good: [], order: ['b', 'a'] } })
  })

  test('checks that cannot be run are a check that fails', async () => {
    world.write('health', 'no folder')
    await useTries(1)
    expect(await agent('--booted a')).toMatchObject({
      stderr: expect.stringContaining('health check health: something else is in the way'),
    })
    expect(reboots()).toBe(1)
  })

  test('a check that fails on a good slot is warned of, and updates go on', async () => {
    await world.must(`mark good a ${world.node()} --booted a`)
    executable('health/web', 'exit 1')
    await world.publish2()
    const outcome = await agent('--booted a --reboot never --json')
    expect(outcome).toMatchObject({ code: 1, stderr: expect.stringContaining('health checks failed: web ended with status 1') })
    expect(outcome.json).toMatchObject({ healthy: false, failing: { check: 'web', status: 1 }, synced: [{ serial: 2 }], rebooting: false })
    expect(reboots()).toBe(0)
  })

  test('a check may print whatever it likes: the last of it is kept', async () => {
    executable('health/talks', 'head -c 200000000 /dev/zero | tr "\\0" x; echo; echo the last word; exit 5')
    expect((await agent('--booted a')).stderr).toContain('health check talks ended with status 5: the last word\n')
    executable('health/talks', 'head -c 200000000 /dev/zero')
    expect((await agent('--booted a')).stderr).toContain('healthy: slot a')
  })

  test('a check that hangs is killed with all it started', async () => {
    executable('health/hangs', 'sleep 98765 &\nsleep 98765')
    const outcome = await agent('--booted a --health-time 1s')
    expect(outcome.stderr).toContain('took longer than 1 seconds')
    expect(world.run('sh', ['-c', 'ps ax | grep -c "[s]leep 98765" || true']).trim()).toBe('0')
  })

  test('a check that passes but leaves a process behind keeps nobody waiting', async () => {
    executable('health/leaves', 'setsid sleep 20 & sleep 20 & exit 0')
    const started = performance.now()
    expect(await agent('--booted a')).toMatchObject({ code: 0, stderr: expect.stringContaining('healthy: slot a') })
    expect(performance.now() - started).toBeLessThan(15_000)
  })

  test('a check that passes the second time is waited for', async () => {
    executable('health/late', 'test -e up || { touch up; echo not yet; exit 1; }')
    const outcome = await agent('--booted a --patience 1m')
    expect(outcome).toMatchObject({ code: 0, stderr: expect.stringMatching(/late ended with status 1: not yet\n.*healthy: slot a/s) })
  })

  test('an update is installed and booted into, where reboots are allowed', async () => {
    await world.publish2()
    expect((await agent('--booted a --reboot never')).stdout).toContain('os 2 (two) is in slot b, which boots next')
    expect(reboots()).toBe(0)
    const outcome = await agent('--booted a')
    expect(outcome.stderr).toContain('rebooting: into what is new of os')
    expect(reboots()).toBe(1)
    expect((await status('b')).boot).toMatchObject({ order: ['b', 'a'], good: ['a'] })
  })

  test('a slot that stands first but is not complete is not rebooted into', async () => {
    await world.publish2()
    await agent('--booted a --reboot never')
    world.remove('b/manifest')
    await world.psyblob(`agent --once --health-dir health ${world.node('nowhere')} --booted a`, { env })
    expect(reboots()).toBe(0)
  })

  test('where tries cannot be counted that is mended before the reboot', async () => {
    await world.publish2()
    await agent('--booted a --reboot never')
    world.write('esp/tries', 'x'.repeat(1024))
    expect((await status()).boot.tries).toBeUndefined()
    await agent('--booted a')
    expect(reboots()).toBe(1)
    expect((await status()).boot).toMatchObject({ order: ['b', 'a'], tries: 0 })
  })

  test('a remote that does not answer is told, and the slot is marked all the same', async () => {
    const outcome = await world.psyblob(`agent --once --health-dir health ${world.node('nowhere')} --booted a`, { env })
    expect(outcome.code).not.toBe(0)
    expect(outcome.stderr).toMatch(/healthy: slot a.*\npsyblob: [a-z-]+: os: /s)
    expect((await status()).boot.good).toEqual(['a'])
  })

  test('as a service it syncs again and again, and ends well when it is told to', async () => {
    const ended = world.psyblob(`agent --health-dir health --every 1s --jitter 0s --reboot never ${world.node()} --booted a`, {
      env,
      started: async (child) => {
        while ((await status()).boot.good.length === 0) await sleep(100)
        await world.publish2()
        while ((await status()).slots[1].serial !== 2) await sleep(100)
        child.kill('SIGTERM')
      },
    })
    expect(await ended).toMatchObject({ code: 0, stderr: expect.stringContaining('healthy') })
  })

  test.each(['--every soon', '--reboot 25:00-01:00', '--reboot 02:00-02:00', '--patience 11d'])('refuses %s', async (flags) => {
    expect(await agent(flags)).toMatchObject({ code: 2, stderr: expect.stringContaining('hint: ') })
  })
})

test('durations', () => {
  expect(['0s', '90s', '10m', '1h', '10d'].map((text) => parseDuration('--every', text) / 1000)).toEqual([0, 90, 600, 3600, 864_000])
})

test('a reboot window may span midnight', () => {
  const at = (window: string, hour: number, minute: number, second = 0) =>
    untilReboot(parseRebootWindow('--reboot', window), new Date(2026, 4, 5, hour, minute, second))
  expect(at('always', 3, 0)).toBe(0)
  expect(at('never', 3, 0)).toBeUndefined()
  expect([at('02:00-04:00', 2, 0), at('02:00-04:00', 3, 59, 59), at('02:00-04:00', 4, 0), at('02:00-04:00', 1, 59, 30)]).toEqual([
    0,
    0,
    22 * 3_600_000,
    30_000,
  ])
  expect([at('23:30-01:00', 23, 30), at('23:30-01:00', 0, 59), at('23:30-01:00', 1, 0), at('23:30-01:00', 22, 30)]).toEqual([
    0,
    0,
    22.5 * 3_600_000,
    3_600_000,
  ])
})

test('only a watchdog is ended, whatever the file with its number says', async () => {
  const world = new World()
  try {
    copyFileSync('/bin/sleep', world.path('watchdog'))
    const ended = (program: string) => {
      const child = spawn(program, ['60'], { stdio: 'ignore' })
      writeFileSync(world.path('pid'), `${child.pid}\n`)
      return { child, gone: new Promise((resolve) => child.on('exit', (_, signal) => resolve(signal))) }
    }
    const watchdog = ended(world.path('watchdog'))
    await sleep(100)
    expect(await endWatchdog(world.path('pid'))).toBe(true)
    expect(await watchdog.gone).toBe('SIGTERM')
    const other = ended('/bin/sleep')
    await sleep(100)
    expect(await endWatchdog(world.path('pid'))).toBe(false)
    other.child.kill()
    for (const text of ['', '1', '-1', 'x']) {
      writeFileSync(world.path('pid'), text)
      expect(await endWatchdog(world.path('pid'))).toBe(false)
    }
    expect(await endWatchdog(world.path('absent'))).toBe(false)
  } finally {
    world.close()
  }
})
