// The boot state on FAT file systems that nobody mounts: every width of FAT, alone and inside an image, compared byte for byte.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { grub } from '../../../images/bootloaders/grub.ts'
import { fatStateFiles } from '../../../images/esp/fat-state-files.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'psyblob-fat-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const MiB = 1024 * 1024

/** A file system of `size` bytes that begins `offset` bytes into an image with something else before and behind it. */
function makeFat(options: { readonly bits: number; readonly size: number; readonly offset: number; readonly cluster: number }): string {
  const { bits, size, offset, cluster } = options
  const path = join(dir, 'fat.img')
  writeFileSync(path, Buffer.alloc(offset, 0xaa))
  truncateSync(path, offset + size)
  const sectors = ['--offset', String(offset / 512), path, String(size / 1024)]
  execFileSync('/usr/sbin/mkfs.vfat', ['-F', String(bits), '-s', String(cluster), ...sectors], { stdio: 'ignore' })
  truncateSync(path, offset + size + MiB)
  return path
}

describe.each([
  { bits: 12, size: MiB, offset: 0, cluster: 1 },
  { bits: 12, size: 4 * MiB, offset: MiB, cluster: 4 },
  { bits: 16, size: 16 * MiB, offset: MiB, cluster: 1 },
  { bits: 16, size: 32 * MiB, offset: 0, cluster: 8 },
  { bits: 32, size: 40 * MiB, offset: MiB, cluster: 1 },
  { bits: 32, size: 72 * MiB, offset: 3 * MiB, cluster: 2 },
])('FAT$bits of $size bytes at $offset, $cluster sectors a cluster,', (shape) => {
  test('gets its state files, and a write changes one sector of each copy and no other byte', async () => {
    const path = makeFat(shape)
    const bootloader = grub(fatStateFiles({ path, offset: shape.offset, label: path }))
    expect(await bootloader.read()).toMatchObject({ seq: undefined, copies: ['absent', 'absent'] })
    await bootloader.prepare()
    const before = readFileSync(path)
    expect(await bootloader.write({ order: ['b', 'a'], good: ['a'] })).toMatchObject({ seq: 1_000_000_001, copies: ['valid', 'valid'] })
    const after = readFileSync(path)
    expect(after.length).toBe(before.length)
    const changed: number[] = []
    for (let at = 0; at < after.length; at += 512) if (!after.subarray(at, at + 512).equals(before.subarray(at, at + 512))) changed.push(at)
    expect(changed).toHaveLength(2)
    for (const at of changed)
      expect(after.toString('latin1', at, at + 512)).toContain('seq=1000000001\norder=ba\ngood=a\ncommit=1000000001\n')
    const alone = join(dir, 'alone.img')
    writeFileSync(alone, after.subarray(shape.offset, shape.offset + shape.size))
    execFileSync('/usr/sbin/fsck.vfat', ['-n', alone], { stdio: 'ignore' })
  })
})

describe('an EFI partition', () => {
  test('with a state file that is not as long as it must be is not written to at all', async () => {
    const path = makeFat({ bits: 16, size: 16 * MiB, offset: 0, cluster: 1 })
    const files = fatStateFiles({ path, offset: 0, label: path })
    await grub(files).prepare()
    await files.create('state2/select', Buffer.from('short'))
    const before = readFileSync(path)
    await expect(grub(files).write({ order: ['b', 'a'], good: [] })).rejects.toMatchObject({
      code: 'corrupt',
      message: expect.stringContaining('state2/select'),
      hint: expect.stringContaining('nothing was written'),
    })
    expect(readFileSync(path).equals(before)).toBe(true)
  })

  test('that is no FAT file system is a failure with a hint, not an empty state', async () => {
    const path = join(dir, 'zeros')
    writeFileSync(path, Buffer.alloc(MiB))
    await expect(grub(fatStateFiles({ path, offset: 0, label: 'zeros\u001b[2J' })).read()).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringContaining('zeros\\u{1b}[2J'),
      hint: expect.stringContaining('FAT'),
    })
  })
})
