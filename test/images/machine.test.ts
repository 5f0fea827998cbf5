// Finding the slots and the EFI partition: folders and images. What mounts is tested through the command line.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type MachineOptions, openMachine } from '../../images/machine.ts'
import { openRun } from '../../images/run.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'psyblob-machine-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const ran: string[] = []
const run = openRun((event) => ran.push(event.type === 'trace' ? event.text : ''))
const options = (more: Partial<MachineOptions> = {}): MachineOptions => ({
  disk: undefined,
  booted: undefined,
  run,
  report: () => undefined,
  cmdline: '',
  store: join(dir, 'store'),
  ...more,
})
const folders = () => ({ kind: 'slots', a: { dir: join(dir, 'a') }, b: { dir: join(dir, 'b') }, esp: { dir: join(dir, 'esp') } }) as const

describe('a machine of folders', () => {
  test('needs no program, and makes a slot only to write to it', async () => {
    ran.length = 0
    const machine = await openMachine(folders(), options())
    await expect(machine.slots.a.open({ write: false })).rejects.toMatchObject({ code: 'not-found', hint: expect.stringContaining('sync') })
    expect(readdirSync(dir)).toEqual([])
    const slot = await machine.slots.a.open({ write: true })
    expect(slot.dir).toBe(join(dir, 'a'))
    await slot.close()
    await slot.close()
    await machine.bootloader.prepare()
    await machine.bootloader.write({ order: ['b', 'a'], good: [] })
    await machine.close()
    await machine.close()
    expect(readdirSync(dir).sort()).toEqual(['a', 'esp'])
    expect(readdirSync(join(dir, 'esp')).sort()).toEqual(['state1', 'state2', 'tries'])
    expect(ran).toEqual([])
  })

  test('is the same machine by whatever path it is named', async () => {
    await (await openMachine(folders(), options())).slots.a.open({ write: true })
    const direct = await openMachine(folders(), options())
    symlinkSync(dir, join(dir, 'link'))
    const linked = await openMachine({ ...folders(), a: { dir: join(dir, 'link/a') } }, options())
    expect(linked.identities).toEqual(direct.identities)
  })

  test('with one folder for both slots is refused', async () => {
    await expect(openMachine({ ...folders(), b: { dir: join(dir, 'x/../a') } }, options())).rejects.toMatchObject({ code: 'usage' })
  })

  test('with a file for a slot is refused', async () => {
    writeFileSync(join(dir, 'a'), '')
    const machine = await openMachine(folders(), options())
    await expect(machine.slots.a.open({ write: true })).rejects.toMatchObject({ code: 'usage' })
  })
})

describe('the booted slot', () => {
  const target = { kind: 'slots', a: { label: 'left' }, b: { label: 'right' } } as const
  test.each([
    ['ro psyopsos=right quiet', 'b'],
    ['psyopsos=left', 'a'],
    ['psyopsos=other', undefined],
    ['xpsyopsos=left', undefined],
    ['', undefined],
  ])('is what the kernel was told: %j', async (cmdline, expected) => {
    expect((await openMachine(target, options({ cmdline }))).booted).toBe(expected)
  })

  test('is what was said when something was said', async () => {
    expect((await openMachine(target, options({ cmdline: 'psyopsos=left', booted: 'b' }))).booted).toBe('b')
  })

  const [one, two] = ['/dev/loop0', '/dev/loop1']
  const devices = { kind: 'slots', a: { device: one }, b: { device: two } } as const
  const record = (slot: string): string => {
    const path = join(dir, 'boot')
    writeFileSync(path, `disk=/dev/vda\nslot=${slot}\nlabel=psyopsOS-A\nloader=\n`)
    return path
  }

  test.runIf([one, two].every((path) => existsSync(path)))('is the device that the initramfs mounted, whatever labels say', async () => {
    const booted = async (slot: string) =>
      (await openMachine(devices, options({ cmdline: 'psyopsos=psyopsOS-A', record: record(slot) }))).booted
    expect(await booted(two)).toBe('b')
    expect(await booted(one)).toBe('a')
    // it runs from another disk: neither is in use
    expect(await booted('/dev/loop2')).toBe(existsSync('/dev/loop2') ? undefined : 'a')
    // a record of another time
    expect(await booted('/dev/gone9')).toBe('a')
  })

  test('of folders is what the kernel was told, record or not', async () => {
    expect((await openMachine(folders(), options({ cmdline: 'psyopsos=psyopsOS-B', record: record(one) }))).booted).toBe('b')
  })

  test('of a disk image has nothing to do with this machine’s kernel', async () => {
    expect((await openMachine(target, options({ disk: makeDisk(), cmdline: 'psyopsos=psyopsOS-A' }))).booted).toBeUndefined()
  })
})

function makeDisk(): string {
  const image = join(dir, 'disk.img')
  execFileSync('bash', [join(import.meta.dirname, '../fixtures/make-disk.sh'), image, '8'])
  return image
}
const sgdisk = (...args: readonly string[]) => execFileSync('/usr/sbin/sgdisk', args, { stdio: 'ignore' })

describe('a disk image', () => {
  test('whose partitions have no names is known by its file systems', async () => {
    const image = makeDisk()
    sgdisk(...[1, 2, 3, 4].map((number) => `--change-name=${number}:`), image)
    const machine = await openMachine({ kind: 'slots' }, options({ disk: image }))
    expect(machine.slots.a.label).toContain('partition 3')
    expect(machine.slots.b.label).toContain('partition 4')
    await machine.bootloader.prepare()
    expect((await machine.bootloader.read()).copies).toEqual(['valid', 'valid'])
    await machine.close()
  })

  test('goes by the names of its partitions before those of its file systems', async () => {
    const image = makeDisk()
    sgdisk('--change-name=3:psyopsOS-B', '--change-name=4:psyopsOS-A', image)
    expect((await openMachine({ kind: 'slots' }, options({ disk: image }))).slots.a.label).toContain('partition 4')
  })

  test('without a slot, or with one twice, is refused with what there is', async () => {
    const image = makeDisk()
    sgdisk('--change-name=3:psyopsOS-B', image)
    await expect(openMachine({ kind: 'slots' }, options({ disk: image }))).rejects.toMatchObject({
      code: 'usage',
      message: expect.stringContaining('2 partitions called psyopsOS-B'),
    })
    sgdisk('--delete=3', image)
    await expect(openMachine({ kind: 'slots' }, options({ disk: image }))).rejects.toMatchObject({
      code: 'not-found',
      hint: 'it has: PSYOPSOSEFI, psyops-secret, psyopsOS-B',
    })
  })

  test.skipIf(process.geteuid?.() !== 0)('whose slot cannot be mounted leaves no mount, loop device or folder', async () => {
    const image = makeDisk()
    const bytes = readFileSync(image)
    bytes.fill(0, 49 * 1024 ** 2, 50 * 1024 ** 2)
    writeFileSync(image, bytes)
    const machine = await openMachine({ kind: 'slots' }, options({ disk: image }))
    for (const write of [false, true])
      await expect(machine.slots.a.open({ write })).rejects.toMatchObject({ code: 'command-failed', hint: expect.stringContaining('ext4') })
    await machine.close()
    expect(execFileSync('/usr/sbin/losetup', ['-j', image], { encoding: 'utf8' })).toBe('')
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(`psyblob-slot-${process.pid}-`)
    expect(readdirSync(tmpdir()).filter((name) => name.startsWith(`psyblob-slot-${process.pid}-`))).toEqual([])
    expect(readFileSync(image).equals(bytes)).toBe(true)
  })
})
