// psyblob build iso, as typed: what xorriso and the partition tools find on it, and the same bytes twice. test/boot boots one.
import { mkdirSync, readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { noise, World } from './world.ts'

describe('an ISO image', () => {
  let world: World
  // biome-ignore lint/suspicious/noExplicitAny: whatever the command prints
  let printed: any
  const from = '--remote repo --key os.pub'
  beforeAll(async () => {
    world = await new World().withRelease()
    world.write('efi/EFI/BOOT/BOOTX64.EFI', noise('loader', 700_000))
    await world.must('publish efisys efi --remote repo --key os.key --version one')
    printed = (await world.must(`build iso os.iso ${from} --json`)).json
  })
  afterAll(() => world.close())

  test('has the release at its top, the manifest as signed, owned by root and without a time', () => {
    world.run('xorriso', ['-osirrox', 'on', '-indev', 'os.iso', '-extract', '/', 'out'])
    for (const name of ['kernel', 'squashfs', 'dtbs/board.dtb', 'old-file'])
      expect(world.read(`out/${name}`).equals(world.read(`r1/${name}`))).toBe(true)
    expect(world.read('out/manifest').equals(world.read('repo/manifests/os/1'))).toBe(true)
    expect(world.read('out/manifest.minisig').equals(world.read('repo/manifests/os/1.minisig'))).toBe(true)
    expect(readdirSync(world.path('out')).sort()).toEqual(['dtbs', 'kernel', 'manifest', 'manifest.minisig', 'old-file', 'squashfs'])
    expect(world.run('xorriso', ['-indev', 'os.iso', '-lsl', '/', '--'])).toMatch(/-r--r--r-- +1 0 +0 +300000 Jan +1 +1970 'kernel'/)
  })

  test('is called as GRUB looks for it, and has the time of the release for a UUID', () => {
    const tags = world.run('blkid', ['-p', '-o', 'export', 'os.iso'])
    expect(tags).toContain('LABEL=PSYOPSOSISO\n')
    expect(tags).toContain(`UUID=${printed.uuid}\n`)
    const created = /"created":"([^"]+)"/.exec(world.read('repo/manifests/os/1').toString())?.[1] ?? ''
    expect(printed.uuid).toMatch(new RegExp(`^${created.replace(/[T:]/g, '-').replace('Z', '')}-\\d\\d$`))
  })

  test('boots from a CD and from a stick: the EFI image is El Torito’s and a partition of a GPT that holds', () => {
    const boot = world.run('xorriso', ['-indev', 'os.iso', '-report_el_torito', 'plain', '-report_system_area', 'plain'])
    const [, blocks, at] = /El Torito boot img : +1 +UEFI +y +none +0x0000 +0x00 +(\d+) +(\d+)/.exec(boot) ?? []
    const [, first, length] = /GPT start and size : +2 +(\d+) +(\d+)/.exec(boot) ?? []
    expect([Number(at) * 4, Number(blocks)]).toEqual([Number(first), Number(length)])
    expect(boot).toContain('GPT type GUID      :   2  28732ac11ff8d211ba4b00a0c93ec93b')
    expect(world.run('sgdisk', ['-v', 'os.iso'])).toContain('No problems found')
    world.run('dd', ['if=os.iso', 'of=efi.img', `skip=${first}`, `count=${length}`, 'status=none'])
    world.run('fsck.vfat', ['-n', 'efi.img'])
    world.run('mcopy', ['-n', '-i', 'efi.img', '::/EFI/BOOT/BOOTX64.EFI', 'loader'])
    expect(world.read('loader').equals(world.read('efi/EFI/BOOT/BOOTX64.EFI'))).toBe(true)
    world.run('mcopy', ['-n', '-i', 'efi.img', '::/psyblob/manifest', 'efi-manifest'])
    expect(world.read('efi-manifest').equals(world.read('repo/manifests/efisys/1'))).toBe(true)
  })

  test('is the same bytes in another folder, at another time, by another umask and time zone', async () => {
    await sleep(1100)
    mkdirSync(world.path('elsewhere'))
    const before = process.umask(0o077)
    try {
      await world.must(`build iso elsewhere/other.iso ${from}`, { env: { TZ: 'Asia/Tokyo', LANG: 'de_DE.UTF-8' } })
    } finally {
      process.umask(before)
    }
    world.run('cmp', ['os.iso', 'elsewhere/other.iso'])
    expect(readdirSync(world.path('elsewhere'))).toEqual(['other.iso'])
  })

  test('is made of a stick, and not without a boot loader or programs', async () => {
    await world.must('download os stick --remote repo --key os.pub')
    await world.must('download efisys stick2 --remote repo --key os.pub')
    await world.must('build iso stick.iso --path stick --path stick2 --key os.pub')
    world.run('cmp', ['os.iso', 'stick.iso'])
    expect(await world.psyblob(`build iso bad.iso ${from} --efisys os`)).toMatchObject({ code: 2 })
    mkdirSync(world.path('nothing'))
    expect(await world.psyblob(`build iso bad.iso ${from}`, { env: { PATH: world.path('nothing') } })).toMatchObject({
      code: 16,
      stderr: expect.stringMatching(/not installed: xorriso\n.*apt-get install xorriso/),
    })
    expect(readdirSync(world.dir).filter((name) => /^\.|bad/.test(name))).toEqual([])
  })
})
