// Folders of a FAT file system: where the entry of a file is, and changes that are one sector each, so that a power cut cannot split them.
import { PsyblobError, pathTwin, visible } from '../../core/mod.ts'
import { aliasOf, checksumOf, longSlots, plainName, readPiece, readPlain, slotBytes } from './fat-name.ts'
import { type FatVolume, sectorBytes } from './fat-volume.ts'

const attribute = { label: 0x08, folder: 0x10, archive: 0x20, long: 0x0f } as const
const deleted = 0xe5
/** No time is written: 1980-01-01, the first day that FAT knows. Equal releases give equal partitions. */
const firstDay = 0x0021

export type FatEntry = {
  readonly name: string
  readonly isFolder: boolean
  /** Its first cluster, 0 when it has none. */
  readonly cluster: number
  readonly size: number
  /** Where the 32 bytes lie that say so. */
  readonly at: number
  /** Those of its long name before it, and its own last. */
  readonly slots: readonly number[]
}

export type FatFolder = {
  /** 0: the root of a FAT16. */
  readonly cluster: number
  readonly entries: readonly FatEntry[]
  /** Where each 32 bytes lie, in order, and which of them are nobody's. */
  readonly slots: readonly { readonly at: number; readonly isFree: boolean }[]
  /** How many come before the mark that no more follow. */
  readonly length: number
  /** The eleven bytes of every entry. */
  readonly taken: ReadonlySet<string>
}

/** The folder that begins at `cluster`; 0 is the root. */
export async function readFolder(volume: FatVolume, cluster = 0): Promise<FatFolder> {
  const { root, clusterBytes } = volume.shape
  const first = cluster === 0 && 'cluster' in root ? root.cluster : cluster
  const regions =
    first === 0 && 'at' in root
      ? [{ at: root.at, length: root.bytes }]
      : volume.chain(first).map((one) => ({ at: volume.placeOf(one), length: clusterBytes }))
  const raw: { readonly at: number; readonly bytes: Buffer }[] = []
  for (const { at, length } of regions) {
    const bytes = await volume.read(at, length)
    for (let offset = 0; offset < length; offset += slotBytes)
      raw.push({ at: at + offset, bytes: bytes.subarray(offset, offset + slotBytes) })
  }
  const end = raw.findIndex(({ bytes }) => bytes[0] === 0)
  const length = end < 0 ? raw.length : end
  const entries: FatEntry[] = []
  const held = new Set<number>()
  const taken = new Set<string>()
  let pending: { readonly at: number; readonly piece: ReturnType<typeof readPiece> }[] = []
  for (const { at, bytes } of raw.slice(0, length)) {
    const attributes = bytes.readUInt8(11)
    if (bytes[0] === deleted) pending = []
    else if ((attributes & 0x3f) === attribute.long) {
      const piece = readPiece(bytes)
      if (piece.isLast) pending = []
      pending.push({ at, piece })
    } else if ((attributes & attribute.label) !== 0) {
      held.add(at)
      pending = []
    } else {
      const long = longNameOf(
        pending.map(({ piece }) => piece),
        checksumOf(bytes),
      )
      const slots = [...(long === undefined ? [] : pending.map((one) => one.at)), at]
      for (const slot of slots) held.add(slot)
      taken.add(bytes.toString('latin1', 0, 11))
      // the upper half is FAT32's only
      const high = volume.shape.bits === 32 ? bytes.readUInt16LE(20) * 0x10000 : 0
      entries.push({
        name: long ?? readPlain(bytes),
        isFolder: (attributes & attribute.folder) !== 0,
        cluster: high + bytes.readUInt16LE(26),
        size: bytes.readUInt32LE(28),
        at,
        slots,
      })
      pending = []
    }
  }
  return { cluster: first, entries, slots: raw.map(({ at }) => ({ at, isFree: !held.has(at) })), length, taken }
}

/** Undefined when the pieces are not whole, or another entry's. */
function longNameOf(pieces: readonly ReturnType<typeof readPiece>[], checksum: number): string | undefined {
  const isWhole =
    pieces[0]?.isLast === true && pieces.every((piece, at) => piece.number === pieces.length - at && piece.checksum === checksum)
  return isWhole
    ? pieces
        .map((piece) => piece.text)
        .reverse()
        .join('')
    : undefined
}

export function entryCalled({ entries }: FatFolder, name: string): FatEntry | undefined {
  return entries.find((entry) => pathTwin(entry.name) === pathTwin(name))
}

const sectorOf = (at: number) => Math.floor(at / sectorBytes)

/** Two entries whose content can change places in one write. */
export function shareSector(one: FatEntry, two: FatEntry): boolean {
  return sectorOf(one.at) === sectorOf(two.at)
}

/** Changes one sector, durably, and reads it back. */
async function changeSector(volume: FatVolume, sector: number, change: (bytes: Buffer) => void): Promise<void> {
  const at = sector * sectorBytes
  const bytes = await volume.read(at, sectorBytes)
  change(bytes)
  await volume.write(at, bytes)
  await volume.flush()
  if (!(await volume.read(at, sectorBytes)).equals(bytes))
    throw new PsyblobError('corrupt', `a sector of a folder on ${visible(volume.label)} did not stick`, {
      hint: 'the disk may be failing; look at the kernel log',
    })
}

export type NewEntry = {
  readonly name: string
  readonly isFolder?: boolean
  readonly cluster: number
  readonly size: number
}

/**
 * Puts an entry into a folder, all of it in one sector: the sector where `beside` lies when there is room, else any. Throws `no-space` when
 * the root of a FAT16 is full.
 */
export async function addEntry(volume: FatVolume, folder: FatFolder, entry: NewEntry, beside?: FatEntry): Promise<void> {
  // another's long name may have these eleven bytes as its short one
  const wanted = plainName(entry.name)
  const plain = wanted !== undefined && folder.taken.has(wanted.toString('latin1')) ? undefined : wanted
  const short = Buffer.alloc(slotBytes)
  const alias = plain ?? aliasOf(entry.name, folder.taken)
  alias.copy(short)
  short.writeUInt8(entry.isFolder === true ? attribute.folder : attribute.archive, 11)
  for (const offset of [16, 18, 24]) short.writeUInt16LE(firstDay, offset)
  pointAt(short, entry)
  const slots = [...(plain === undefined ? longSlots(entry.name, alias) : []), short]
  const run = findRun(folder, slots.length, beside === undefined ? undefined : sectorOf(beside.at))
  if (run === undefined) return addEntry(volume, await extended(volume, folder), entry, beside)
  await endAfter(volume, folder, run + slots.length)
  const first = folder.slots[run]?.at as number
  const next = folder.slots[run + slots.length]
  await changeSector(volume, sectorOf(first), (bytes) => {
    const start = first % sectorBytes
    // from the mark that no more follow to where we begin: removed ones
    for (let at = folder.length; at < run; at++) {
      const slot = folder.slots[at]?.at as number
      if (sectorOf(slot) === sectorOf(first)) bytes[slot % sectorBytes] = deleted
    }
    for (const [at, slot] of slots.entries()) slot.copy(bytes, start + at * slotBytes)
    // and where we end, unless others follow, the mark
    if (next !== undefined && run + slots.length > folder.length && sectorOf(next.at) === sectorOf(first)) bytes[next.at % sectorBytes] = 0
  })
  await fillGap(volume, folder, run)
}

/** The mark that no more follow, where it has to stand in another sector than the entry before it. */
async function endAfter(volume: FatVolume, { slots, length }: FatFolder, end: number): Promise<void> {
  const [last, next] = [slots[end - 1], slots[end]]
  if (last === undefined || next === undefined || end <= length || sectorOf(next.at) === sectorOf(last.at)) return
  await changeSector(volume, sectorOf(next.at), (bytes) => {
    bytes[next.at % sectorBytes] = 0
  })
}

/** Removed entries from the mark to the sector of a new one. The mark itself goes last: until then the folder ends where it did. */
async function fillGap(volume: FatVolume, { slots, length }: FatFolder, run: number): Promise<void> {
  const own = sectorOf(slots[run]?.at as number)
  const gap = slots.slice(length, run).map(({ at }) => at)
  for (const sector of [...new Set(gap.map(sectorOf))].reverse()) {
    if (sector === own) continue
    await changeSector(volume, sector, (bytes) => {
      for (const at of gap) if (sectorOf(at) === sector) bytes[at % sectorBytes] = deleted
    })
  }
}

/** The first of `count` free places side by side in one sector. */
function findRun({ slots }: FatFolder, count: number, sector: number | undefined): number | undefined {
  const fits = (from: number, only: number | undefined) => {
    const first = slots[from]
    if (first === undefined || (only !== undefined && sectorOf(first.at) !== only)) return false
    return Array.from({ length: count }, (_, at) => slots[from + at]).every(
      (slot) => slot?.isFree === true && sectorOf(slot.at) === sectorOf(first.at),
    )
  }
  for (const only of sector === undefined ? [undefined] : [sector, undefined]) {
    const found = slots.findIndex((_, at) => fits(at, only))
    if (found >= 0) return found
  }
  return undefined
}

/** The folder with an empty cluster more. */
async function extended(volume: FatVolume, folder: FatFolder): Promise<FatFolder> {
  const last = folder.cluster === 0 ? undefined : volume.chain(folder.cluster).at(-1)
  if (last === undefined)
    throw new PsyblobError('no-space', `the root folder of ${visible(volume.label)} is full`, { hint: 'remove what is not needed there' })
  const [added] = volume.choose(1)
  if (added === undefined) throw new RangeError('no cluster')
  await volume.write(volume.placeOf(added), Buffer.alloc(volume.shape.clusterBytes))
  await volume.flush()
  await volume.link([added])
  await volume.append(last, added)
  return readFolder(volume, folder.cluster)
}

/** Makes a folder in `folder`: it is whole before anything names it. `above`: the cluster it calls `..`. */
export async function newFolder(
  volume: FatVolume,
  folder: FatFolder,
  { name, above }: { readonly name: string; readonly above: number },
): Promise<FatFolder> {
  const [cluster] = volume.choose(1)
  if (cluster === undefined) throw new RangeError('no cluster')
  const bytes = Buffer.alloc(volume.shape.clusterBytes)
  for (const [at, [dots, to]] of (
    [
      ['.', cluster],
      ['..', above],
    ] as const
  ).entries())
    dotSlot(bytes.subarray(at * slotBytes, (at + 1) * slotBytes), dots, to)
  await volume.write(volume.placeOf(cluster), bytes)
  await volume.flush()
  await volume.link([cluster])
  await addEntry(volume, folder, { name, isFolder: true, cluster, size: 0 })
  return readFolder(volume, cluster)
}

function dotSlot(slot: Buffer, name: '.' | '..', cluster: number): void {
  slot.write(name.padEnd(11), 'latin1')
  slot.writeUInt8(attribute.folder, 11)
  for (const offset of [16, 18, 24]) slot.writeUInt16LE(firstDay, offset)
  pointAt(slot, { cluster, size: 0 })
}

/** First cluster, in two halves, and size. */
function pointAt(slot: Buffer, { cluster, size }: { readonly cluster: number; readonly size: number }): void {
  slot.writeUInt16LE(cluster >>> 16, 20)
  slot.writeUInt16LE(cluster & 0xffff, 26)
  slot.writeUInt32LE(size, 28)
}

/** Takes an entry out of its folder. The clusters stay taken: they are nobody's until somebody frees or names them. */
export async function removeEntry(volume: FatVolume, entry: FatEntry): Promise<void> {
  // its own sector first: then the file is gone, and pieces of a name without one say nothing
  for (const sector of [...new Set([...entry.slots].reverse().map(sectorOf))])
    await changeSector(volume, sector, (bytes) => {
      for (const at of entry.slots) if (sectorOf(at) === sector) bytes[at % sectorBytes] = deleted
    })
}

/** Lets an entry have other bytes, in one write. */
export async function repoint(volume: FatVolume, entry: FatEntry, to: { readonly cluster: number; readonly size: number }): Promise<void> {
  await changeSector(volume, sectorOf(entry.at), (bytes) => {
    const start = entry.at % sectorBytes
    pointAt(bytes.subarray(start, start + slotBytes), to)
  })
}

/** Lets two entries of one sector change first cluster and size, and nothing else, in one write. */
export async function exchange(volume: FatVolume, one: FatEntry, two: FatEntry): Promise<void> {
  if (!shareSector(one, two)) throw new RangeError('two entries that do not share a sector')
  await changeSector(volume, sectorOf(one.at), (bytes) => {
    for (const [from, to] of [
      [20, 22],
      [26, 32],
    ] as const) {
      const [left, right] = [one, two].map(({ at }) => bytes.subarray((at % sectorBytes) + from, (at % sectorBytes) + to)) as [
        Buffer,
        Buffer,
      ]
      const kept = Buffer.from(left)
      right.copy(left)
      kept.copy(right)
    }
  })
}

/** Gives an entry without a long name another such name, in one write. False when either needs a long one. */
export async function rename(volume: FatVolume, entry: FatEntry, name: string): Promise<boolean> {
  const plain = plainName(name)
  if (plain === undefined || entry.slots.length > 1) return false
  await changeSector(volume, sectorOf(entry.at), (bytes) => {
    plain.copy(bytes, entry.at % sectorBytes)
    // no letter of it is small
    bytes[(entry.at % sectorBytes) + 12] = 0
  })
  return true
}
