// psyblob vm, as typed, with a QEMU on PATH that writes down how it was called. test/boot has machines that really boot.
import { chmodSync, existsSync, mkdirSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { World } from './world.ts'

let world: World
beforeEach(() => {
  world = new World()
  for (const name of ['disk.img', 'os.iso', 'secret,1.img', 'two.img']) world.write(name, 'x')
  world.write('bin/qemu-system-x86_64', '#!/bin/sh\nprintf "%s\\n" "$@" >"$LOG"\n[ -n "$SLOW" ] && exec sleep 60\nexit $STATUS\n')
  chmodSync(world.path('bin/qemu-system-x86_64'), 0o755)
})
afterEach(() => world.close())

const hasFirmware = ['/usr/share/OVMF/OVMF_CODE_4M.fd', '/usr/share/OVMF/OVMF_CODE.fd'].some((path) => existsSync(path))
const env = (more: Readonly<Record<string, string>> = {}) => ({
  PATH: `${world.path('bin')}:${process.env['PATH']}`,
  LOG: world.path('log'),
  STATUS: '0',
  ...more,
})
const words = () => world.read('log').toString().trimEnd().split('\n')
/** The words that follow each `option`. */
const following = (option: string) => words().flatMap((word, at, all) => (word === option ? [all[at + 1] ?? ''] : []))
const temporary = () => readdirSync(tmpdir()).filter((name) => name.startsWith('psyblob-vm-'))

describe.runIf(hasFirmware)('a machine for a disk image', () => {
  test('has firmware with variables of its own, the disks in order, a network with ports, and a watchdog that resets', async () => {
    const before = temporary()
    const line = 'vm disk.img --secret secret,1.img --attach two.img --port 2222:22 --port 8080:80 --memory 512 --cpus 3'
    const { stderr } = await world.must(line, { env: env() })
    expect(stderr).toContain('Ctrl-A X leaves it')
    expect(words()).toEqual(expect.arrayContaining(['q35', 'tcg,thread=multi', '512', '3', '-nographic', 'i6300esb', 'watchdog=reset']))
    const drives = following('-drive')
    expect(drives[0]).toMatch(/^if=pflash,format=raw,readonly=on,file=\/usr\/share\/OVMF\/OVMF_CODE/)
    expect(drives[1]).toMatch(/^if=pflash,format=raw,file=.*psyblob-vm-.*\/variables\.fd$/)
    expect(drives.slice(2)).toEqual(
      ['disk.img', 'secret,,1.img', 'two.img'].map((file, at) => `if=none,id=disk${at},format=raw,file=${file},snapshot=off`),
    )
    expect(following('-device').filter((device) => device.startsWith('virtio-blk'))).toHaveLength(3)
    expect(following('-nic')).toEqual(['user,model=virtio-net-pci,hostfwd=tcp:127.0.0.1:2222-:22,hostfwd=tcp:127.0.0.1:8080-:80'])
    expect(temporary()).toEqual(before)
  })

  test('puts an ISO image into a CD drive, throws writes away, keeps variables, and uses KVM, when asked', async () => {
    await world.must('vm os.iso --snapshot --vars vars.fd --kvm --attach two.img', { env: env() })
    expect(following('-drive').slice(1)).toEqual([
      'if=pflash,format=raw,file=vars.fd',
      'if=none,id=disk0,format=raw,file=two.img,snapshot=on',
      'if=none,id=cd,media=cdrom,readonly=on,format=raw,file=os.iso',
    ])
    expect(following('-accel')).toEqual(['kvm'])
    expect(world.read('vars.fd').length).toBeGreaterThan(100_000)
    world.write('vars.fd', 'kept')
    await world.must('vm os.iso --vars vars.fd', { env: env() })
    expect(world.read('vars.fd').toString()).toBe('kept')
  })

  test('ends QEMU when it is told to end, and leaves nothing', async () => {
    const before = temporary()
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      world.remove('log')
      const begun = performance.now()
      const outcome = await world.psyblob('vm disk.img', {
        env: env({ SLOW: 'yes' }),
        started: async (child) => {
          while (!existsSync(world.path('log'))) await sleep(10)
          child.kill(signal)
        },
      })
      expect(outcome.code).toBe(130)
      expect(performance.now() - begun).toBeLessThan(20_000)
      expect(temporary()).toEqual(before)
    }
  })

  test('that fails is told; QEMU has said why', async () => {
    expect(await world.psyblob('vm disk.img', { env: env({ STATUS: '1' }) })).toMatchObject({
      code: 17,
      stderr: expect.stringMatching(/qemu-system-x86_64 failed with status 1\n {2}hint: /),
    })
  })
})

describe('a machine that cannot be', () => {
  test('for want of a disk, or because it is none, is refused', async () => {
    for (const [line, code] of [
      ['vm none.img', 10],
      ['vm disk.img --secret none.img', 10],
      ['vm disk.img --secret secret.tar', 2],
      ['vm bin', 2],
      ['vm disk.img --port 22', 2],
      ['vm disk.img --port 0:22', 2],
      ['vm disk.img --memory much', 2],
    ] as const) {
      world.write('secret.tar', 'x')
      expect(await world.psyblob(line, { env: env() })).toMatchObject({ code, stderr: expect.stringContaining('hint: ') })
    }
    expect(existsSync(world.path('log'))).toBe(false)
  })

  test('without QEMU names the packages', async () => {
    mkdirSync(world.path('nothing'))
    expect(await world.psyblob('vm disk.img', { env: { PATH: world.path('nothing') } })).toMatchObject({
      code: 16,
      stderr: expect.stringMatching(
        /not installed: .*qemu-system-x86_64\n {2}hint: on Debian: apt-get install .*qemu-system-x86; on Alpine: apk add .*qemu-system-x86_64/,
      ),
    })
  })
})
