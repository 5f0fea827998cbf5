// Reads a GUID partition table (UEFI 2.10, chapter 5): where the partitions of a disk or image file are.
import type { FileHandle } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import { PsyblobError, visible } from '../core/mod.ts'
import { readFull } from '../store/mod.ts'

export type Partition = {
  readonly number: number
  /** The partition's own name in the table. */
  readonly name: string
  /** Bytes from the start of the disk. */
  readonly offset: number
  readonly size: number
  /** GUID in its usual spelling. */
  readonly type: string
}

/** Sector sizes disks have: 512, and 4096 on some. */
const sectors = [512, 4096] as const
const mostEntries = 1024

/** The used partitions in order. Throws `unsupported` when there is no table whose checksums hold. */
export async function readPartitions(disk: FileHandle, label: string): Promise<readonly Partition[]> {
  for (const sector of sectors) {
    const found = await readTable(disk, sector)
    if (found !== undefined) return found
  }
  throw new PsyblobError('unsupported', `${visible(label)} has no GPT partition table that holds`, {
    hint: 'name a disk image or disk with the partitions PSYOPSOSEFI, psyops-secret, psyopsOS-A and psyopsOS-B',
  })
}

async function readTable(disk: FileHandle, sector: number): Promise<readonly Partition[] | undefined> {
  const header = Buffer.alloc(sector)
  if ((await readFull(disk, header, sector)) < sector || header.toString('latin1', 0, 8) !== 'EFI PART') return undefined
  const headerSize = header.readUInt32LE(12)
  if (headerSize < 92 || headerSize > sector) return undefined
  const stated = header.readUInt32LE(16)
  const checked = Buffer.from(header.subarray(0, headerSize))
  checked.writeUInt32LE(0, 16)
  if (crc32(checked) !== stated) return undefined
  const count = header.readUInt32LE(80)
  const entryBytes = header.readUInt32LE(84)
  if (count > mostEntries || entryBytes < 128 || entryBytes > 4096) return undefined
  const table = Buffer.alloc(count * entryBytes)
  if ((await readFull(disk, table, Number(header.readBigUInt64LE(72)) * sector)) < table.length) return undefined
  if (crc32(table) !== header.readUInt32LE(88)) return undefined
  const partitions: Partition[] = []
  for (let at = 0; at < count; at++) {
    const entry = table.subarray(at * entryBytes, (at + 1) * entryBytes)
    const type = guid(entry)
    if (type === '00000000-0000-0000-0000-000000000000') continue
    const first = Number(entry.readBigUInt64LE(32))
    const last = Number(entry.readBigUInt64LE(40))
    // checksums hold for a table that somebody made wrong, too
    if (last < first || !Number.isSafeInteger((last + 1) * sector)) return undefined
    const name = entry.toString('utf16le', 56, 128).replace(/\0.*$/s, '')
    partitions.push({ number: at + 1, name, offset: first * sector, size: (last - first + 1) * sector, type })
  }
  return partitions
}

function guid(bytes: Buffer): string {
  const hex = (from: number, to: number) => bytes.toString('hex', from, to)
  const reversed = (from: number, to: number) => Buffer.from(bytes.subarray(from, to)).reverse().toString('hex')
  return [reversed(0, 4), reversed(4, 6), reversed(6, 8), hex(8, 10), hex(10, 16)].join('-')
}
