// What FAT can do in one sector and no more: two files change places, or one gets another name. A power cut leaves the old or the new.
import { type FileHandle, open } from 'node:fs/promises'
import { PsyblobError, visible } from '../../core/mod.ts'
import { readFull, translated } from '../../store/mod.ts'
import { sectorBytes } from '../environment-block.ts'
import { damaged, entryBytes, entryFields, type FatEntry, FatVolume } from './fat-volume.ts'

export type FatPlace = {
  /** A block device or an image file. */
  readonly path: string
  /** Bytes from its start to the FAT file system. */
  readonly offset: number
  readonly label: string
}

export type FatPair = { readonly folder: string /** Names of 8 and 3 characters. */; readonly one: string; readonly two: string }

/** True when the entries of both names lie in one sector. Throws `not-found` when one is not there. */
export async function shareSector(place: FatPlace, pair: FatPair): Promise<boolean> {
  return withVolume(place, 'r', async (_, volume) => {
    const [one, two] = await entriesOf(place, volume, pair)
    return sectorOf(one) === sectorOf(two)
  })
}

/**
 * Each name gets the bytes of the other: first cluster and size change places, one write of one sector, flushed and read back.
 * Throws `conflict` when the entries lie in two sectors, for that no power cut may split.
 */
export async function exchangeEntries(place: FatPlace, pair: FatPair): Promise<void> {
  await withVolume(place, 'r+', async (file, volume) => {
    const [one, two] = await entriesOf(place, volume, pair)
    if (sectorOf(one) !== sectorOf(two)) {
      throw new PsyblobError('conflict', `${pair.one} and ${pair.two} lie in two sectors of ${pair.folder} on ${visible(place.label)}`, {
        hint: `move other files out of ${pair.folder}, then run the same command again`,
      })
    }
    await changeSector(place, file, one, (sector) => {
      const [left, right] = [one, two].map(({ at }) => sector.subarray(at % sectorBytes, (at % sectorBytes) + entryBytes))
      if (left === undefined || right === undefined) return
      for (const [field, length] of [
        [entryFields.high, 2],
        [entryFields.low, 2],
        [entryFields.size, 4],
      ] as const) {
        const kept = Buffer.from(left.subarray(field, field + length))
        right.copy(left, field, field, field + length)
        kept.copy(right, field)
      }
    })
  })
}

/** Gives a file that has no long name another short one, which nothing there has: one write of one sector. */
export async function renameEntry(place: FatPlace, { folder, one, two }: FatPair): Promise<void> {
  await withVolume(place, 'r+', async (file, volume) => {
    const found = await volume.find(`${folder}/${one}`)
    if (found === undefined) throw absent(place, folder, one)
    const [base = '', extension = ''] = two.toUpperCase().split('.')
    const short = Buffer.from(`${base.padEnd(8)}${extension.padEnd(3)}`, 'latin1')
    await changeSector(place, file, found, (sector) => short.copy(sector, found.at % sectorBytes))
  })
}

async function entriesOf(place: FatPlace, volume: FatVolume, { folder, one, two }: FatPair): Promise<readonly [FatEntry, FatEntry]> {
  const [left, right] = [await volume.find(`${folder}/${one}`), await volume.find(`${folder}/${two}`)]
  if (left === undefined) throw absent(place, folder, one)
  if (right === undefined) throw absent(place, folder, two)
  return [left, right]
}

function absent({ label }: FatPlace, folder: string, name: string): PsyblobError {
  return new PsyblobError('not-found', `no ${visible(folder)}/${visible(name)} on ${visible(label)}`, {
    hint: 'psyblob apply efisys writes it',
  })
}

function sectorOf({ at }: FatEntry): number {
  return at - (at % sectorBytes)
}

/** Reads the sector that holds `entry`, lets `change` change it, writes it in one go, and reads it back. */
async function changeSector(place: FatPlace, file: FileHandle, entry: FatEntry, change: (sector: Buffer) => void): Promise<void> {
  const at = sectorOf(entry)
  const sector = Buffer.alloc(sectorBytes)
  await readFull(file, sector, at)
  const there = sector.toString('latin1', entry.at - at, entry.at - at + 11)
  // somebody else writes there: then nothing of ours may
  if (there !== entry.short) throw damaged(place.label, 'a folder changed while it was read')
  change(sector)
  const { bytesWritten } = await file.write(sector, 0, sectorBytes, at)
  await file.datasync()
  const got = Buffer.alloc(sectorBytes)
  await readFull(file, got, at)
  if (bytesWritten !== sectorBytes || !got.equals(sector)) {
    throw new PsyblobError('corrupt', `a folder on ${visible(place.label)} did not stick`, {
      hint: 'the EFI partition may be failing: fsck.vfat looks at it',
    })
  }
}

/** Opens the device and reads the shape of what is on it, for as long as `work` takes. */
export async function withVolume<Result>(
  place: FatPlace,
  flags: 'r' | 'r+',
  work: (file: FileHandle, volume: FatVolume) => Promise<Result>,
): Promise<Result> {
  const { path, offset, label } = place
  try {
    const file = await open(path, flags)
    try {
      return await work(file, await FatVolume.open(file, { start: offset, label }))
    } finally {
      await file.close()
    }
  } catch (error) {
    throw translated(error, `${flags === 'r' ? 'reading' : 'writing'} ${label}`)
  }
}
