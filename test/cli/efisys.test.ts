// The EFI partition as a product, as typed: in images, in folders; trials of boot loaders; and what goes wrong.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { noise, World } from './world.ts'

let world: World
beforeEach(async () => {
  world = new World()
  await world.must('key new os --no-password')
  await world.must('init repo --key os.key --repo org.example.test')
  await publish(1)
})
afterEach(() => world.close())

const loader = (serial: number) => noise(`loader ${serial}`, 300_000 + serial)
const idOf = (serial: number) => `id-of-${serial}`

/** A release as `psyblob build efisys` makes them. */
async function publish(serial: number, files: Readonly<Record<string, string | Buffer>> = {}): Promise<void> {
  const all = {
    'EFI/BOOT/BOOTX64.EFI': loader(serial),
    'EFI/tools/memtest.efi': noise('memtest', 50_000),
    [`EFI/tools/only-in-${serial}.efi`]: `tool ${serial}`,
    'psyblob/loader': `${idOf(serial)}\n`,
    'psyblob/grub.cfg': `# script ${serial}\n`,
    ...files,
  }
  for (const [name, bytes] of Object.entries(all)) world.write(`e${serial}/${name}`, bytes)
  await world.must(`publish efisys e${serial} --remote repo --key os.key`)
}

const makeDisk = () => world.run('bash', [join(import.meta.dirname, '../fixtures/make-disk.sh'), 'disk.img', '8'])
const drive = `disk.img@@${1024 * 1024}`
const read = (name: string) => execFileSync('mcopy', ['-n', '-i', drive, `::/${name}`, '-'], { cwd: world.dir, maxBuffer: 1e8 })
const has = (name: string) =>
  world.run('bash', ['-c', `mdir -b -i ${drive} ::/${name} >/dev/null 2>&1 && echo yes || echo no`]).trim() === 'yes'
const variables = (name: string) =>
  Object.fromEntries(
    read(name)
      .toString()
      .split('\n')
      .filter((line) => line.includes('='))
      .map((line) => line.split('=') as [string, string]),
  )
const put = (name: string, bytes: string | Buffer) => {
  writeFileSync(world.path('put'), bytes)
  world.run('mcopy', ['-o', '-i', drive, 'put', `::/${name}`])
}
/** As GRUB does before it starts a new boot loader. */
const grubBegins = () => put('trial', `# GRUB Environment Block\ntrial_for=${variables('loader')['trial']}\n`.padEnd(1024, '#'))
const cameBy = (serial: number) => ({ env: { PSYBLOB_CMDLINE: `quiet psyblob.loader=${idOf(serial)} ro` } })
function fsck(): string {
  world.run('dd', ['if=disk.img', 'of=esp.img', 'bs=1M', 'skip=1', 'count=40', 'status=none'])
  return world.run('fsck.vfat', ['-n', 'esp.img'])
}
const disk = '--key os.pub --remote repo --disk disk.img'
const folder = '--key os.pub --remote repo --esp esp'

describe('an EFI partition in an image', () => {
  test('gets the first release at once, and is checked, verified, shown', async () => {
    makeDisk()
    put('grubenv', 'somebody else’s')
    expect((await world.must(`sync efisys ${disk} --json`)).json).toMatchObject({
      changed: true,
      onTrial: false,
      serial: 1,
      previousSerial: null,
    })
    expect(read('EFI/BOOT/BOOTX64.EFI').equals(loader(1))).toBe(true)
    expect(has('EFI/BOOT/BOOTX64.NEW')).toBe(false)
    expect(read('grubenv').toString()).toBe('somebody else’s')
    expect(variables('loader')).toEqual({ trial: '0000000000', id: '', commit: '0000000000' })
    expect(fsck()).toMatch(/^fsck.*\n\S+ \d+ files, \d+\/\d+ clusters\n$/)
    expect((await world.must(`sync efisys ${disk} --json`)).json).toMatchObject({ changed: false, requests: 1 })
    await world.must(`check efisys ${disk}`)
    await world.must(`check latest efisys ${disk}`)
    await world.must(`check current efisys ${disk}`)
    expect((await world.must(`verify efisys ${disk} --json`)).json).toMatchObject([{ ok: true, serial: 1 }])
    expect((await world.must(`status efisys ${disk}`)).stdout).toMatch(/EFI partition: 1 \(/)
    await world.must(`show efisys ${disk}`)
    expect(existsSync(world.path('store/.efi-efisys'))).toBe(false)
  })

  test('tries a new boot loader once, and switches to it when it came up', async () => {
    makeDisk()
    await world.must(`sync efisys ${disk}`)
    await publish(2)
    const synced = await world.must(`sync efisys ${disk} --json`)
    expect(synced.json).toMatchObject({ changed: true, onTrial: true, previousSerial: 1 })
    expect(read('EFI/BOOT/BOOTX64.EFI').equals(loader(1))).toBe(true)
    expect(read('EFI/BOOT/BOOTX64.NEW').equals(loader(2))).toBe(true)
    expect(variables('loader')).toEqual({ trial: '1000000001', id: idOf(2), commit: '1000000001' })
    expect(variables('trial')).toEqual({ trial_for: '0000000000' })
    expect((await world.must(`sync efisys ${disk} --json`)).json).toMatchObject({ changed: false, onTrial: true })
    expect((await world.must(`status efisys ${disk}`)).stdout).toMatch(/EFI partition: 1 .*is tried at the next boot/)
    expect(await world.psyblob(`check efisys ${disk}`)).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('tried at the next boot'),
    })
    expect((await world.must(`verify efisys ${disk}`)).stdout).toContain('tried at the next boot')
    grubBegins()
    expect((await world.must(`sync efisys ${disk} --json`, cameBy(2))).json).toMatchObject({
      changed: false,
      onTrial: false,
      previousSerial: 2,
    })
    expect(read('EFI/BOOT/BOOTX64.EFI').equals(loader(2))).toBe(true)
    expect(read('EFI/BOOT/BOOTX64.OLD').equals(loader(1))).toBe(true)
    expect([has('EFI/BOOT/BOOTX64.NEW'), has('psyblob/next'), has('EFI/tools/only-in-1.efi')]).toEqual([false, false, false])
    expect(variables('loader')).toEqual({ trial: '0000000000', id: '', commit: '0000000000' })
    await world.must(`check efisys ${disk}`)
    expect((await world.must(`status efisys ${disk} --json`)).json).toMatchObject({ floor: 2, efi: { serial: 2, trial: null } })
    expect(fsck()).toMatch(/^fsck.*\n\S+ \d+ files, \d+\/\d+ clusters\n$/)
    expect(await world.psyblob(`apply efisys --version 1 ${disk}`)).toMatchObject({ code: 12 })
  })

  test('gives a boot loader up that did not come up, and does not try it again by itself', async () => {
    makeDisk()
    await world.must(`sync efisys ${disk}`)
    await publish(2)
    await world.must(`sync efisys ${disk}`)
    grubBegins()
    const after = await world.must(`sync efisys ${disk} --json`, cameBy(1))
    expect(after.stderr).toContain('did not boot')
    expect(after.json).toMatchObject({ changed: false, held: expect.stringContaining('did not boot') })
    expect(read('EFI/BOOT/BOOTX64.EFI').equals(loader(1))).toBe(true)
    expect([has('EFI/BOOT/BOOTX64.NEW'), has('psyblob/next')]).toEqual([false, false])
    await world.must(`verify efisys ${disk}`)
    await world.must(`check efisys --version 1 ${disk}`)
    expect((await world.must(`status efisys ${disk} --json`)).json).toMatchObject({ avoided: [2] })
    await publish(3)
    expect((await world.must(`sync efisys ${disk} --json`, cameBy(1))).json).toMatchObject({ changed: true, onTrial: true })
    expect(variables('loader')).toMatchObject({ trial: '1000000002', id: idOf(3) })
  })

  test('switches at once with --force, and without a trial when only other files change', async () => {
    makeDisk()
    await world.must(`sync efisys ${disk}`)
    await publish(2)
    expect((await world.must(`apply efisys --force ${disk} --json`)).json).toMatchObject({ changed: true, onTrial: false })
    expect(read('EFI/BOOT/BOOTX64.EFI').equals(loader(2))).toBe(true)
    await publish(3, { 'EFI/BOOT/BOOTX64.EFI': loader(2), 'psyblob/loader': `${idOf(2)}\n` })
    expect((await world.must(`apply efisys ${disk} --json`)).json).toMatchObject({ changed: true, onTrial: false })
    await world.must(`verify efisys ${disk}`)
    expect(read('EFI/BOOT/BOOTX64.OLD').equals(loader(1))).toBe(true)
  })

  test('with a damaged file says so, and is mended', async () => {
    makeDisk()
    await world.must(`sync efisys ${disk}`)
    put('EFI/tools/memtest.efi', noise('other', 50_000))
    expect(await world.psyblob(`check efisys ${disk}`)).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('/EFI/tools/memtest.efi: changed'),
    })
    expect(await world.psyblob(`verify efisys ${disk}`)).toMatchObject({
      code: 13,
      stdout: expect.stringContaining('/EFI/tools/memtest.efi'),
    })
    expect((await world.must(`apply efisys ${disk} --json`)).json).toMatchObject({ changed: true, onTrial: false })
    await world.must(`verify efisys ${disk}`)
    put('EFI/BOOT/BOOTX64.EFI', noise('other', 300_001))
    expect(await world.psyblob(`verify efisys ${disk}`)).toMatchObject({ code: 13 })
    await world.must(`apply efisys ${disk}`)
    await world.must(`check efisys ${disk}`)
  })

  test('whose boot folder is full of names, and the first loader among others, is switched all the same', async () => {
    makeDisk()
    await world.must(`sync efisys ${disk}`)
    for (let at = 0; at < 20; at++) put(`EFI/BOOT/OTHER${at}.EFI`, String(at))
    await publish(2)
    await world.must(`apply efisys --force ${disk}`)
    await world.must(`check efisys ${disk}`)
    expect(read('EFI/BOOT/BOOTX64.OLD').equals(loader(1))).toBe(true)
    expect(has('EFI/BOOT/BOOTX64.NEW')).toBe(false)
    expect(fsck()).toMatch(/^fsck.*\n\S+ \d+ files, \d+\/\d+ clusters\n$/)
  })

  test('is not touched while somebody holds the product', async () => {
    makeDisk()
    await world.must(`sync efisys ${disk}`)
    await publish(2)
    await world.must(`hold efisys ${disk} --why fair`)
    expect((await world.must(`sync efisys ${disk} --json`)).json).toMatchObject({ changed: false, held: expect.stringContaining('fair') })
    expect(has('psyblob/next')).toBe(false)
    await world.must(`unhold efisys ${disk}`)
    expect((await world.must(`sync efisys ${disk} --json`)).json).toMatchObject({ changed: true, onTrial: true })
  })

  test('teaches a node that lost its store what not to go back to', async () => {
    makeDisk()
    const first = readFileSync(world.path('repo/channels/stable'))
    await publish(2)
    await world.must(`sync efisys ${disk}`)
    world.remove('store')
    writeFileSync(world.path('repo/channels/stable'), first)
    expect(await world.psyblob(`sync efisys ${disk}`)).toMatchObject({ code: 12, stderr: expect.stringContaining('rollback') })
    expect(read('EFI/BOOT/BOOTX64.EFI').equals(loader(2))).toBe(true)
  })

  test('has a folder where it had a file, and a file where it had a folder', async () => {
    makeDisk()
    await publish(2, { tools: 'a file', 'docs/one.txt': 'in a folder' })
    await world.must(`sync efisys ${disk}`)
    world.remove('e3')
    await publish(3, { 'tools/one.txt': 'in a folder', docs: 'a file' })
    await world.must(`apply efisys --force ${disk}`)
    await world.must(`check efisys ${disk}`)
    expect([read('tools/one.txt').toString(), read('docs').toString()]).toEqual(['in a folder', 'a file'])
  })

  test('keeps its other files, too, until the new boot loader came up', async () => {
    makeDisk()
    await world.must(`sync efisys ${disk}`)
    const tool = () => read('psyblob/grub.cfg').toString()
    const before = tool()
    await publish(2)
    await world.must(`sync efisys ${disk}`, { env: { PSYBLOB_CMDLINE: 'psyblob.loader=id-of-1' } })
    expect(tool()).toBe(before)
    expect(has('psyblob/new')).toBe(true)
    await world.must(`sync efisys ${disk}`, { env: { PSYBLOB_CMDLINE: 'psyblob.loader=id-of-2' } })
    expect(tool()).toBe('# script 2\n')
    expect(has('psyblob/new')).toBe(false)
    await world.must(`check efisys ${disk}`)
  })

  test('too full for the release is told before anything is written', async () => {
    makeDisk()
    put('big', Buffer.alloc(41_100_000))
    const before = readFileSync(world.path('disk.img'))
    const refused = await world.psyblob(`sync efisys ${disk}`)
    expect(refused).toMatchObject({
      code: 15,
      stderr: expect.stringMatching(/no-space: the EFI partition .* is too small: \d+ bytes are missing/),
    })
    expect(readFileSync(world.path('disk.img')).equals(before)).toBe(true)
  })

  test('that is none, or no FAT, is told', async () => {
    expect(await world.psyblob(`sync efisys ${folder}`)).toMatchObject({ code: 10, stderr: expect.stringContaining('no EFI partition') })
    makeDisk()
    world.run('dd', ['if=/dev/zero', 'of=disk.img', 'bs=1M', 'seek=1', 'count=40', 'conv=notrunc', 'status=none'])
    expect(await world.psyblob(`sync efisys ${disk}`)).toMatchObject({ code: 16, stderr: expect.stringContaining('no FAT file system') })
    expect((await world.must(`status efisys ${disk}`)).stdout).toContain('no FAT file system')
  })

  test('is left as it was by a dry run', async () => {
    makeDisk()
    const before = readFileSync(world.path('disk.img'))
    expect((await world.must(`sync efisys ${disk} --dry-run --json`)).json).toMatchObject({ changed: true, dryRun: true })
    expect(readFileSync(world.path('disk.img')).equals(before)).toBe(true)
    expect(existsSync(world.path('store'))).toBe(false)
  })
})

describe('an EFI partition that is a folder', () => {
  test('beside slots is synced with everything, and mark good ends the trial', async () => {
    mkdirSync(world.path('esp'))
    world.write('r1/kernel', noise('kernel', 10_000))
    await world.must('publish os r1 --remote repo --key os.key')
    const key = /RW\S+/.exec(readFileSync(world.path('os.pub'), 'utf8'))?.[0]
    const place = (dir: string) => ({ dir: world.path(dir) })
    const uris = [world.path('repo')]
    const lines = [
      { name: 'os', key, uris, target: { kind: 'slots', a: place('a'), b: place('b'), esp: place('esp') } },
      { name: 'efisys', key, uris, target: { kind: 'esp', esp: place('esp') } },
    ]
    world.write('composition', lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
    const here = '--composition composition'
    await world.must(`sync ${here}`)
    await world.must(`check latest ${here} --booted a`)
    await publish(2)
    expect((await world.must(`sync ${here} --booted a --json`)).json).toMatchObject([{ changed: false }, { changed: true, onTrial: true }])
    await world.must(`mark good a ${here} --booted a`, cameBy(2))
    expect(world.read('esp/EFI/BOOT/BOOTX64.EFI').equals(loader(2))).toBe(true)
    expect(world.read('esp/EFI/BOOT/BOOTX64.OLD').equals(loader(1))).toBe(true)
    await world.must(`check latest ${here} --booted a`)
    await world.must(`verify ${here}`)
  })

  test('of another product is refused, and so is a file of the boot state in a release', async () => {
    mkdirSync(world.path('esp'))
    await world.must(`sync efisys ${folder}`)
    await world.must('publish other e1 --remote repo --key os.key')
    const key = /RW\S+/.exec(readFileSync(world.path('os.pub'), 'utf8'))?.[0]
    world.write('composition', `${JSON.stringify({ name: 'other', key, uris: ['repo'], target: { kind: 'esp', esp: { dir: 'esp' } } })}\n`)
    expect(await world.psyblob('sync --composition composition')).toMatchObject({
      code: 11,
      stderr: expect.stringContaining('belongs to product efisys'),
    })
    await publish(2, { 'state1/select': 'mine' })
    expect(await world.psyblob(`sync efisys ${folder}`)).toMatchObject({ code: 16, stderr: expect.stringContaining('/state1/select') })
    expect(await world.psyblob(`sync efisys ${folder} --slot-a a`)).toMatchObject({ code: 2 })
    expect(await world.psyblob(`apply efisys a ${folder}`)).toMatchObject({ code: 2 })
  })
})
