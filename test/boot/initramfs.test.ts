// What happens between the kernel and the system's init, with the real kernel: QEMU is given kernel and initramfs, no boot loader is in between.
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { must, shell } from './console.ts'
import { Guest, type GuestOptions } from './qemu.ts'

const program = join(import.meta.dirname, '../../dist/psyblob.js')
const cache = process.env['PSYBLOB_BOOT_CACHE'] ?? join(tmpdir(), 'psyblob-boot-cache')
const dir = realpathSync(mkdtempSync(join(tmpdir(), 'psyblob-boot-')))
const path = (...names: readonly string[]) => join(dir, ...names)
const slotUuid = '1b6e7a52-0c1f-4d3e-9a5b-00000000000a'
const secondsToLive = 25

function run(...[name = '', ...args]: readonly string[]): string {
  return execFileSync(name, args, {
    cwd: dir,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` },
  })
}

function write(name: string, text: string, mode = 0o644): void {
  mkdirSync(dirname(path(name)), { recursive: true })
  writeFileSync(path(name), text)
  chmodSync(path(name), mode)
}

/** A root file system whose init opens a shell on the console, and does as little else as can be. */
function rootFileSystem(): void {
  for (const name of ['usr/bin', 'usr/sbin', 'usr/lib', 'proc', 'sys', 'dev', 'run', 'var', 'mnt', 'etc/ssh'])
    mkdirSync(path('root', name), { recursive: true })
  for (const name of ['bin', 'sbin', 'lib']) symlinkSync(`usr/${name}`, path('root', name))
  copyFileSync('/bin/busybox', path('root/usr/bin/busybox'))
  chmodSync(path('root/usr/bin/busybox'), 0o755)
  const applets = run('/bin/busybox', '--list').split('\n')
  for (const applet of applets) if (applet !== '' && applet !== 'busybox') symlinkSync('busybox', path('root/usr/bin', applet))
  // as somebody else's image may have it: a link that must not lead a copy elsewhere
  symlinkSync('/etc/elsewhere', path('root/etc/hostname'))
  write(
    'root/usr/sbin/init',
    '#!/bin/sh\necho "system reached: $*"\ngrep -q stuck /proc/cmdline && while :; do sleep 60; done\nexec setsid -c sh\n',
    0o755,
  )
  mkdirSync(path('slot'))
  run('mksquashfs', 'root', 'slot/squashfs', '-noappend', '-quiet', '-no-progress', '-all-root', '-comp', 'zstd')
  mkdirSync(path('top'))
  // some of them are enough, and are made into a squashfs sooner
  const [version = ''] = readdirSync(path('kernel/modules/lib/modules'))
  const all = path('kernel/modules/lib/modules', version)
  mkdirSync(path('top/modules', version, 'kernel/fs'), { recursive: true })
  run(
    'cp',
    ...readdirSync(all)
      .filter((name) => name.startsWith('modules.'))
      .map((name) => join(all, name)),
    `top/modules/${version}`,
  )
  run('cp', '-r', join(all, 'kernel/fs/nfs'), `top/modules/${version}/kernel/fs`)
  write('top/modules/firmware/chip.bin', 'firmware')
  run('mksquashfs', 'top', 'slot/modloop', '-noappend', '-quiet', '-no-progress', '-all-root', '-comp', 'lz4')
}

type Parts = {
  readonly slot?: string
  readonly secret?: Readonly<Record<string, string>>
  readonly data?: boolean
  readonly slotLabel?: string
}

/** A disk as `build disk` lays it out, in miniature. */
function disk(name: string, { slot = 'slot', secret = {}, data = true, slotLabel = 'psyopsOS-A' }: Parts = {}): string {
  mkdirSync(path(`${name}.secret`))
  for (const [file, text] of Object.entries(secret)) write(`${name}.secret/${file}`, text, 0o644)
  const parts = [
    { label: 'psyops-secret', mebibytes: 8, from: `${name}.secret`, uuid: 'random' },
    { label: slotLabel, mebibytes: 64, from: slot, uuid: slotUuid },
    ...(data ? [{ label: 'psyblob-data', mebibytes: 16, from: undefined, uuid: 'random' }] : []),
  ]
  const out = path(name)
  run('truncate', '-s', `${parts.reduce((sum, part) => sum + part.mebibytes, 2)}M`, out)
  run(
    'sgdisk',
    '--clear',
    ...parts.flatMap((part, at) => [`--new=${at + 2}:0:+${part.mebibytes}M`, `--change-name=${at + 2}:${part.label}`]),
    out,
  )
  let at = 1
  for (const { label, mebibytes, from, uuid } of parts) {
    run(
      'mke2fs',
      '-q',
      '-t',
      'ext4',
      '-F',
      '-L',
      label,
      '-U',
      uuid,
      '-E',
      `offset=${at << 20}`,
      ...(from === undefined ? [] : ['-d', from]),
      out,
      `${mebibytes}M`,
    )
    at += mebibytes
  }
  return out
}

let guest: Guest | undefined
let boots = 0

function boot(image: string | undefined, words: string, options: Partial<GuestOptions> = {}): Guest {
  guest = Guest.start(image, {
    dir,
    name: `boot-${boots++}`,
    snapshot: true,
    ...options,
    more: [
      '-kernel',
      path('kernel/kernel'),
      '-initrd',
      path(words.startsWith('patient') ? 'patient' : 'initramfs'),
      '-append',
      `${words} panic=10 console=ttyS0,115200`,
      ...(options.more ?? []),
    ],
  })
  return guest
}

const toSlot = `psyopsos=psyopsOS-A psyblob.slot=${slotUuid} psyblob.hd=hd0 psyblob.loader=0123456789abcdef`

/** The system's shell, with the kernel quiet. */
async function system(machine: Guest): Promise<void> {
  await machine.waitFor(/system reached/, 90)
  await shell(machine, 30)
  await must(machine, 'dmesg -n 1')
}

beforeAll(() => {
  mkdirSync(cache, { recursive: true })
  write(
    'recipe.yaml',
    `psyblob: recipe/1\nname: os\ndistribution: debian\nsuite: bookworm\nkernel: { package: linux-image-amd64 }\ninitramfs: { watchdog: ${secondsToLive} }\nprogram: none\n`,
  )
  const psyblob = (line: string) => run(process.execPath, program, ...line.split(' '), '--progress', 'none')
  psyblob(`build kernel --recipe recipe.yaml --out kernel --cache ${cache}`)
  psyblob(`build initramfs --recipe recipe.yaml --modules kernel/modules --out initramfs --cache ${cache}`)
  // as the recipe of somebody who wants no watchdog
  write('patient.yaml', readFileSync(path('recipe.yaml'), 'utf8').replace(/watchdog: \d+/, 'watchdog: 0'))
  psyblob(`build initramfs --recipe patient.yaml --modules kernel/modules --out patient --cache ${cache}`)
  rootFileSystem()
  mkdirSync(path('empty'))
}, 300_000)

afterEach(async () => {
  await guest?.kill()
})
afterAll(() => {
  if (process.env['PSYBLOB_KEEP'] === undefined) rmSync(dir, { recursive: true, force: true })
})

test('the system finds its slot, its modules, its store, its secrets, and what was booted', async () => {
  const image = disk('whole.img', {
    secret: {
      nodename: 'node-7\n',
      'age.key': 'AGE',
      ssh_host_ed25519_key: 'HOST',
      'ssh_host_ed25519_key.pub': 'host',
      'network.interfaces': 'auto eth0\n',
      'minisign.pubkey': 'RW',
      composition: '{}\n',
      'nebula/host.key': 'NEBULA',
      'nebula/ca.crt': 'ca',
    },
  })
  const machine = boot(image, `${toSlot} single`)
  expect((await machine.waitFor(/system reached: (.*)\r/, 90))[1]?.trim()).toBe('single')
  await shell(machine, 30)
  await must(machine, 'dmesg -n 1')
  const said = (line: string) => must(machine, line).then((text) => text.replace(/\r/g, ''))

  expect(await said('cat /run/psyblob/boot')).toBe('disk=/dev/vda\nslot=/dev/vda3\nlabel=psyopsOS-A\nloader=0123456789abcdef')
  const mounts = await said('cat /proc/mounts')
  for (const line of [
    /^overlay|^root \/ overlay rw/m,
    /^\/dev\/vda3 \/run\/psyblob\/slot ext4 ro,/m,
    /^\/dev\/loop\d \/run\/psyblob\/root squashfs ro,/m,
    /^\/dev\/loop\d \/usr\/lib\/modules squashfs ro,/m,
    /^\/dev\/loop\d \/usr\/lib\/firmware squashfs ro,/m,
    /^\/dev\/vda4 \/var\/psyblob ext4 rw,/m,
    /^\/dev\/vda2 \/mnt\/psyops-secret\/mount ext4 ro,/m,
  ])
    expect(mounts).toMatch(line)
  expect(await said('ls /lib/modules/$(uname -r)/kernel | head -1; modinfo -F license nfs; cat /lib/firmware/chip.bin')).toContain(
    'firmware',
  )
  // at most half of the memory
  const [ram, all] = (await said("df -k /run/psyblob/ram | awk 'END { print $2 }'; awk '/MemTotal/ { print $2 }' /proc/meminfo"))
    .split('\n')
    .map(Number)
  expect((ram ?? 0) / (all ?? 1)).toBeCloseTo(0.5, 1)

  expect(await said('cat /etc/hostname /etc/network/interfaces /etc/psyblob/minisign.pubkey /etc/composition')).toBe(
    'node-7\nauto eth0\nRW{}',
  )
  expect(await said('cd /etc; stat -c "%a %u %n" hostname ssh ssh/* psyblob psyblob/* nebula nebula/*')).toBe(
    [
      ...['644 0 hostname', '755 0 ssh', '600 0 ssh/ssh_host_ed25519_key', '644 0 ssh/ssh_host_ed25519_key.pub', '755 0 psyblob'],
      ...['600 0 psyblob/age.key', '644 0 psyblob/minisign.pubkey', '755 0 nebula', '644 0 nebula/ca.crt', '600 0 nebula/host.key'],
    ].join('\n'),
  )
  expect(await said('ls /etc/elsewhere || echo none')).toContain('none')
  expect(await said('env')).not.toMatch(/^PATH=\/bin$/m)

  // whoever finds the system healthy ends what waits to reset it: this is what images/watchdog.ts relies on
  expect(await said('cat /proc/$(cat /run/psyblob/watchdog.pid)/comm; cat /sys/class/watchdog/watchdog0/state')).toMatch(
    /^(busybox|watchdog)\nactive$/,
  )
  expect(await said('kill $(cat /run/psyblob/watchdog.pid); sleep 1; cat /sys/class/watchdog/watchdog0/state')).toBe('inactive')
  // the slot is busy for as long as the system runs from it, the store is not
  await must(machine, 'umount /run/psyblob/slot && exit 1 || echo busy')
  machine.send('mount -o remount,ro /var/psyblob && reboot -f\n')
  await machine.end(60)
})

test('a system that hangs is reset when its time is over', async () => {
  const machine = boot(disk('hangs.img'), `${toSlot} stuck`)
  await machine.waitFor(/resets this machine in 25 seconds/, 90)
  await machine.waitFor(/system reached/, 60)
  const reached = performance.now()
  await machine.end(secondsToLive + 30)
  expect((performance.now() - reached) / 1000).toBeGreaterThan(secondsToLive - 15)
})

test('a kernel that psyopsOS has started is told a label, and that is enough', async () => {
  const machine = boot(disk('label.img', { data: false }), 'psyopsos=psyopsOS-A')
  await system(machine)
  expect(await must(machine, 'cat /run/psyblob/boot')).toMatch(/slot=\/dev\/vda3\s+label=psyopsOS-A\s+loader=\s*$/)
  // no store on this disk: in RAM
  expect(await must(machine, 'cat /proc/mounts')).not.toContain('/var/psyblob')
})

test('of two disks that are alike it takes the one the boot loader ran from, with its store; secrets may be on the other', async () => {
  const one = disk('one.img')
  const two = path('two.img')
  copyFileSync(one, two)
  const three = disk('three.img', { slotLabel: 'other', slot: 'empty', secret: { nodename: 'third\n' } })
  const machine = boot(one, toSlot.replace('hd0', 'hd1'), { disks: [two, three] })
  await machine.waitFor(/vda3 vdb3 vdc3 look the same; vdb3 it is/, 90)
  await system(machine)
  const mounts = await must(machine, 'cat /proc/mounts')
  expect(mounts).toMatch(/^\/dev\/vdb4 \/var\/psyblob /m)
  expect(mounts).toMatch(/^\/dev\/vdc2 \/mnt\/psyops-secret\/mount /m)
  expect(await must(machine, 'cat /etc/hostname')).toBe('third')
})

test('from a CD it runs as from a slot, and from the same image on a stick too', async () => {
  // as build iso makes it
  run(
    ...['xorriso', '-rockridge', 'off', '-as', 'mkisofs', '-quiet', '-V', 'PSYOPSOSISO', '-J', '-joliet-long', '-partition_offset', '16'],
    ...['--modification-date=2026010203040506', '-o', 'system.iso', 'slot'],
  )
  const secret = disk('secret.img', { slotLabel: 'other', slot: 'empty', secret: { nodename: 'from-disk\n' } })
  const words = 'psyopsos=PSYOPSOSISO psyblob.slot=2026-01-02-03-04-05-06'
  for (const [device, machine] of [
    ['sr0', () => boot(secret, words, { cdrom: path('system.iso') })],
    ['sda', () => boot(path('system.iso'), words, { disks: [secret], bus: 'usb' })],
  ] as const) {
    const started = machine()
    await system(started)
    expect(await must(started, 'cat /run/psyblob/boot')).toMatch(
      new RegExp(`disk=/dev/${device}\\s+slot=/dev/${device}\\s+label=PSYOPSOSISO\\s`),
    )
    expect(await must(started, 'cat /etc/hostname; ls /lib/modules')).toMatch(/^from-disk\s+6\./)
    expect(await must(started, 'dmesg')).not.toContain('look the same')
    // the store of another disk is none of this system's
    expect(await must(started, 'cat /proc/mounts')).not.toContain('/var/psyblob')
    await started.kill()
  }
})

test('without its slot it waits a minute, says what there is, and reboots', async () => {
  const machine = boot(disk('missing.img'), 'patient psyopsos=psyopsOS-B psyblob.slot=00000000-0000-0000-0000-00000000000b')
  await machine.waitFor(/looking for the slot: no file system with the uuid 0{8}-0{4}-0{4}-0{4}-0{11}b came within 60 seconds/, 120)
  await machine.waitFor(/vda3 \(ext4 psyopsOS-A 1b6e7a52/, 5)
  await machine.waitFor(/reboot in 10 seconds/, 5)
  await machine.end(30)
})

test('a command line without a slot, a slot without a squashfs, a damaged one, or one without init, is told and rebooted from', async () => {
  mkdirSync(path('bare'))
  write('bare/kernel', '')
  mkdirSync(path('torn'))
  writeFileSync(path('torn/squashfs'), readFileSync(path('slot/squashfs')).subarray(0, 4096))
  mkdirSync(path('headless'))
  run('mksquashfs', 'bare', 'headless/squashfs', '-noappend', '-quiet', '-no-progress')
  for (const [name, slot, words, message] of [
    ['words.img', 'slot', 'quiet', /names no slot/],
    ['bare.img', 'bare', `${toSlot} quiet`, /\/dev\/vda3 \(psyopsOS-A\) has no squashfs; it has: kernel lost\+found/],
    ['torn.img', 'torn', toSlot, /mounting squashfs of \/dev\/vda3: mount: .*failed: \w+/],
    ['headless.img', 'headless', toSlot, /squashfs of \/dev\/vda3 has no \/sbin\/init/],
  ] as const) {
    const machine = boot(disk(name, { slot }), words)
    await machine.waitFor(message, 90)
    await machine.waitFor(/reboot in 10 seconds/, 5)
    await machine.kill()
  }
})

test('a slot that lost its power when it had just been sealed is read with its journal, and without where nothing can be written', async () => {
  const image = disk('dirty.img')
  // a journal that is to be replayed
  run('debugfs', '-w', '-R', 'feature needs_recovery', `${image}?offset=${9 << 20}`)
  const machine = boot(image, toSlot)
  await machine.waitFor(/vda3\): recovery complete/, 90)
  await system(machine)
  expect(await must(machine, 'dmesg')).not.toContain('without it now')
  await machine.kill()

  const locked = boot(undefined, toSlot, { more: ['-drive', `if=virtio,format=raw,readonly=on,file=${image}`] })
  await locked.waitFor(/with its journal: .*; without it now/, 90)
  await system(locked)
  // the store could not be mounted: it is in RAM, and told
  expect(await must(locked, 'dmesg')).toMatch(/mounting \/dev\/vda4 at \/var\/psyblob: .*; the store is in RAM/)
})

test('with psyblob.rescue there is a shell before anything is mounted, no watchdog, and a shell in place of the reboot', async () => {
  const image = disk('rescue.img')
  const machine = boot(image, `${toSlot} psyblob.rescue`)
  await machine.waitFor(/a shell, because of psyblob.rescue.*vda3 \(ext4 psyopsOS-A/, 90)
  await shell(machine, 30)
  expect(await must(machine, 'ls /run/psyblob; ls /sys/class/watchdog | wc -l')).toBe('0')
  machine.send('exit\n')
  await system(machine)
  await machine.kill()

  const failing = boot(image, 'psyopsos=psyopsOS-Z psyblob.rescue')
  await failing.waitFor(/a shell, because of psyblob.rescue/, 90)
  await shell(failing, 30)
  failing.send('exit\n')
  await failing.waitFor(/no file system with the label psyopsOS-Z/, 120)
  await failing.waitFor(/its end is a reboot/, 5)
  await shell(failing, 30)
  failing.send('exit\n')
  await failing.end(30)
})

test('a watchdog in hardware comes before the one in software', async () => {
  const machine = boot(disk('hardware.img'), `${toSlot} stuck`, { bus: 'sata', more: ['-device', 'i6300esb', '-watchdog-action', 'reset'] })
  await machine.waitFor(/\(i6300ESB timer\) resets this machine in 25 seconds/, 90)
  await machine.waitFor(/system reached/, 60)
  await machine.end(secondsToLive + 60)
  expect(machine.output).not.toContain('softdog')
})
