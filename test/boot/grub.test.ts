// GRUB itself, with its script built in, on small disks: what it chooses, what it counts, what it does about garbage, and how a new loader
// is tried. Slots say what they were told and switch off, so that a boot is a matter of seconds.
import { copyFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { formatEnvironment } from '../../images/environment-block.ts'
import { GrubDisk, type SlotFiles, stateFiles, tinyInitramfs } from './grub-disk.ts'
import type { Guest } from './qemu.ts'
import { Workshop } from './workshop.ts'

describe('GRUB', () => {
  const workshop = new Workshop(0)
  const flipped = { seq: 1_000_000_005, order: 'ba', good: 'a' } as const
  let efisys = ''
  let release: SlotFiles = {}
  let disk: GrubDisk
  let guest: Guest | undefined

  beforeAll(() => {
    efisys = workshop.efisys('efisys', '--menu 0 --command-line quiet')
    release = { kernel: kernel(workshop), initramfs: tinyInitramfs(), manifest: Buffer.from('{}\n') }
    const whole = new GrubDisk(workshop.path('whole.img'), efisys)
    whole.slot('a', release)
    whole.slot('b', release)
  })

  beforeEach(async () => {
    await guest?.kill()
    guest = undefined
    disk = GrubDisk.of(workshop.path('whole.img'), workshop.path('disk.img'))
  })

  afterAll(async () => {
    await guest?.kill()
    workshop.close()
  })

  test('boots the first slot of a fresh disk, and tells the kernel what it is', async () => {
    disk.state({ seq: 1_000_000_000, order: 'ab', good: '' })
    const id = readFileSync(join(efisys, 'psyblob/loader'), 'utf8').trim()
    const words = await disk.boot()
    expect(words.filter((word) => !word.startsWith('BOOT_IMAGE='))).toEqual([
      'psyopsos=psyopsOS-A',
      'psyblob.slot=aaaaaaaa-0000-4000-8000-000000000001',
      'psyblob.hd=hd0',
      `psyblob.loader=${id}`,
      'panic=10',
      'quiet',
      'console=tty0',
      'console=ttyS0,115200',
    ])
    expect(disk.tries).toBe('tries_for=1000000000 tries=1')
  })

  test('gives a slot that is not good three tries, and goes back to the good one', async () => {
    disk.state(flipped)
    const booted = []
    for (let n = 0; n < 5; n++) booted.push(await disk.booted())
    expect(booted).toEqual(['psyopsOS-B', 'psyopsOS-B', 'psyopsOS-B', 'psyopsOS-A', 'psyopsOS-A'])
    expect(disk.tries).toBe('tries_for=1000000005 tries=3')
  })

  test('counts the other slot where neither is good, and begins again', async () => {
    disk.state({ ...flipped, good: '', tries: 5 })
    const booted = []
    for (let n = 0; n < 2; n++) booted.push(`${await disk.booted()} ${disk.tries.slice(-1)}`)
    expect(booted).toEqual(['psyopsOS-A 6', 'psyopsOS-B 1'])
  })

  test('never counts a slot that is good', async () => {
    disk.state({ ...flipped, good: 'ab' })
    const before = disk.read('tries')
    for (let n = 0; n < 4; n++) expect(await disk.booted()).toBe('psyopsOS-B')
    expect(disk.read('tries').equals(before)).toBe(true)
  })

  test('goes on when a kernel is garbage, an initramfs is absent, or a slot has no manifest', async () => {
    disk.state(flipped)
    disk.slot('b', { ...release, kernel: Buffer.from('no kernel') })
    expect(await disk.booted()).toBe('psyopsOS-A')
    expect(disk.tries).toBe('tries_for=1000000005 tries=1')
    // a good one too: nobody would count that
    disk.state({ ...flipped, good: 'ab' })
    disk.slot('b', without(release, 'initramfs'))
    expect(await disk.booted()).toBe('psyopsOS-A')
    disk.slot('b', { ...without(release, 'manifest'), '.psyblob/part': Buffer.from('part') })
    expect(await disk.booted()).toBe('psyopsOS-A')
    // no file system at all
    disk.wipe('b')
    expect(await disk.booted()).toBe('psyopsOS-A')
  })

  test('goes back to a slot of psyopsOS, which has no manifest and nothing of psyblob', async () => {
    disk.slot('a', without(release, 'manifest'))
    disk.state({ ...flipped, good: '', tries: 2 })
    expect(await disk.booted()).toBe('psyopsOS-B')
    expect(await disk.booted()).toBe('psyopsOS-A')
    expect(await disk.booted()).toBe('psyopsOS-A')
  })

  test('begins again by itself after a minute when nothing loads, and shows no prompt', async () => {
    disk.state({ ...flipped, good: 'ab' })
    for (const slot of ['a', 'b'] as const) disk.slot(slot, { ...release, kernel: Buffer.from('no kernel') })
    guest = disk.start({ reboots: true })
    for (let n = 0; n < 2; n++) {
      await guest.waitFor(/Welcome to GRUB/, 180)
      await guest.waitFor(/nothing here boots/, 60)
    }
    expect(guest.output).not.toMatch(/grub>|Press any key/)
  })

  test('boots the good slot, or one that it can count, whatever a state file is', async () => {
    const good = stateFiles({ ...flipped, tries: 3 })
    const { 'state1/select': select, tries } = good
    const garbage = new Uint8Array(1024).fill(0xff)
    const flip = (bytes: Uint8Array, at: number, to: number) => Uint8Array.from(bytes, (byte, index) => (index === at ? to : byte))
    const cases: readonly (readonly [keyof typeof good | 'both', Uint8Array | undefined])[] = [
      ...[0, 25, 26, 40, 75, 90, 512].map((length) => ['state1/select', select.subarray(0, length)] as const),
      ...[0, 24, 25, 46, 57, 63].map((length) => ['tries', tries.subarray(0, length)] as const),
      ['state2/select', garbage],
      ['tries', garbage],
      ['tries', flip(tries, 1023, 0x41)],
      ['tries', flip(tries, 54, 0x00)],
      ['state1/select', flip(select, 30, 0x5c)],
      ['state1/select', undefined],
      ['tries', undefined],
      ['both', garbage],
      ['both', undefined],
    ]
    for (const [name, bytes] of cases) {
      disk.state({ ...flipped, tries: 3 })
      for (const one of name === 'both' ? ['state1/select', 'state2/select'] : [name]) {
        if (bytes === undefined) disk.remove(one)
        else disk.put(one, bytes)
      }
      // with nothing known order ab stands, and slot a is counted
      expect([name, bytes?.length, await disk.booted()]).toEqual([name, bytes?.length, 'psyopsOS-A'])
    }
  })

  test('does not try a slot that is not good when the file of tries takes no count', async () => {
    disk.state(flipped)
    // GRUB finds no end of the variables in it, and writes nothing
    disk.put(
      'tries',
      Uint8Array.from(stateFiles(flipped).tries, (byte, at) => (at === 1023 ? 0x41 : byte)),
    )
    const before = disk.read('tries')
    for (let n = 0; n < 2; n++) expect(await disk.booted()).toBe('psyopsOS-A')
    expect(disk.read('tries').equals(before)).toBe(true)
  })

  test('boots from its own disk, with another or its own copy before or behind it', async () => {
    disk.state({ ...flipped, good: 'ab' })
    const other = GrubDisk.of(workshop.path('whole.img'), workshop.path('other.img'))
    other.state({ ...flipped, seq: 1_000_000_009, order: 'ab', good: 'ab' })
    copyFileSync(disk.image, workshop.path('copy.img'))
    for (const image of [other.image, workshop.path('copy.img')]) {
      for (const [place, number] of [
        ['disks', 'hd0'],
        ['before', 'hd1'],
      ] as const) {
        const words = await disk.boot({ [place]: [image] })
        expect(words).toContain('psyopsos=psyopsOS-B')
        // GRUB's own number for it: of two equal file systems the kernel finds the right one by that
        expect(words).toContain(`psyblob.hd=${number}`)
      }
    }
  })

  test('waits for ESC alone before its menu is shown, which has entries for the slots, and counts nothing there', async () => {
    const slow = new GrubDisk(workshop.path('slow.img'), workshop.efisys('slow', '--menu 5 --command-line quiet'))
    slow.slot('a', release)
    slow.slot('b', release)
    slow.state(flipped)
    const before = slow.read('tries')
    guest = slow.start()
    await guest.waitFor(/ESC for the menu/, 60)
    // noise of a serial line: none of it stops the clock
    guest.send('\0\xffabc\r\n~^')
    await guest.waitFor(/slot b, try 1 of 3/, 60)
    await guest.kill()
    slow.put('tries', before)
    guest = slow.start()
    await guest.waitFor(/ESC for the menu/, 60)
    guest.send('\x1b')
    await guest.waitFor(/psyopsOS, slot A/, 60)
    await guest.waitFor(/rescue: a shell/, 60)
    await new Promise((resolve) => setTimeout(resolve, 2000))
    guest.send('\x0e')
    await new Promise((resolve) => setTimeout(resolve, 1000))
    guest.send('\r')
    await guest.waitFor(/tiny: [^\n]*psyopsos=psyopsOS-A/, 120)
    await guest.end(60)
    expect(slow.read('tries').equals(before)).toBe(true)
  })

  describe('with a new loader beside it', () => {
    const loader = (id: string, trial = '1000000001') => formatEnvironment({ trial, id, commit: trial })
    let next = ''
    let nextId = ''

    beforeAll(() => {
      next = workshop.efisys('next', '--menu 0 --command-line quiet.next')
      nextId = readFileSync(join(next, 'psyblob/loader'), 'utf8').trim()
    })

    beforeEach(() => {
      disk.state({ ...flipped, good: 'ab' })
      disk.put('trial', formatEnvironment({ trial_for: '0000000000' }))
      disk.put('loader', loader(nextId))
      disk.put('EFI/BOOT/BOOTX64.NEW', readFileSync(join(next, 'EFI/BOOT/BOOTX64.EFI')))
    })

    const loaderOf = async () => (await disk.boot()).find((word) => word.startsWith('psyblob.loader='))?.slice('psyblob.loader='.length)

    test('starts it once, and is itself again then', async () => {
      expect(await loaderOf()).toBe(nextId)
      expect(disk.read('trial').toString('latin1')).toContain('trial_for=1000000001\n')
      expect(await loaderOf()).not.toBe(nextId)
      disk.put('loader', loader(nextId, '1000000002'))
      expect(await loaderOf()).toBe(nextId)
    })

    test('goes on when it is garbage, and when it was not asked for', async () => {
      disk.put('EFI/BOOT/BOOTX64.NEW', Buffer.from('MZ, but nothing behind it'))
      expect(await loaderOf()).not.toBe(nextId)
      disk.put('loader', loader(nextId, '0000000000'))
      disk.put('EFI/BOOT/BOOTX64.NEW', readFileSync(join(next, 'EFI/BOOT/BOOTX64.EFI')))
      expect(await loaderOf()).not.toBe(nextId)
    })

    test('does not start it when that it did cannot be kept', async () => {
      disk.put(
        'trial',
        Uint8Array.from(formatEnvironment({ trial_for: '0000000000' }), (byte, at) => (at === 1023 ? 0x41 : byte)),
      )
      expect(await loaderOf()).not.toBe(nextId)
      disk.remove('trial')
      expect(await loaderOf()).not.toBe(nextId)
    })

    test('leaves one that hangs behind at the next reset', async () => {
      // an EFI program that is nothing but a jump to itself
      disk.put('EFI/BOOT/BOOTX64.NEW', endless())
      guest = disk.start()
      await guest.waitFor(/trying the new boot loader/, 60)
      await new Promise((resolve) => setTimeout(resolve, 5000))
      expect(guest.ended).toBe(false)
      expect(guest.output).not.toMatch(/tiny:|did not start/)
      await guest.kill()
      expect(await loaderOf()).not.toBe(nextId)
    })
  })
})

function without(files: SlotFiles, name: string): SlotFiles {
  return Object.fromEntries(Object.entries(files).filter(([one]) => one !== name))
}

/** PSYBLOB_TEST_KERNEL, else the distribution's. */
function kernel(workshop: Workshop): Uint8Array {
  const path = process.env['PSYBLOB_TEST_KERNEL']
  return readFileSync(path ?? workshop.kernel(join(import.meta.dirname, 'minimal')))
}

/** The smallest program for UEFI (PE32+, x86-64) that never comes back. */
function endless(): Uint8Array {
  const file = Buffer.alloc(0x400)
  file.write('MZ', 0, 'latin1')
  file.writeUInt32LE(0x40, 0x3c)
  file.write('PE\0\0', 0x40, 'latin1')
  const coff = 0x44
  file.writeUInt16LE(0x8664, coff)
  file.writeUInt16LE(1, coff + 2)
  file.writeUInt16LE(0xf0, coff + 16)
  file.writeUInt16LE(0x0222, coff + 18)
  const optional = coff + 20
  file.writeUInt16LE(0x20b, optional)
  file.writeUInt32LE(0x200, optional + 4)
  file.writeUInt32LE(0x1000, optional + 16)
  file.writeUInt32LE(0x1000, optional + 20)
  file.writeUInt32LE(0x1000, optional + 32)
  file.writeUInt32LE(0x200, optional + 36)
  file.writeUInt32LE(0x2000, optional + 56)
  file.writeUInt32LE(0x200, optional + 60)
  file.writeUInt16LE(10, optional + 68)
  file.writeUInt32LE(16, optional + 108)
  const section = optional + 0xf0
  file.write('.text', section, 'latin1')
  file.writeUInt32LE(0x200, section + 8)
  file.writeUInt32LE(0x1000, section + 12)
  file.writeUInt32LE(0x200, section + 16)
  file.writeUInt32LE(0x200, section + 20)
  file.writeUInt32LE(0x60000020, section + 36)
  file.writeUInt16LE(0xfeeb, 0x200)
  return file
}
