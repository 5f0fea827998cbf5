// Two files of a FAT change places in one sector: FAT16 and FAT32, several cluster sizes, checked by mtools and fsck.vfat.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { fatFiles } from '../../../images/esp/efi-files.ts'
import { exchangeEntries, renameEntry, shareSector } from '../../../images/esp/fat-directory.ts'
import { openRun } from '../../../images/run.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'psyblob-fat-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const MiB = 1024 * 1024
const run = openRun(() => undefined)

function makeFat({ bits, size, offset, cluster }: { bits: number; size: number; offset: number; cluster: number }) {
  const path = join(dir, 'fat.img')
  writeFileSync(path, Buffer.alloc(offset, 0xaa))
  truncateSync(path, offset + size)
  const words = ['-F', String(bits), '-s', String(cluster), '--offset', String(offset / 512), path, String(size / 1024)]
  execFileSync('/usr/sbin/mkfs.vfat', words, { stdio: 'ignore' })
  const place = { path, offset, label: 'fat.img' }
  return { path, place, files: fatFiles(place, run), drive: `${path}@@${offset}`, size }
}

function checked({ path, place, size }: ReturnType<typeof makeFat>): string {
  const alone = join(dir, 'alone.img')
  writeFileSync(alone, readFileSync(path).subarray(place.offset, place.offset + size))
  return execFileSync('/usr/sbin/fsck.vfat', ['-n', alone], { encoding: 'utf8' })
}

const mtoolsRead = (drive: string, name: string) => execFileSync('mcopy', ['-n', '-i', drive, `::/${name}`, '-'])
const pair = { folder: 'EFI/BOOT', one: 'BOOTX64.EFI', two: 'BOOTX64.NEW' }
const old = Buffer.alloc(150_000, 'old')
const young = Buffer.alloc(170_001, 'new')

describe.each([
  { bits: 12, size: 4 * MiB, offset: 0, cluster: 4 },
  { bits: 16, size: 16 * MiB, offset: MiB, cluster: 1 },
  { bits: 16, size: 32 * MiB, offset: 0, cluster: 8 },
  { bits: 32, size: 40 * MiB, offset: MiB, cluster: 1 },
  { bits: 32, size: 72 * MiB, offset: 3 * MiB, cluster: 2 },
  { bits: 32, size: 300 * MiB, offset: 0, cluster: 8 },
])('FAT$bits of $size bytes at $offset, $cluster sectors a cluster,', (shape) => {
  test('changes one sector, and each name has the bytes of the other', async () => {
    const fat = makeFat(shape)
    await fat.files.write('EFI/BOOT/a file with a long name.txt', Buffer.from('long'))
    await fat.files.write('EFI/BOOT/BOOTX64.EFI', old)
    await fat.files.write('EFI/BOOT/BOOTX64.NEW', young)
    const before = readFileSync(fat.path)
    expect(await shareSector(fat.place, pair)).toBe(true)
    await exchangeEntries(fat.place, pair)
    const after = readFileSync(fat.path)
    let changed = 0
    for (let at = 0; at < after.length; at += 512) if (!after.subarray(at, at + 512).equals(before.subarray(at, at + 512))) changed++
    expect(changed).toBe(1)
    expect(mtoolsRead(fat.drive, 'EFI/BOOT/BOOTX64.EFI').equals(young)).toBe(true)
    expect(mtoolsRead(fat.drive, 'EFI/BOOT/BOOTX64.NEW').equals(old)).toBe(true)
    expect(Buffer.from((await fat.files.read('efi/boot/bootx64.efi')) ?? []).equals(young)).toBe(true)
    await renameEntry(fat.place, { ...pair, one: 'BOOTX64.NEW', two: 'BOOTX64.OLD' })
    expect(mtoolsRead(fat.drive, 'EFI/BOOT/BOOTX64.OLD').equals(old)).toBe(true)
    expect((await fat.files.list()).map(({ path }) => path).sort()).toEqual([
      'EFI/BOOT/BOOTX64.EFI',
      'EFI/BOOT/BOOTX64.OLD',
      'EFI/BOOT/a file with a long name.txt',
    ])
    expect(checked(fat)).toMatch(/^fsck.*\n\S+ \d+ files, \d+\/\d+ clusters\n$/)
  })

  test('says how much is free, to the cluster', async () => {
    const fat = makeFat(shape)
    const { free, cluster } = await fat.files.room()
    expect(cluster).toBe(shape.cluster * 512)
    await fat.files.write('FILE', Buffer.alloc(cluster + 1))
    expect((await fat.files.room()).free).toBe(free - 2 * cluster)
    await fat.files.remove('file')
    expect(await fat.files.room()).toEqual({ free, cluster })
  })
})

describe('two entries', () => {
  test('in two sectors are refused, and nothing is written', async () => {
    const fat = makeFat({ bits: 32, size: 40 * MiB, offset: 0, cluster: 1 })
    await fat.files.write('EFI/BOOT/BOOTX64.EFI', old)
    for (let at = 0; at < 14; at++) await fat.files.write(`EFI/BOOT/FILE${at}.EFI`, Buffer.from(String(at)))
    await fat.files.write('EFI/BOOT/BOOTX64.NEW', young)
    const before = readFileSync(fat.path)
    expect(await shareSector(fat.place, pair)).toBe(false)
    await expect(exchangeEntries(fat.place, pair)).rejects.toMatchObject({ code: 'conflict' })
    expect(readFileSync(fat.path).equals(before)).toBe(true)
  })

  test('of which one is not there are not found; a disk without FAT is unsupported', async () => {
    const fat = makeFat({ bits: 16, size: 16 * MiB, offset: 0, cluster: 1 })
    await fat.files.write('EFI/BOOT/BOOTX64.EFI', old)
    await expect(exchangeEntries(fat.place, pair)).rejects.toMatchObject({ code: 'not-found' })
    writeFileSync(fat.path, Buffer.alloc(MiB))
    await expect(exchangeEntries(fat.place, pair)).rejects.toMatchObject({
      code: 'unsupported',
      hint: expect.stringContaining('mkfs.vfat'),
    })
  })
})
