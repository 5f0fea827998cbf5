// Reading a FAT file system where nobody has mounted it: its shape, its folders, the clusters of its files (Microsoft FAT specification).
import type { FileHandle } from 'node:fs/promises'
import { PsyblobError, visible } from '../../core/mod.ts'
import { readFull } from '../../store/mod.ts'

/** One name in a folder. */
export type FatEntry = {
  /** The long name where there is one, else the short one. */
  readonly name: string
  /** Eleven characters as they lie on the disk. */
  readonly short: string
  readonly isFolder: boolean
  /** The first one; 0 when the file is empty. */
  readonly cluster: number
  readonly size: number
  /** Byte offset of its 32 bytes on the device. */
  readonly at: number
}

export const entryBytes = 32
/** Of an entry: high word of the first cluster, low word, size. */
export const entryFields = { high: 20, low: 26, size: 28 } as const
const attributes = { label: 0x08, folder: 0x10, longName: 0x0f } as const
/** A folder is never larger (specification, 6); a chain that goes on beyond it runs in a circle. */
const mostFolderBytes = 65_536 * entryBytes

export class FatVolume {
  readonly #file: FileHandle
  readonly #label: string
  /** Byte offset of the file system on the device. */
  readonly #start: number
  readonly #table: Buffer
  readonly #bits: 12 | 16 | 32
  readonly #clusters: number
  readonly #data: number
  readonly #root: { readonly at: number; readonly bytes: number } | { readonly cluster: number }
  readonly clusterBytes: number

  private constructor(options: {
    readonly file: FileHandle
    readonly label: string
    readonly start: number
    readonly shape: Shape
    readonly table: Buffer
  }) {
    const { file, label, start, shape, table } = options
    this.#file = file
    this.#label = label
    this.#start = start
    this.#table = table
    this.#bits = shape.bits
    this.#clusters = shape.clusters
    this.#data = shape.data
    this.#root = shape.root
    this.clusterBytes = shape.clusterBytes
  }

  /** Reads the boot sector and the first table. Throws `unsupported` when there is no FAT file system, `corrupt` when it is cut short. */
  static async open(file: FileHandle, { start, label }: { readonly start: number; readonly label: string }): Promise<FatVolume> {
    const boot = Buffer.alloc(512)
    const got = await readFull(file, boot, start)
    const shape = got < boot.length ? undefined : shapeOf(boot)
    if (shape === undefined) {
      throw new PsyblobError('unsupported', `no FAT file system on ${visible(label)}`, {
        hint: 'an EFI partition is FAT: mkfs.vfat makes one; or name another place with --esp',
      })
    }
    const table = Buffer.alloc(shape.tableBytes)
    if ((await readFull(file, table, start + shape.table)) < table.length) throw damaged(label, 'its allocation table is cut short')
    return new FatVolume({ file, label, start, shape, table })
  }

  /** Bytes in clusters that belong to nothing. */
  get freeBytes(): number {
    let free = 0
    for (let cluster = 2; cluster < this.#clusters + 2; cluster++) if (this.#next(cluster) === 0) free++
    return free * this.clusterBytes
  }

  /** Names in the folder called `path`, `` for the root; undefined when there is no such folder. */
  async folder(path: string): Promise<readonly FatEntry[] | undefined> {
    let entries = await this.#entries(this.#root)
    for (const segment of path === '' ? [] : path.split('/')) {
      const found = entries.find((entry) => entry.isFolder && isCalled(entry, segment))
      if (found === undefined) return undefined
      entries = await this.#entries({ cluster: found.cluster })
    }
    return entries
  }

  /** The file called `path`; case does not count. */
  async find(path: string): Promise<FatEntry | undefined> {
    const cut = path.lastIndexOf('/')
    const entries = await this.folder(cut < 0 ? '' : path.slice(0, cut))
    return entries?.find((entry) => !entry.isFolder && isCalled(entry, path.slice(cut + 1)))
  }

  /** A file's bytes. Throws `corrupt` when its chain is shorter than its size. */
  async read({ cluster, size, name }: FatEntry): Promise<Buffer> {
    const bytes = Buffer.alloc(size)
    const chain = size === 0 ? [] : this.#chain(cluster, size)
    if (chain.length * this.clusterBytes < size) throw damaged(this.#label, `${visible(name)} has fewer bytes than its size says`)
    for (let at = 0, from = 0; at < size; ) {
      // neighbours in one go
      let to = from + 1
      while (to < chain.length && chain[to] === (chain[to - 1] ?? 0) + 1) to++
      const piece = bytes.subarray(at, Math.min(size, at + (to - from) * this.clusterBytes))
      if ((await readFull(this.#file, piece, this.#offset(chain[from] ?? 0))) < piece.length)
        throw damaged(this.#label, `${visible(name)} lies beyond the end`)
      at += piece.length
      from = to
    }
    return bytes
  }

  #offset(cluster: number): number {
    return this.#start + this.#data + (cluster - 2) * this.clusterBytes
  }

  #next(cluster: number): number {
    if (this.#bits === 32) return this.#table.readUInt32LE(cluster * 4) & 0x0fffffff
    if (this.#bits === 16) return this.#table.readUInt16LE(cluster * 2)
    const pair = this.#table.readUInt16LE(Math.floor(cluster * 1.5))
    return cluster % 2 === 0 ? pair & 0xfff : pair >> 4
  }

  /** The clusters that hold the first `bytes` bytes, or as many as there are. */
  #chain(first: number, bytes: number): readonly number[] {
    const chain: number[] = []
    for (let cluster = first; chain.length * this.clusterBytes < bytes; cluster = this.#next(cluster)) {
      if (cluster < 2 || cluster >= this.#clusters + 2) break
      chain.push(cluster)
    }
    return chain
  }

  async #entries(folder: { readonly at: number; readonly bytes: number } | { readonly cluster: number }): Promise<readonly FatEntry[]> {
    const pieces =
      'at' in folder
        ? [{ at: this.#start + folder.at, bytes: folder.bytes }]
        : this.#chain(folder.cluster, mostFolderBytes).map((cluster) => ({ at: this.#offset(cluster), bytes: this.clusterBytes }))
    const entries: FatEntry[] = []
    let long = ''
    for (const { at, bytes } of pieces) {
      const buffer = Buffer.alloc(bytes)
      await readFull(this.#file, buffer, at)
      for (let offset = 0; offset < bytes; offset += entryBytes) {
        const raw = buffer.subarray(offset, offset + entryBytes)
        const [first, attribute] = [raw.readUInt8(0), raw.readUInt8(11)]
        if (first === 0) return entries
        if (first === 0xe5) long = ''
        else if ((attribute & 0x3f) === attributes.longName) long = pieceOf(raw) + (first & 0x40 ? '' : long)
        else {
          if ((attribute & attributes.label) === 0) entries.push(entryOf(raw, long, at + offset))
          long = ''
        }
      }
    }
    return entries
  }
}

type Shape = {
  readonly bits: 12 | 16 | 32
  readonly clusters: number
  readonly clusterBytes: number
  readonly table: number
  readonly tableBytes: number
  readonly data: number
  readonly root: { readonly at: number; readonly bytes: number } | { readonly cluster: number }
}

/** What the boot sector says; undefined when it is none of a FAT file system (specification, 3). */
function shapeOf(boot: Buffer): Shape | undefined {
  const sector = boot.readUInt16LE(11)
  const perCluster = boot.readUInt8(13)
  const reserved = boot.readUInt16LE(14)
  const tables = boot.readUInt8(16)
  const tableSectors = boot.readUInt16LE(22) || boot.readUInt32LE(36)
  const rootBytes = boot.readUInt16LE(17) * entryBytes
  const total = boot.readUInt16LE(19) || boot.readUInt32LE(32)
  if (boot.readUInt16LE(510) !== 0xaa55 || ![512, 1024, 2048, 4096].includes(sector) || perCluster === 0) return undefined
  if ((perCluster & (perCluster - 1)) !== 0 || reserved === 0 || tables === 0 || tableSectors === 0) return undefined
  const before = reserved + tables * tableSectors + Math.ceil(rootBytes / sector)
  const clusters = Math.floor((total - before) / perCluster)
  if (clusters < 1) return undefined
  const bits = clusters < 4085 ? 12 : clusters < 65_525 ? 16 : 32
  const tableBytes = tableSectors * sector
  if (tableBytes < Math.ceil(((clusters + 2) * bits) / 8) || (bits === 32) !== (rootBytes === 0)) return undefined
  return {
    bits,
    clusters,
    clusterBytes: perCluster * sector,
    table: reserved * sector,
    tableBytes,
    data: before * sector,
    root: bits === 32 ? { cluster: boot.readUInt32LE(44) } : { at: (reserved + tables * tableSectors) * sector, bytes: rootBytes },
  }
}

/** The characters of one piece of a long name; pieces lie last first (specification, 7). */
function pieceOf(raw: Buffer): string {
  const units = Buffer.concat([raw.subarray(1, 11), raw.subarray(14, 26), raw.subarray(28, 32)]).toString('utf16le')
  const end = units.indexOf('\0')
  return end < 0 ? units : units.slice(0, end)
}

function entryOf(raw: Buffer, long: string, at: number): FatEntry {
  const short = raw.toString('latin1', 0, 11)
  const plain = [short.slice(0, 8), short.slice(8)].map((part) => part.trimEnd()).filter((part) => part !== '')
  return {
    name: long === '' ? plain.join('.') : long,
    short,
    isFolder: (raw.readUInt8(11) & attributes.folder) !== 0,
    cluster: raw.readUInt16LE(entryFields.high) * 65_536 + raw.readUInt16LE(entryFields.low),
    size: raw.readUInt32LE(entryFields.size),
    at,
  }
}

function isCalled({ name, short }: FatEntry, wanted: string): boolean {
  const plain = `${short.slice(0, 8).trimEnd()}.${short.slice(8).trimEnd()}`.replace(/\.$/, '')
  return [name, plain].some((one) => one.toLowerCase() === wanted.toLowerCase())
}

export function damaged(label: string, why: string): PsyblobError {
  return new PsyblobError('corrupt', `the FAT file system on ${visible(label)} is damaged: ${why}`, {
    hint: 'fsck.vfat says more and mends it; nothing was written',
  })
}
