// The whole story with the Debian of spec/recipes and its systemd: made from the recipe, updated over HTTP, given releases that do not work.
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { panicking } from './broken.ts'
import { json, must, shell } from './console.ts'
import { Guest } from './qemu.ts'
import { Workshop } from './workshop.ts'

const recipe = join(import.meta.dirname, '../../spec/recipes/debian.yaml')
/** So that a test can look inside, and so that it need not wait an hour; everything else is as the example has it. */
const autologin =
  '{ path: /etc/systemd/system/serial-getty@.service.d/login.conf, text: "[Service]\\nExecStart=\\nExecStart=-/sbin/agetty --autologin root --keep-baud 115200,38400,9600 %I vt100\\n" }'

describe('a Debian with systemd', () => {
  const workshop = new Workshop(18088)
  let machine: Guest
  const seconds: Record<string, number> = {}

  const build = (name: string, files: readonly string[] = []) => {
    const started = performance.now()
    const changed = workshop.recipe(recipe, name, {
      files: [autologin, ...files],
      replace: {
        'RW-PUT-HERE-THE-LINE-OF-os.pub-THAT-BEGINS-WITH-RW': workshop.key,
        'https://os.example/': `http://10.0.2.2:${workshop.port}/`,
        // under emulation systemd is not through in the example's hurry
        'patience: 5m': 'patience: 30s',
        'every: 1h': 'every: 24h',
        'jitter: 10m': 'jitter: 0s',
        // under emulation the kernel's test of its timer fails on a busy host
        'net.ifnames=0': 'net.ifnames=0 loglevel=4 no_timer_check',
      },
    })
    workshop.os(changed, `os-${name}`)
    seconds[`build ${name}`] = Math.round((performance.now() - started) / 1000)
  }

  beforeAll(async () => {
    build('one')
    build('two', ['{ path: /etc/release-two, text: "two\\n" }'])
    build('sick', [
      '{ path: /etc/psyblob/health.d/20-web, text: "#!/bin/sh\\necho no answer from the web server\\nexit 7\\n", mode: "0755" }',
    ])
    workshop.efisys('efisys-1', `--recipe ${workshop.path('recipe-one', 'recipe.yaml')}`)
    workshop.publish('os', 'os-one', 'one')
    workshop.publish('efisys', 'efisys-1', 'one')
    await workshop.serve()
  }, 1_200_000)

  afterAll(async () => {
    await machine?.kill()
    workshop.close()
    console.log(
      Object.entries(seconds)
        .map(([what, took]) => `${what} ${took} s`)
        .join(', '),
    )
  })

  const status = async () => json(await must(machine, 'psyblob status os --json'))
  const isGood = () =>
    must(machine, 'until psyblob status os --json | grep -q \'"booted":true,"next":true,"good":true\'; do sleep 1; done', 240)
  const update = () => machine.send('psyblob sync os --reboot --progress none\n')

  test('boots from the disk, all its services start, and its agent finds it healthy', async () => {
    const started = performance.now()
    const disk = workshop.disk('disk.img')
    seconds['build disk'] = Math.round((performance.now() - started) / 1000)
    machine = Guest.start(disk, { dir: workshop.dir, network: 'user', memory: 1536, reboots: true })
    await machine.waitFor(/try 1 of 3/, 60)
    await shell(machine, 240)
    await isGood()
    expect(await must(machine, 'systemctl is-system-running --wait', 240)).toContain('running')
    expect(await must(machine, 'systemctl is-active psyblob-agent ssh')).toBe('active\nactive')
    expect(await status()).toMatchObject({ booted: 'a', slots: [{ serial: 1, good: true }, { state: 'empty' }] })
  }, 900_000)

  test('updates itself, and comes up in the other slot', async () => {
    workshop.publish('os', 'os-two', 'two')
    update()
    await machine.waitFor(/try 1 of 3/, 240)
    await shell(machine, 240)
    await isGood()
    expect(await must(machine, 'cat /etc/release-two')).toBe('two')
    expect(await status()).toMatchObject({ booted: 'b', slots: [{ serial: 1 }, { serial: 2, good: true }] })
  }, 900_000)

  test('comes back by itself from a kernel that panics', async () => {
    panicking(workshop.path('os-two'), workshop.path('os-panic'))
    workshop.publish('os', 'os-panic', 'panics')
    update()
    for (let tries = 1; tries <= 3; tries++) await machine.waitFor(new RegExp(`try ${tries} of 3`), 240)
    await machine.waitFor(/psyblob: psyopsOS-B/, 120)
    await shell(machine, 240)
    expect(await status()).toMatchObject({ booted: 'b', fellBackFrom: 3 })
  }, 900_000)

  test('comes back by itself from a service that does not work, and says which', async () => {
    workshop.publish('os', 'os-sick', 'sick')
    update()
    for (let tries = 1; tries <= 3; tries++) await machine.waitFor(new RegExp(`try ${tries} of 3`), 400)
    await machine.waitFor(/psyblob: psyopsOS-B/, 400)
    await shell(machine, 240)
    await must(machine, 'until psyblob why os | grep -q "fell back"; do sleep 1; done', 240)
    expect(await must(machine, 'psyblob why os')).toMatch(/os 4[\s\S]*no answer from the web server/)
    expect(await status()).toMatchObject({
      booted: 'b',
      slots: [
        { version: 'sick', good: false },
        { serial: 2, good: true },
      ],
    })
  }, 1_800_000)
})
