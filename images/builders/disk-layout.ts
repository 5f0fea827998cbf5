// The partitions of a disk image: where they lie, what they are called, and identifiers that follow from what they hold (spec/disk.md).
import { createHash, randomUUID } from 'node:crypto'
import { PsyblobError } from '../../core/mod.ts'
import { journalBytes } from './ext4.ts'

export const mebibyte = 1024 * 1024

export type PartitionName = 'PSYOPSOSEFI' | 'psyops-secret' | 'psyopsOS-A' | 'psyopsOS-B' | 'psyblob-data'

export type PlannedPartition = {
  readonly name: PartitionName
  readonly number: number
  /** Bytes. */
  readonly offset: number
  readonly size: number
  /** Of the GPT entry. */
  readonly guid: string
  /** Of the file system; FAT takes its first eight digits. */
  readonly uuid: string
}

export type DiskLayout = { readonly guid: string; readonly size: number; readonly partitions: readonly PlannedPartition[] }

export type LayoutOptions = {
  /** Bytes of what each holds. */
  readonly content: { readonly release: number; readonly efi: number; readonly secret: number }
  /** Bytes, each a multiple of a mebibyte; undefined: as much as it takes. */
  readonly slotSize: number | undefined
  /** Of the whole image. */
  readonly size: number | undefined
  /** 0: none. */
  readonly dataSize: number
  /** What identifiers are made of; undefined: they are random. */
  readonly seed: string | undefined
}

/** GPT keeps the first mebibyte and the last. */
const margins = 2 * mebibyte
const step = 16 * mebibyte

/** Throws `usage` when it does not fit into the size that was asked for, and says which would do. */
export function layOutDisk({ content, slotSize, size, dataSize, seed }: LayoutOptions): DiskLayout {
  const { release } = content
  // what is there and what is to come lie beside each other during an update
  const esp = Math.max(64 * mebibyte, rounded(content.efi * 2.2 + 2 * mebibyte, step))
  const secret = secretBytes(content.secret)
  const fixed = margins + esp + secret + dataSize
  const wanted = Math.max(64 * mebibyte, rounded(ext4Bytes(release * 2.2), step))
  const least = rounded(ext4Bytes(release), mebibyte)
  const slot = slotSize ?? (size === undefined ? wanted : Math.floor((size - fixed) / 2 / mebibyte) * mebibyte)
  const whole = size ?? fixed + 2 * slot
  const mib = (bytes: number) => `${bytes / mebibyte} MiB`
  const releaseText = `the release takes ${mib(Math.ceil(release / mebibyte) * mebibyte)}`
  if (slotSize !== undefined && slotSize < least)
    throw new PsyblobError('usage', `a slot of ${mib(slotSize)} is too small: ${releaseText}`, {
      hint: `give --slot-size at least ${mib(least)}, better ${mib(wanted)}: then an update finds room beside what it replaces`,
    })
  if (slot < least || whole < fixed + 2 * slot)
    throw new PsyblobError('usage', `a disk of ${mib(whole)} is too small: ${releaseText} in each slot, and the rest ${mib(fixed)}`, {
      hint: `give --size at least ${mib(fixed + 2 * (slotSize ?? least))}, better ${mib(fixed + 2 * wanted)}: then an update finds room beside what it replaces`,
    })
  const sizes: readonly (readonly [PartitionName, number])[] = [
    ['PSYOPSOSEFI', esp],
    ['psyops-secret', secret],
    ['psyopsOS-A', slot],
    ['psyopsOS-B', slot],
    ...(dataSize === 0 ? [] : [['psyblob-data', dataSize] as const]),
  ]
  const id = (what: string) => (seed === undefined ? randomUUID() : uuidOf(`${seed}${what}\n`))
  let offset = mebibyte
  const partitions = sizes.map(([name, length], at): PlannedPartition => {
    const planned = { name, number: at + 1, offset, size: length, guid: id(`partition ${name}`), uuid: id(`file system ${name}`) }
    offset += length
    return planned
  })
  return { guid: id('disk'), size: whole, partitions }
}

/** Of psyops-secret, for so many bytes in it. */
export function secretBytes(content: number): number {
  return Math.max(16 * mebibyte, rounded(ext4Bytes(content * 1.5), step))
}

/** What an ext4 file system takes that has to hold so much: inode tables, journal, and a little air. */
function ext4Bytes(content: number): number {
  const bytes = content * 1.03 + 4 * mebibyte
  return bytes + journalBytes(bytes * 1.1)
}

function rounded(bytes: number, to: number): number {
  return Math.ceil(bytes / to) * to
}

/** A UUID of version 8 (RFC 9562, 5.8) that `text` always gives. */
export function uuidOf(text: string): string {
  const bytes = createHash('sha256').update(text).digest().subarray(0, 16)
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x80, 6)
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8)
  const hex = bytes.toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}
