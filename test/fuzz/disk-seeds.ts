// Disks, file systems and tar files that are as small as they may be, and how their checksums are made right again.
import { crc32 } from 'node:zlib'
import { tarEnd, tarHeader, tarPadding } from '../../images/builders/tar-header.ts'

/** Four entries of 128 bytes, two of them used. */
export function smallGpt(sector: 512 | 4096): Uint8Array {
  const disk = Buffer.alloc(sector * 2 + 512)
  const header = disk.subarray(sector)
  header.write('EFI PART', 0, 'latin1')
  for (const [at, value] of [
    [8, 0x10000],
    [12, 92],
    [80, 4],
    [84, 128],
  ] as const)
    header.writeUInt32LE(value, at)
  for (const [at, value] of [
    [24, 1n],
    [40, 34n],
    [48, 2000n],
    [72, 2n],
  ] as const)
    header.writeBigUInt64LE(value, at)
  for (const [at, name] of ['PSYOPSOSEFI', 'psyopsOS-A'].entries()) {
    const entry = disk.subarray(sector * 2 + at * 128)
    entry.fill(at + 1, 0, 32)
    entry.writeBigUInt64LE(BigInt(100 * (at + 1)), 32)
    entry.writeBigUInt64LE(BigInt(100 * (at + 1) + 50), 40)
    entry.write(name, 56, 'utf16le')
  }
  return sealGpt(new Uint8Array(disk))
}

/** With checksums that hold, wherever the header is and says that the entries are. */
export function sealGpt(input: Uint8Array): Uint8Array {
  const disk = Buffer.from(input)
  for (const sector of [512, 4096]) {
    const header = disk.subarray(sector)
    if (header.toString('latin1', 0, 8) !== 'EFI PART' || header.length < 92) continue
    const from = Number(header.readBigUInt64LE(72)) * sector
    const length = header.readUInt32LE(80) * header.readUInt32LE(84)
    if (from + length <= disk.length) header.writeUInt32LE(crc32(disk.subarray(from, from + length)), 88)
    const size = header.readUInt32LE(12)
    if (size < 92 || size > Math.min(sector, header.length)) continue
    header.writeUInt32LE(0, 16)
    header.writeUInt32LE(crc32(header.subarray(0, size)), 16)
  }
  return new Uint8Array(disk)
}

/** 7 sectors: the boot sector, one or two of a table, the root, clusters of one sector. No program would make one so small; every reader must read it. */
export function emptyFat(bits: 12 | 16 | 32): Uint8Array {
  // what says that it is a FAT16 is the number of its clusters, most of which are behind the end of the file
  const clusters = bits === 16 ? 4085 : 5
  const tableSectors = bits === 16 ? 16 : 1
  const reserved = bits === 32 ? 2 : 1
  const rootSectors = bits === 32 ? 0 : 1
  const data = (reserved + tableSectors + rootSectors) * 512
  const image = Buffer.alloc(data + 5 * 512)
  image.writeUInt16LE(512, 11)
  image.writeUInt8(1, 13)
  image.writeUInt16LE(reserved, 14)
  image.writeUInt8(1, 16)
  image.writeUInt16LE(rootSectors * 16, 17)
  image.writeUInt16LE(data / 512 + clusters, 19)
  if (bits === 32) {
    image.writeUInt32LE(tableSectors, 36)
    image.writeUInt32LE(2, 44)
    image.writeUInt16LE(1, 48)
    for (const [at, value] of [
      [0, 0x41615252],
      [484, 0x61417272],
      [488, 4],
    ] as const)
      image.writeUInt32LE(value, 512 + at)
    image.writeUInt32LE(0x0fffffff, reserved * 512 + 8)
  } else image.writeUInt16LE(tableSectors, 22)
  image.writeUInt16LE(0xaa55, 510)
  return new Uint8Array(image)
}

export function smallTar(): Uint8Array {
  const plain = { mode: 0o644, uid: 0, gid: 0, link: '', attributes: new Map<string, string>(), time: 0 }
  const content = Buffer.from('hello')
  const parts = [
    tarHeader({ ...plain, path: 'etc', kind: 'folder', size: 0 }),
    tarHeader({ ...plain, path: 'etc/motd', kind: 'file', size: content.length, attributes: new Map([['user.x', 'y']]) }),
    content,
    tarPadding(content.length),
    tarHeader({ ...plain, path: `${'d/'.repeat(80)}x`, kind: 'symlink', link: '../motd', size: 0 }),
    tarHeader({ ...plain, path: 'hard', kind: 'hardlink', link: 'etc/motd', size: 0, uid: 2 ** 31 }),
    tarHeader({ ...plain, path: 'large', kind: 'file', size: 2 ** 40 }),
    tarEnd,
  ]
  return new Uint8Array(Buffer.concat(parts))
}

/** Blocks that look like headers get the sum of their bytes. */
export function sealTar(input: Uint8Array): Uint8Array {
  const bytes = Buffer.from(input)
  for (let at = 0; at + 512 <= bytes.length; at += 512) {
    const block = bytes.subarray(at, at + 512)
    if (block.toString('latin1', 257, 262) !== 'ustar') continue
    block.fill(0x20, 148, 156)
    const sum = block.reduce((total, byte) => total + byte, 0)
    block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  }
  return new Uint8Array(bytes)
}
