// Killed at any moment, sync finishes when it is run again, fetches only what was in flight, and never touches the booted slot.
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { noise, type Outcome, snapshot, World } from './world.ts'

let world: World
beforeEach(async () => {
  world = await new World().withRelease()
  await world.must(`sync os ${world.node()}`)
})
afterEach(() => world.close())

async function killedAfter(milliseconds: number, line: string): Promise<Outcome> {
  return world.psyblob(line, { started: (child) => setTimeout(() => child.kill('SIGKILL'), milliseconds) })
}

describe('sync that was killed', () => {
  test('finishes when it is run again, whenever that was', async () => {
    await world.publish2()
    const booted = snapshot(world.path('a'))
    const line = `sync os ${world.node()} --booted a`
    let killed = 0
    for (const milliseconds of [90, 110, 130, 150, 170, 190, 210, 230, 250, 270]) {
      const outcome = await killedAfter(milliseconds, line)
      if (outcome.code === 137) killed++
      expect(snapshot(world.path('a'))).toBe(booted)
      // a slot that says it is a release is one
      const audit = await world.psyblob(`verify ${world.node()} --json`)
      for (const { place, ok, serial, error } of audit.json)
        if (error === null) expect({ place, ok, serial }).toEqual({ place, ok: true, serial: place === 'slot a' ? 1 : 2 })
    }
    expect(killed).toBeGreaterThan(2)
    await world.must(line)
    await world.must(`verify ${world.node()}`)
    expect((await world.must(`status ${world.node()} --json`)).json).toMatchObject({
      boot: { order: ['b', 'a'] },
      slots: [{ serial: 1 }, { serial: 2 }],
    })
  })

  test('fetches only what was in flight', async () => {
    world.write('r3/kernel', noise('kernel 3', 100_000))
    world.write('r3/squashfs', noise('all new', 150_000_000))
    await world.must('publish os r3 --remote repo --key os.key')
    const line = `sync os ${world.node()} --booted a --json`
    const whole = (await world.must(`${line} --dry-run`)).json
    // killed when about half of it has arrived
    const outcome = await world.psyblob(`sync os ${world.node()} --booted a --progress json`, {
      started: (child) => {
        child.stdout?.on('data', (data: Buffer) => {
          for (const text of data.toString('utf8').split('\n')) {
            const fetched = Number(/"fetched":(\d+)/.exec(text)?.[1] ?? 0)
            if (fetched > 15_000_000) child.kill('SIGKILL')
          }
        })
      },
    })
    expect(outcome.code).toBe(137)
    const rest = (await world.must(line)).json
    expect(rest.bytes.reused).toBeGreaterThan(12_000_000)
    expect(rest.bytes.fetched).toBeLessThan(whole.bytes.fetched - 12_000_000)
    await world.must(`verify ${world.node()}`)
  })

  test('a second sync at the same time is told so, and does nothing', async () => {
    world.write('r3/squashfs', noise('all new', 60_000_000))
    await world.must('publish os r3 --remote repo --key os.key')
    let second: Promise<Outcome> | undefined
    const first = await world.psyblob(`sync os ${world.node()} --booted a --progress json`, {
      started: (child) => {
        child.stdout?.once('data', () => {
          child.kill('SIGSTOP')
          second = world.psyblob(`sync os ${world.node()} --booted a`)
          void second.finally(() => child.kill('SIGCONT'))
        })
      },
    })
    expect(first.code).toBe(0)
    expect(await second).toMatchObject({ code: 11, stderr: expect.stringMatching(/locked: .*\n {2}hint: wait/) })
  })

  test('an interrupted one says so, leaves with 130, and goes on', async () => {
    world.write('r3/squashfs', noise('all new', 60_000_000))
    await world.must('publish os r3 --remote repo --key os.key')
    const outcome = await world.psyblob(`sync os ${world.node()} --booted a --progress json`, {
      started: (child) => {
        child.stdout?.on('data', (data: Buffer) => {
          // once: a second one would mean it
          if (!child.killed && data.includes('"fetched"')) child.kill('SIGINT')
        })
      },
    })
    expect(outcome).toMatchObject({ code: 130, stderr: expect.stringContaining('interrupted') })
    await world.must(`sync os ${world.node()} --booted a`)
    await world.must(`verify ${world.node()}`)
  })
})
