// Files on FAT file systems that nobody mounts: written by us, read by mtools and fsck.vfat, and the other way round; every width.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { fatFiles } from '../../../images/esp/fat-files.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'psyblob-fat-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const MiB = 1024 * 1024
type Shape = { readonly bits: number; readonly size: number; readonly offset: number; readonly cluster: number; readonly root?: number }

function makeFat({ bits, size, offset, cluster, root }: Shape): string {
  const path = join(dir, 'fat.img')
  writeFileSync(path, Buffer.alloc(offset, 0xaa))
  truncateSync(path, offset + size)
  const more = root === undefined ? [] : ['-r', String(root)]
  const place = ['--offset', String(offset / 512), path, String(size / 1024)]
  execFileSync('/usr/sbin/mkfs.vfat', ['-F', String(bits), '-s', String(cluster), ...more, ...place], { stdio: 'ignore' })
  truncateSync(path, offset + size + MiB)
  return path
}

/** What fsck.vfat says without mending anything; empty when all is well. */
function fsck(path: string, { offset, size }: Shape): string {
  const alone = join(dir, 'alone.img')
  writeFileSync(alone, readFileSync(path).subarray(offset, offset + size))
  try {
    execFileSync('/usr/sbin/fsck.vfat', ['-n', alone], { encoding: 'utf8' })
    return ''
  } catch (error) {
    return String((error as { stdout?: unknown }).stdout)
  }
}

const mtools = (name: string, path: string, { offset }: Shape, ...args: string[]) =>
  execFileSync(name, ['-i', `${path}@@${offset}`, ...args], { env: { ...process.env, MTOOLS_SKIP_CHECK: '1' } })

const bytesOf = (seed: string, length: number) => {
  const block = createHash('sha256').update(seed).digest()
  return Buffer.alloc(length, block)
}
/** What a file holds that must be there. */
async function all(reading: Promise<Uint8Array | undefined>): Promise<Buffer> {
  const bytes = await reading
  if (bytes === undefined) throw new Error('no such file')
  return Buffer.from(bytes)
}

describe.each<Shape>([
  { bits: 12, size: 1.5 * MiB, offset: 0, cluster: 1 },
  { bits: 12, size: 4 * MiB, offset: MiB, cluster: 4 },
  { bits: 16, size: 16 * MiB, offset: 0, cluster: 1 },
  { bits: 16, size: 64 * MiB, offset: MiB, cluster: 8 },
  { bits: 32, size: 40 * MiB, offset: MiB, cluster: 1 },
  { bits: 32, size: 72 * MiB, offset: 3 * MiB, cluster: 2 },
  { bits: 32, size: 136 * MiB, offset: 0, cluster: 4 },
])('FAT$bits of $size bytes at $offset, $cluster sectors a cluster,', (shape) => {
  test('holds what was written, as mtools reads it, and fsck.vfat finds nothing', async () => {
    const path = makeFat(shape)
    const files = fatFiles({ path, offset: shape.offset, label: path })
    const contents = new Map<string, Buffer>()
    const put = async (name: string, length: number) => {
      const bytes = bytesOf(`${name} ${length}`, length)
      contents.set(name, bytes)
      await files.write(name, bytes)
    }
    await put('EFI/BOOT/BOOTX64.EFI', 100_000)
    await put('EFI/BOOT/BOOTX64.NEW', 0)
    await put('psyblob/manifest', 1)
    await put('psyblob/manifest.minisig', 512)
    await put('psyblob/new/a name with many letters, and äöü, 漢字 too', 4096)
    await put('lower.txt', 513)
    // more than a cluster of entries, with names of all lengths
    for (let number = 0; number < 60; number++) await put(`many/${'n'.repeat(1 + number * 3)}${number}.efi`, number)
    await put('EFI/BOOT/BOOTX64.EFI', 90_000)
    await put('psyblob/manifest', 70_000)
    expect(fsck(path, shape)).toBe('')
    const listed = await files.list()
    expect(listed.map((file) => `${file.path} ${file.size}`).sort()).toEqual(
      [...contents].map(([name, bytes]) => `${name} ${bytes.length}`).sort(),
    )
    for (const [name, bytes] of contents) {
      expect((await all(files.read(name))).equals(bytes)).toBe(true)
      expect((await all(files.read(name, { fresh: true }))).equals(bytes)).toBe(true)
      if (/^[ -~]*$/.test(name)) expect(mtools('mtype', path, shape, `::/${name}`).equals(bytes)).toBe(true)
    }
    // and gives all of it back
    for (const name of contents.keys()) await files.remove(name.toUpperCase())
    expect(await files.list()).toEqual([])
    expect(fsck(path, shape)).toBe('')
    // the bytes around it are as they were
    const image = readFileSync(path)
    expect(image.subarray(0, shape.offset).every((byte) => byte === 0xaa)).toBe(true)
    expect(image.subarray(shape.offset + shape.size).every((byte) => byte === 0)).toBe(true)
  })

  test('reads and replaces what mtools wrote, long names and small letters included', async () => {
    const path = makeFat(shape)
    const source = join(dir, 'source')
    mtools('mmd', path, shape, '::/efi', '::/efi/boot', '::/efi/A folder with a long name')
    for (const [name, length] of [
      ['::/efi/boot/bootx64.efi', 70_000],
      ['::/efi/boot/Some Long Name.Efi', 5],
      ['::/efi/A folder with a long name/x', 40_000],
    ] as const) {
      writeFileSync(source, bytesOf(name, length))
      mtools('mcopy', path, shape, source, name)
      expect((await all(fatFiles({ path, offset: shape.offset, label: path }).read(name.slice(3)))).equals(bytesOf(name, length))).toBe(
        true,
      )
    }
    const files = fatFiles({ path, offset: shape.offset, label: path })
    await files.write('EFI/BOOT/BOOTX64.EFI', bytesOf('new', 80_000))
    expect((await files.list()).map((file) => file.path)).toEqual([
      'efi/boot/bootx64.efi',
      'efi/boot/Some Long Name.Efi',
      'efi/A folder with a long name/x',
    ])
    expect(mtools('mtype', path, shape, '::/EFI/BOOT/BOOTX64.EFI').equals(bytesOf('new', 80_000))).toBe(true)
    await files.remove('efi/boot/SOME LONG NAME.EFI')
    await files.move('efi/A folder with a long name/x', 'moved/there')
    expect((await all(files.read('moved/there'))).equals(bytesOf('::/efi/A folder with a long name/x', 40_000))).toBe(true)
    expect(fsck(path, shape)).toBe('')
  })

  test('exchanges two loaders by one sector, of which 10 bytes of two entries change and then a name', async () => {
    const path = makeFat(shape)
    const files = fatFiles({ path, offset: shape.offset, label: path })
    await files.write('EFI/BOOT/BOOTX64.EFI', bytesOf('old', 9_000))
    await files.write('EFI/BOOT/BOOTX64.NEW', bytesOf('new', 11_000))
    const before = readFileSync(path)
    const loader = 'EFI/BOOT/BOOTX64'
    await files.promote({ current: `${loader}.EFI`, next: `${loader}.NEW`, former: `${loader}.OLD` })
    const after = readFileSync(path)
    const changed: number[] = []
    for (let at = 0; at < after.length; at++) if (after[at] !== before[at]) changed.push(at)
    expect(new Set(changed.map((at) => Math.floor(at / 512))).size).toBe(1)
    expect(changed.length).toBeLessThanOrEqual(2 * 10 + 3)
    expect((await all(files.read(`${loader}.EFI`))).equals(bytesOf('new', 11_000))).toBe(true)
    expect((await all(files.read(`${loader}.OLD`))).equals(bytesOf('old', 9_000))).toBe(true)
    expect((await files.list()).length).toBe(2)
    expect(fsck(path, shape)).toBe('')
  })

  test('exchanges loaders whose entries lie in two sectors, with room in the first one and without', async () => {
    for (const filler of [13, 40]) {
      const path = makeFat(shape)
      const files = fatFiles({ path, offset: shape.offset, label: path })
      const source = join(dir, 'source')
      const loader = 'EFI/BOOT/BOOTX64'
      await files.write(`${loader}.EFI`, bytesOf('old', 9_000))
      writeFileSync(source, bytesOf('new', 11_000))
      for (let number = 0; number < filler; number++) mtools('mcopy', path, shape, source, `::/EFI/BOOT/${number}`)
      mtools('mcopy', path, shape, source, `::/${loader}.NEW`)
      if (filler === 40) mtools('mcopy', path, shape, source, `::/${loader}.OLD`)
      // one place in the first sector

      if (filler === 13) mtools('mdel', path, shape, '::/EFI/BOOT/3')
      await files.promote({ current: `${loader}.EFI`, next: `${loader}.NEW`, former: `${loader}.OLD` })
      expect((await all(files.read(`${loader}.EFI`))).equals(bytesOf('new', 11_000))).toBe(true)
      expect((await all(files.read(`${loader}.OLD`))).equals(bytesOf('old', 9_000))).toBe(true)
      expect(fsck(path, shape)).toBe('')
    }
  })

  test('says how much is free, and a file that does not fit leaves all as it was', async () => {
    const path = makeFat(shape)
    const files = fatFiles({ path, offset: shape.offset, label: path })
    await files.write('EFI/x', bytesOf('x', 10))
    const { free, cluster } = await files.room()
    expect(cluster).toBe(shape.cluster * 512)
    const before = readFileSync(path)
    await expect(files.write('EFI/y', Buffer.alloc(free + 1))).rejects.toMatchObject({ code: 'no-space' })
    await expect(files.write('EFI/a:b', bytesOf('y', 7))).rejects.toMatchObject({ code: 'unsupported' })
    await expect(files.move('EFI/y', 'EFI/z')).rejects.toMatchObject({ code: 'not-found' })
    expect(await files.read('EFI/y')).toBeUndefined()
    expect(readFileSync(path).equals(before)).toBe(true)
    expect(fsck(path, shape)).toBe('')
    await files.write('EFI/y', bytesOf('y', free))
    expect(await files.room()).toMatchObject({ free: 0 })
    await expect(files.write('EFI/z', bytesOf('z', 1))).rejects.toMatchObject({ code: 'no-space' })
    expect(fsck(path, shape)).toBe('')
  })
})

describe('a FAT that is none', () => {
  test.each([
    ['zeros', Buffer.alloc(MiB), 'unsupported'],
    ['nothing', Buffer.alloc(0), 'unsupported'],
    ['ones', Buffer.alloc(MiB, 0xff), 'unsupported'],
  ])('%s is refused', async (name, bytes, code) => {
    const path = join(dir, name)
    writeFileSync(path, bytes)
    await expect(fatFiles({ path, offset: 0, label: `${name}\u001b[2J` }).list()).rejects.toMatchObject({
      code,
      message: expect.stringContaining(`${name}\\u{1b}[2J`),
      hint: expect.stringContaining('mkfs.vfat'),
    })
  })

  test('chains that cross or have no end are told, and nothing is mended behind anybody’s back', async () => {
    const shape = { bits: 16, size: 16 * MiB, offset: 0, cluster: 1 }
    const path = makeFat(shape)
    const files = fatFiles({ path, offset: 0, label: path })
    await files.write('one', bytesOf('1', 5_000))
    await files.write('two', bytesOf('2', 5_000))
    const image = readFileSync(path)
    const table = image.readUInt16LE(14) * 512
    for (const [cluster, next] of [
      [3, 15],
      [4, 2],
      [4, 0xfff0],
      [4, 0],
    ] as const) {
      const bad = Buffer.from(image)
      bad.writeUInt16LE(next, table + cluster * 2)
      writeFileSync(path, bad)
      await expect(files.list()).rejects.toMatchObject({ code: 'corrupt', hint: expect.stringContaining('fsck.vfat') })
      await expect(files.mend()).rejects.toMatchObject({ code: 'corrupt' })
      expect(readFileSync(path).equals(bad)).toBe(true)
    }
  })

  test('clusters that are nobody’s are taken back', async () => {
    const shape = { bits: 32, size: 40 * MiB, offset: 0, cluster: 1 }
    const path = makeFat(shape)
    const files = fatFiles({ path, offset: 0, label: path })
    await files.write('one', bytesOf('1', 5_000))
    const { free } = await files.room()
    const image = readFileSync(path)
    const table = image.readUInt16LE(14) * 512
    for (let cluster = 100; cluster < 110; cluster++) image.writeUInt32LE(cluster + 1, table + cluster * 4)
    image.writeUInt32LE(0x0fffffff, table + 110 * 4)
    writeFileSync(path, image)
    expect(fsck(path, shape)).not.toBe('')
    expect(await files.room()).toMatchObject({ free })
    await files.mend()
    expect(await files.room()).toMatchObject({ free })
    expect(fsck(path, shape)).toBe('')
  })
})
