// psyblob why: one sentence for each way a machine comes to run what it runs.
import { chmodSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { World } from './world.ts'

let world: World
beforeEach(async () => {
  world = await new World().withRelease()
})
afterEach(() => world.close())

const ask = async (booted = 'a') => (await world.must(`why os ${world.node()} --booted ${booted} --json`)).json
const kinds = (answer: { reasons: readonly { kind: string }[] }) => answer.reasons.map(({ kind }) => kind)
const environment = (lines: string) => `# GRUB Environment Block\n${lines}`.padEnd(1024, '#')

/** Slot a is good and runs; release 2 waits in slot b. */
async function updated(): Promise<void> {
  await world.must(`sync os ${world.node()}`)
  await world.must(`mark good a ${world.node()} --booted a`)
  await world.publish2()
  await world.must(`sync os ${world.node()} --booted a`)
}

async function useUpTries(): Promise<void> {
  const { seq } = (await world.must(`status ${world.node()} --booted a --json`)).json.boot
  world.write('esp/tries', environment(`tries_for=${seq}\ntries=3\n`))
}

describe('why', () => {
  test('answers where there is nothing at all', async () => {
    expect(await ask()).toMatchObject({ runs: { slot: 'a', serial: null }, reasons: [{ kind: 'nothing-installed' }], attempts: [] })
    const outcome = await world.must('why --key os.pub --remote repo --slot-a a --slot-b b --esp esp')
    expect(outcome.stdout).toBe('os: nothing runs here\n  no slot holds a release of it; psyblob sync os installs the newest\n')
  })

  test('knows a first installation, before it is marked and after', async () => {
    await world.must(`sync os ${world.node()}`)
    expect(kinds(await ask())).toEqual(['first', 'unmarked'])
    await world.must(`mark good ${world.node()} --booted a`)
    const answer = await ask()
    expect(answer).toMatchObject({ runs: { slot: 'a', serial: 1, version: 'one', booted: true }, hold: null })
    expect(answer.reasons).toEqual([{ kind: 'first', text: expect.stringMatching(/^it is the first .* and marked good at 20\d\d/) }])
  })

  test('knows that an update waits, then that it is on trial, then that it is the newest', async () => {
    await updated()
    expect(kinds(await ask('a'))).toEqual(['older', 'waits-for-reboot'])
    expect((await ask('a')).reasons[1].text).toBe('os 2 (two) is in slot b and waits for a reboot')
    expect(kinds(await ask('b'))).toEqual(['newest', 'unmarked'])
    await world.must(`mark good ${world.node()} --booted b`)
    expect((await ask('b')).reasons).toEqual([{ kind: 'newest', text: expect.stringContaining('marked good at') }])
  })

  test('tells a fall back without a report, also when the sync has remembered it', async () => {
    await updated()
    await useUpTries()
    const text =
      'os 2 in slot b was tried three times and never marked good; it panicked, hung or lost power: no report came back. serial 2 is'
    expect((await ask()).reasons[1]).toEqual({ kind: 'fell-back', text: expect.stringContaining(text) })
    await world.must(`sync os ${world.node()} --booted a`)
    const answer = await ask()
    expect(kinds(answer)).toEqual(['older', 'fell-back'])
    expect(answer.reasons[1].text).toContain('psyblob sync os --force')
    expect(answer.attempts.slice(-2)).toMatchObject([
      { what: 'fallback', serial: 2, slot: 'b' },
      { what: 'sync', result: 'held', serial: 2 },
    ])
  })

  test('tells a fall back with the report of the check that failed, and goes on telling it after the next release', async () => {
    await updated()
    world.write('health/web', '#!/bin/sh\necho nobody listens\nexit 7\n')
    world.write('bin/reboot', '#!/bin/sh\n')
    for (const name of ['health/web', 'bin/reboot']) chmodSync(world.path(name), 0o755)
    const env = { PATH: `${world.path('bin')}:${process.env['PATH']}` }
    for (let time = 1; time <= 3; time++)
      await world.must(`agent --once --health-dir health --patience 0s ${world.node()} --booted b`, { env })
    await useUpTries()
    expect((await ask()).reasons[1].text).toContain(
      'it came up once, but its health checks did not pass: web ended with status 7: nobody listens',
    )
    world.write('r3/kernel', 'third')
    await world.must('publish os r3 --remote repo --key os.key')
    await world.must(`sync os ${world.node()} --booted a`)
    const answer = await ask()
    expect(kinds(answer)).toEqual(['older', 'waits-for-reboot', 'avoided'])
    expect(answer.reasons[2].text).toMatch(
      /^os 2 did not boot in three tries, .*; it came up once, but its health checks did not pass: web ended with status 7/,
    )
  })

  test('tells a release that came up and then hung from one that did not come so far, and since when the other runs', async () => {
    await updated()
    await useUpTries()
    const boot = (at: string, slot: string, serial: number) =>
      `${JSON.stringify({ at, what: 'boot', result: 'ok', product: 'os', slot, serial, boot: at })}\n`
    const diary = world.read('store/attempts').toString()
    const boots = [boot('2026-01-01T00:00:00Z', 'a', 1), boot('2026-01-02T00:00:00Z', 'b', 2), boot('2026-01-02T00:10:00Z', 'b', 2)]
    const back = [boot('2026-01-02T00:20:00Z', 'a', 1), boot('2026-01-03T00:00:00Z', 'a', 1)]
    world.write('store/attempts', [diary, ...boots, ...back].join(''))
    const answer = await ask()
    expect(answer.reasons[1].text).toContain('it came up 2 times as far as psyblob agent, then hung, panicked or lost power')
    expect(answer.runs).toMatchObject({ slot: 'a', serial: 1, since: '2026-01-02T00:20:00Z' })
    expect((await world.must(`why os ${world.node()} --booted a`)).stdout).toMatch(
      /^os 1 \(one\) runs from slot a since 2026-01-02T00:20:00Z\n/,
    )
  })

  test.each([
    ['rollback', 'os 2 was rolled back by hand at 20'],
    ['mark bad', 'os 2 was marked bad by hand at 20'],
  ])('tells what was done by hand: %s', async (command, text) => {
    await updated()
    await world.must(`${command} ${world.node()} --booted b`)
    const answer = await ask('a')
    expect(answer.reasons.at(-1)).toEqual({ kind: 'avoided', text: expect.stringContaining(text) })
  })

  test('tells a hold, and prints sentences and times for people', async () => {
    await updated()
    await world.must(['hold', 'os', '--why', 'fair', ...world.node().split(' ')])
    const { stdout } = await world.must(`why os ${world.node()} --booted a`)
    expect(stdout).toMatch(/^os 1 \(one\) runs from slot a\n {2}it is marked good/)
    expect(stdout).toMatch(/ {2}it is held since 20.*Z \(fair\): nothing is installed until psyblob unhold os\n {2}what was tried last:\n/)
    expect(stdout).toMatch(/ {4}20\d\d-.*Z +hold +ok .*fair/)
  })

  test('with the diary damaged or lost answers what slots and boot state say, and the diary is begun anew', async () => {
    await updated()
    world.write('store/attempts', '{"at":1}\nrubbish\0')
    expect(kinds(await ask())).toEqual(['older', 'waits-for-reboot'])
    expect((await ask()).attempts).toEqual([])
    await world.must(`rollback ${world.node()} --booted b`)
    expect((await ask()).attempts).toMatchObject([{ what: 'rollback', serial: 2 }])
    world.remove('store')
    expect(kinds(await ask('a'))).toEqual(['older'])
    expect((await ask('a')).reasons[0].text).toContain('that is 2')
  })
})

test('a line of the diary that is not understood, such as a newer psyblob wrote, takes no other with it, and that is told', async () => {
  await updated()
  const lines = world.read('store/attempts').toString()
  world.write('store/attempts', `${lines}{"at":"2026-01-01T00:00:00Z","what":"teleport","result":"ok"}\n`)
  expect((await ask()).attempts).toHaveLength(3)
  const outcome = await world.must(`rollback ${world.node()} --booted b`)
  expect(outcome.stderr).toContain('parts of the diary')
  expect((await ask()).attempts).toMatchObject([{ what: 'sync' }, { what: 'mark good' }, { what: 'sync' }, { what: 'rollback' }])
  expect((await world.must(`mark good a ${world.node()} --booted a`)).stderr).not.toContain('diary')
})

test('what comes to the same again and again is counted, not repeated', async () => {
  await world.must(`sync os ${world.node()}`)
  for (let time = 1; time <= 3; time++) await world.psyblob(`sync os ${world.node('nowhere')} --booted a`)
  expect((await ask()).attempts).toMatchObject([
    { what: 'sync', result: 'installed' },
    { what: 'sync', result: 'failed', count: 3 },
  ])
  await world.must(`sync os ${world.node()} --booted a`)
  expect((await ask()).attempts).toHaveLength(2)
})
