// What bad releases do to a machine, and what it does about them; other disks beside it; a disk of psyopsOS's.
import { copyFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { formatEnvironment } from '../../images/environment-block.ts'
import { json, must, shell } from './console.ts'
import { Guest, type GuestOptions } from './qemu.ts'
import { Workshop } from './workshop.ts'

const minimal = join(import.meta.dirname, 'minimal')

describe('a machine', () => {
  const workshop = new Workshop(18084)
  let machine: Guest | undefined

  beforeAll(async () => {
    workshop.os(workshop.recipe(minimal, 'one'), 'os-1')
    workshop.efisys('efisys-1')
    await workshop.serve()
  }, 600_000)

  // a repository that nobody has published bad releases to
  beforeEach(() => {
    rmSync(workshop.path('repo'), { recursive: true, force: true })
    workshop.psyblob('init repo --key os.key --repo org.example.boot')
    workshop.publish('os', 'os-1', 'one')
    workshop.publish('efisys', 'efisys-1', 'one')
  })

  afterEach(async () => {
    await machine?.kill()
    machine = undefined
  })

  afterAll(() => workshop.close())

  const start = (disk: string | undefined, options: Partial<GuestOptions> = {}): Guest => {
    machine = Guest.start(disk, { dir: workshop.dir, network: 'user', memory: 768, reboots: true, ...options })
    return machine
  }

  const status = async (guest: Guest) => json(await must(guest, 'psyblob status os --json'))

  /** Publishes, syncs, and waits until the machine is back by itself after three tries of what it was given. */
  async function bad(disk: string, folder: string, version: string): Promise<Guest> {
    workshop.publish('os', folder, version)
    const guest = start(disk)
    await guest.waitFor(/psyblob: healthy/, 120)
    // the agent syncs, and reboots into it
    for (let tries = 1; tries <= 3; tries++) await guest.waitFor(new RegExp(`try ${tries} of 3`), 300)
    await guest.waitFor(/psyblob: psyopsOS-[AB]\s[\s\S]*?psyblob: healthy/, 400)
    await shell(guest, 60)
    return guest
  }

  test('with an init that hangs is reset by the watchdog, three times, and goes back', async () => {
    const disk = workshop.disk('hang.img')
    const hangs = workshop.recipe(minimal, 'hangs', {
      replace: {
        '{ path: /sbin/init, link: /bin/busybox }':
          '{ path: /sbin/init, text: "#!/bin/busybox sh\\nwhile :; do busybox sleep 60; done\\n", mode: "0755" }',
        'watchdog: 90': 'watchdog: 20',
      },
    })
    workshop.os(hangs, 'os-hangs')
    const guest = await bad(disk, 'os-hangs', 'hangs')
    const state = await status(guest)
    expect(state).toMatchObject({
      booted: 'a',
      slots: [
        { serial: 1, booted: true, good: true },
        { version: 'hangs', good: false },
      ],
    })
    expect(await must(guest, 'psyblob why os')).toMatch(/fell back: os 2 in slot b was tried three times/)
  }, 1_200_000)

  test('whose health check fails says which one, three times, and goes back', async () => {
    const disk = workshop.disk('unhealthy.img')
    const sick = workshop.recipe(minimal, 'sick', {
      files: ['{ path: /etc/psyblob/health.d/20-web, text: "#!/bin/sh\\necho no answer from the web server\\nexit 7\\n", mode: "0755" }'],
    })
    workshop.os(sick, 'os-sick')
    const guest = await bad(disk, 'os-sick', 'sick')
    expect(await status(guest)).toMatchObject({
      booted: 'a',
      slots: [
        { serial: 1, good: true },
        { version: 'sick', good: false },
      ],
    })
    const why = await must(guest, 'psyblob why os')
    expect(why).toContain('20-web')
    expect(why).toContain('no answer from the web server')
  }, 1_200_000)

  test('tries a new boot loader once, keeps it when it came up, and leaves one that hangs behind', async () => {
    const disk = workshop.disk('loader.img')
    workshop.efisys('efisys-2', 2)
    workshop.publish('efisys', 'efisys-2', 'two')
    const guest = start(disk)
    await guest.waitFor(/psyblob: healthy/, 120)
    await guest.waitFor(/trying the new boot loader/, 240)
    await guest.waitFor(/psyblob: healthy/, 120)
    await shell(guest, 60)
    expect(await must(guest, 'psyblob check latest efisys')).toContain('efisys')
    const before = await must(guest, 'cat /run/psyblob/boot')
    // a program for UEFI that never comes back
    workshop.efisys('efisys-3', 3600)
    workshop.publish('efisys', 'efisys-3', 'hangs')
    guest.send('psyblob sync efisys --reboot\n')
    await guest.waitFor(/trying the new boot loader/, 240)
    await new Promise((resolve) => setTimeout(resolve, 8000))
    await guest.kill()
    const again = start(disk)
    await again.waitFor(/psyblob: healthy/, 120)
    await shell(again, 60)
    expect(await must(again, 'cat /run/psyblob/boot')).toBe(before)
    // the agent may be at it
    expect(await must(again, 'until psyblob sync efisys >/run/said; do sleep 1; done; cat /run/said')).toContain('not installed')
  }, 1_200_000)

  test('boots from its own disk when others look the same', async () => {
    const [own, other] = [workshop.disk('own.img', '--unique'), workshop.disk('other.img', '--unique')]
    for (const path of [other, workshop.path('clone.img')]) {
      if (path !== other) copyFileSync(own, path)
      const guest = start(own, { before: [path] })
      await guest.waitFor(/psyblob: healthy/, 120)
      await shell(guest, 60)
      const boot = await must(guest, 'cat /run/psyblob/boot')
      const disk = /disk=(\S+)/.exec(boot)?.[1] ?? ''
      expect(await must(guest, `grep -c ' /run/psyblob/slot ' /proc/mounts && grep -c "^${disk}" /proc/mounts`)).toBeTruthy()
      // a mark that only the disk that was booted has: its slot is good now
      await must(guest, 'psyblob status os')
      await guest.kill()
      const good = (image: string) => JSON.parse(workshop.psyblob(`status os --json --key os.pub --disk ${image}`)).slots[0].good
      expect([good(own), path === other ? good(other) : false]).toEqual([true, false])
    }
  }, 900_000)

  test('boots the good slot whatever became of its state files', async () => {
    const disk = workshop.disk('state.img', '--slots both')
    const esp = `${disk}@@1048576`
    const select = formatEnvironment({ seq: '1000000009', order: 'ba', good: 'a', commit: '1000000009' })
    const tries = formatEnvironment({ tries_for: '1000000009', tries: '3' })
    const put = (name: string, bytes: Uint8Array) => workshop.mcopy(esp, name, bytes)
    const files = { 'state1/select': select, 'state2/select': select, tries } as const
    const garbage = new Uint8Array(1024).fill(0xff)
    const cases: readonly (readonly [string, Uint8Array | undefined])[] = [
      ...[0, 24, 25, 40, 62, 75, 100, 511, 512, 1023].flatMap((length) => [['state1/select', select.subarray(0, length)] as const]),
      ...[0, 24, 40, 52, 61, 512].map((length) => ['tries', tries.subarray(0, length)] as const),
      ['state2/select', garbage],
      ['tries', garbage],
      ['state1/select', undefined],
      ['tries', undefined],
    ]
    expect(cases).toHaveLength(20)
    for (const [name, bytes] of cases) {
      for (const [one, whole] of Object.entries(files)) put(one, whole)
      if (bytes === undefined) workshop.mdel(esp, name)
      else put(name, bytes)
      const guest = start(disk, { network: 'none', snapshot: true })
      await guest.waitFor(/psyblob: psyopsOS-A[\s\S]*Booting/, 60)
      await guest.kill()
    }
  }, 900_000)

  test('made by psyopsOS is taken over, and goes back to what it was when the new release fails', async () => {
    const disk = workshop.disk('old.img')
    // as psyopsOS leaves it: files in a slot, no manifest, no state files, a boot loader of its own
    await workshop.asPsyopsOS(disk)
    workshop.psyblob('sync os --force --key os.pub --remote repo --disk old.img --booted a --store taken')
    workshop.psyblob('apply efisys --force --key os.pub --remote repo --disk old.img --store taken')
    const guest = start(disk)
    await guest.waitFor(/psyblob: psyopsOS-B/, 60)
    await guest.waitFor(/psyblob: healthy/, 120)
    await shell(guest, 60)
    expect(await status(guest)).toMatchObject({ booted: 'b', slots: [{ state: 'empty' }, { serial: 1, good: true }] })
    await guest.kill()
    // the new slot spoils: the old one is the last resort
    await workshop.spoil(disk, 'b')
    const again = start(disk)
    await again.waitFor(/psyblob: psyopsOS-A/, 60)
    await again.waitFor(/Booting|Linux version/, 60)
  }, 600_000)
})
