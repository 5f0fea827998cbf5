// The short way through the whole of it: a disk is made, boots, updates itself over HTTP, is given a release that panics, and comes back.
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { panicking } from './broken.ts'
import { json, must, shell } from './console.ts'
import { Guest } from './qemu.ts'
import { Workshop } from './workshop.ts'

const minimal = join(import.meta.dirname, 'minimal')

describe('a machine that psyblob made', () => {
  const workshop = new Workshop(18080)
  let machine: Guest

  beforeAll(async () => {
    workshop.os(workshop.recipe(minimal, 'one'), 'os-1')
    workshop.os(workshop.recipe(minimal, 'two', { files: ['{ path: /etc/release-two, text: "two\\n" }'] }), 'os-2')
    workshop.efisys('efisys-1')
    workshop.publish('os', 'os-1', 'one')
    workshop.publish('efisys', 'efisys-1', 'one')
    await workshop.serve()
  }, 600_000)

  afterAll(async () => {
    await machine?.kill()
    workshop.close()
  })

  const status = async () => json(await must(machine, 'psyblob status os --json'))

  test('boots to slot a, is found healthy, and says so', async () => {
    machine = Guest.start(workshop.disk('disk.img'), { dir: workshop.dir, network: 'user', memory: 768, reboots: true })
    await machine.waitFor(/try 1 of 3/, 60)
    await machine.waitFor(/healthy/, 120)
    await shell(machine, 60)
    expect(await status()).toMatchObject({
      booted: 'a',
      fellBackFrom: null,
      slots: [
        { slot: 'a', serial: 1, booted: true, good: true },
        { slot: 'b', state: 'empty' },
      ],
    })
    // nothing waits to reset a machine that is well
    expect(await must(machine, 'ps | grep -c "[w]atchdog -F" || true')).toBe('0')
  }, 300_000)

  test('syncs to slot b over HTTP, boots it, and finds it good', async () => {
    workshop.publish('os', 'os-2', 'two')
    machine.send('until psyblob sync os --reboot --progress none; do sleep 1; done\n')
    await machine.waitFor(/try 1 of 3/, 180)
    await machine.waitFor(/healthy/, 120)
    await shell(machine, 60)
    expect(await must(machine, 'cat /etc/release-two')).toContain('two')
    expect(await status()).toMatchObject({ booted: 'b', slots: [{ serial: 1 }, { serial: 2, booted: true, good: true }] })
  }, 400_000)

  test('is given a kernel that panics, tries it three times, and is back in b by itself', async () => {
    panicking(workshop.path('os-2'), workshop.path('os-3'))
    workshop.publish('os', 'os-3', 'three')
    machine.send('until psyblob sync os --reboot --progress none; do sleep 1; done\n')
    for (let tries = 1; tries <= 3; tries++) {
      await machine.waitFor(new RegExp(`try ${tries} of 3`), 180)
      await machine.waitFor(/Kernel panic/, 60)
    }
    await machine.waitFor(/psyblob: psyopsOS-B/, 60)
    await shell(machine, 120)
    expect(await status()).toMatchObject({ booted: 'b', fellBackFrom: 3 })
    expect(await must(machine, 'until psyblob sync os >/run/said; do sleep 1; done; cat /run/said')).toContain('not installed')
    expect(await must(machine, 'psyblob why os')).toMatch(/3 .*three/s)
  }, 600_000)
})
