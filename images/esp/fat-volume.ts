// A FAT file system that nobody has mounted, on a device or inside an image: its clusters, and which follow which (Microsoft FAT specification, 3 and 4).
import { constants } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'
import { PsyblobError, visible } from '../../core/mod.ts'
import { alignedMemory, hasCode, readFull, translated, writeAll } from '../../store/mod.ts'

export type FatPlace = {
  /** A block device or an image file. */
  readonly path: string
  /** Bytes from its start to the file system. */
  readonly offset: number
  readonly label: string
}

/** What a power cut cannot split, whatever the file system calls a sector. */
export const sectorBytes = 512
/** Of the memory and the places that a read past the page cache takes. */
const page = 4096
/** As much as is read or written at once. A multiple of every cluster. */
export const pieceBytes = 1024 * 1024

/** No cluster follows; narrow tables take its lower bits. */
const lastEnd = 0x0fffffff
/** Of the values that say that no cluster follows; the one before them marks a bad cluster. */
const firstEnd = { 12: 0xff8, 16: 0xfff8, 32: 0x0ffffff8 } as const

/** Four million clusters: no EFI partition has more. */
const mostTable = 16 * 1024 * 1024

export type FatShape = {
  readonly bits: 12 | 16 | 32
  readonly clusterBytes: number
  /** Numbered from 2. */
  readonly clusters: number
  /** Where the copies of the table begin, the one that is read first. */
  readonly tables: readonly number[]
  readonly tableBytes: number
  /** Where cluster 2 begins. */
  readonly data: number
  readonly root: { readonly cluster: number } | { readonly at: number; readonly bytes: number }
  /** FAT32's note of free clusters. */
  readonly info: number | undefined
}

/** Reads the boot sector. Throws `unsupported` when it is none of a FAT file system. */
function shapeOf(boot: Buffer, label: string): FatShape {
  const bytes = boot.readUInt16LE(11)
  const perCluster = boot.readUInt8(13)
  const reserved = boot.readUInt16LE(14)
  const copies = boot.readUInt8(16)
  const rootBytes = boot.readUInt16LE(17) * 32
  const tableSectors = boot.readUInt16LE(22) || boot.readUInt32LE(36)
  const isPower = (value: number) => value > 0 && (value & (value - 1)) === 0
  const refuse = (why: string) =>
    new PsyblobError('unsupported', `${visible(label)} ${why}`, {
      hint: 'an EFI partition is FAT: mkfs.vfat -F 32 -n PSYOPSOSEFI makes one; or name another place with --esp',
    })
  const isFat = boot.readUInt16LE(510) === 0xaa55 && [512, 1024, 2048, 4096].includes(bytes) && isPower(perCluster)
  if (!isFat || reserved === 0 || copies === 0 || tableSectors === 0) throw refuse('holds no FAT file system')
  const rootAt = (reserved + copies * tableSectors) * bytes
  const data = rootAt + Math.ceil(rootBytes / bytes) * bytes
  const total = (boot.readUInt16LE(19) || boot.readUInt32LE(32)) * bytes
  const clusterBytes = perCluster * bytes
  const tableBytes = tableSectors * bytes
  const wanted = Math.floor((total - data) / clusterBytes)
  // the count decides between the two narrow ones, and what is said where the wide one says other things decides for it
  const bits = boot.readUInt16LE(22) === 0 ? 32 : wanted < 4085 ? 12 : 16
  // as every driver does: a table too short for its clusters ends them
  const clusters = Math.min(wanted, Math.floor((tableBytes * 8) / bits) - 2)
  if (tableBytes > mostTable) throw refuse('has a FAT file system that is larger than that of any EFI partition')
  if (clusters < 1 || (bits === 32) !== (rootBytes === 0)) throw refuse('holds no FAT file system')
  const starts = Array.from({ length: copies }, (_, at) => (reserved + at * tableSectors) * bytes)
  const flags = bits === 32 ? boot.readUInt16LE(40) : 0
  // copies that are not kept alike: one is in use
  const tables = (flags & 0x80) === 0 ? starts : starts.slice(flags & 0xf, (flags & 0xf) + 1)
  if (tables.length === 0) throw refuse('says that it uses a table it does not have')
  const info = bits === 32 && boot.readUInt16LE(48) > 0 && boot.readUInt16LE(48) < reserved ? boot.readUInt16LE(48) * bytes : undefined
  const root = bits === 32 ? { cluster: boot.readUInt32LE(44) } : { at: rootAt, bytes: rootBytes }
  return { bits, clusterBytes, clusters, tables, tableBytes, data, root, info }
}

/** A block device that a file system in use claims, in whatever mount namespace, is refused with EBUSY (open(2), O_EXCL). */
async function writeFlags(path: string): Promise<number> {
  return (await stat(path)).isBlockDevice() ? constants.O_RDWR | constants.O_EXCL : constants.O_RDWR
}

/** Open for one piece of work: the table is read when it is opened, so nobody else may write meanwhile. */
export class FatVolume {
  readonly label: string
  readonly shape: FatShape
  readonly #place: FatPlace
  readonly #file: FileHandle
  readonly #table: Buffer

  private constructor(options: { place: FatPlace; file: FileHandle; shape: FatShape; table: Buffer }) {
    this.label = options.place.label
    this.#place = options.place
    this.#file = options.file
    this.shape = options.shape
    this.#table = options.table
  }

  /** To be closed. Errors: `unsupported`, `corrupt` (the disk's). */
  static async open(place: FatPlace, mode: 'read' | 'write'): Promise<FatVolume> {
    const file = await open(place.path, mode === 'write' ? await writeFlags(place.path) : constants.O_RDONLY).catch((error: unknown) => {
      if (!hasCode(error, 'EBUSY')) throw error
      throw new PsyblobError('locked', `${visible(place.label)} is mounted somewhere, or in use`, {
        hint: 'unmount it, then run the same command again; nothing was written',
      })
    })
    try {
      const boot = Buffer.alloc(sectorBytes)
      if ((await readFull(file, boot, place.offset)) < boot.length) boot.fill(0)
      const shape = shapeOf(boot, place.label)
      const table = Buffer.alloc(shape.tableBytes)
      const volume = new FatVolume({ place, file, shape, table })
      if ((await readFull(file, table, place.offset + (shape.tables[0] as number))) < table.length)
        throw volume.damaged('its allocation table is cut short')
      return volume
    } catch (error) {
      await file.close()
      throw error
    }
  }

  /** Runs `work` on the file system at `place`. */
  static async use<Result>(place: FatPlace, mode: 'read' | 'write', work: (volume: FatVolume) => Promise<Result>): Promise<Result> {
    try {
      const volume = await FatVolume.open(place, mode)
      try {
        return await work(volume)
      } finally {
        await volume.close()
      }
    } catch (error) {
      throw translated(error, `${mode === 'write' ? 'writing' : 'reading'} ${place.label}`)
    }
  }

  close(): Promise<void> {
    return this.#file.close()
  }

  damaged(why: string): PsyblobError {
    return new PsyblobError('corrupt', `the FAT file system on ${visible(this.label)} is damaged: ${visible(why)}`, {
      hint: 'fsck.vfat mends it; then run the same command again',
    })
  }

  async read(at: number, length: number): Promise<Buffer> {
    const bytes = Buffer.alloc(length)
    if ((await readFull(this.#file, bytes, this.#place.offset + at)) < length) throw this.damaged('it ends before its last byte')
    return bytes
  }

  async write(at: number, bytes: Uint8Array): Promise<void> {
    await writeAll(this.#file, bytes, this.#place.offset + at)
  }

  /** Everything written so far is on the disk afterwards. */
  async flush(): Promise<void> {
    await this.#file.datasync()
  }

  /** A reader past the page cache, as far as the system knows how, of at most `pieceBytes` at a time. `close` it. */
  async freshReader(): Promise<{ read(at: number, length: number): Promise<Buffer>; close(): Promise<void> }> {
    const plain = { read: (at: number, length: number) => this.read(at, length), close: async () => undefined }
    const file = await open(this.#place.path, constants.O_RDONLY | (constants.O_DIRECT ?? 0)).catch(() => undefined)
    if (file === undefined) return plain
    const memory = alignedMemory(pieceBytes + 2 * page)
    const read = async (at: number, length: number): Promise<Buffer> => {
      const from = this.#place.offset + at
      const start = Math.floor(from / page) * page
      try {
        // what lies behind the end of the device does not come
        const { bytesRead } = await file.read(memory, 0, Math.ceil((from + length - start) / page) * page, start)
        if (bytesRead >= from - start + length) return Buffer.from(memory.subarray(from - start, from - start + length))
      } catch (error) {
        if (!hasCode(error, 'EINVAL', 'ENOTSUP', 'EOPNOTSUPP')) throw error
      }
      return this.read(at, length)
    }
    return { read, close: () => file.close() }
  }

  /** Where a cluster lies. */
  placeOf(cluster: number): number {
    return this.shape.data + (cluster - 2) * this.shape.clusterBytes
  }

  #entry(cluster: number): number {
    if (this.shape.bits === 32) return this.#table.readUInt32LE(cluster * 4) & 0x0fffffff
    if (this.shape.bits === 16) return this.#table.readUInt16LE(cluster * 2)
    const pair = this.#table.readUInt16LE(Math.floor(cluster * 1.5))
    return cluster % 2 === 0 ? pair & 0xfff : pair >> 4
  }

  #isCluster(value: number): boolean {
    return value >= 2 && value < this.shape.clusters + 2
  }

  /** The clusters of a file in order; none for 0, which is what an empty file has. */
  chain(first: number): readonly number[] {
    const found: number[] = []
    const end = firstEnd[this.shape.bits]
    for (let cluster = first; cluster !== 0; ) {
      if (!this.#isCluster(cluster)) throw this.damaged(`a chain leads to cluster ${cluster}`)
      if (found.length > this.shape.clusters) throw this.damaged('a chain has no end')
      found.push(cluster)
      const next = this.#entry(cluster)
      if (next === 0) throw this.damaged(`a chain leads to cluster ${cluster}, which is free`)
      cluster = next >= end ? 0 : next
    }
    return found
  }

  /** Clusters that are neither free nor bad. */
  used(): readonly number[] {
    const bad = firstEnd[this.shape.bits] - 1
    const found: number[] = []
    for (let cluster = 2; cluster < this.shape.clusters + 2; cluster++) {
      const entry = this.#entry(cluster)
      if (entry !== 0 && entry !== bad) found.push(cluster)
    }
    return found
  }

  freeClusters(): number {
    let free = 0
    for (let cluster = 2; cluster < this.shape.clusters + 2; cluster++) if (this.#entry(cluster) === 0) free++
    return free
  }

  /** Free clusters, not yet taken. Throws `no-space`. */
  choose(count: number): readonly number[] {
    const found: number[] = []
    for (let cluster = 2; found.length < count && cluster < this.shape.clusters + 2; cluster++)
      if (this.#entry(cluster) === 0) found.push(cluster)
    if (found.length === count) return found
    const missing = (count - found.length) * this.shape.clusterBytes
    throw new PsyblobError('no-space', `${visible(this.label)} is full: ${missing} bytes are missing`, {
      hint: 'remove what is not needed from the EFI partition, or make it larger',
    })
  }

  /** Makes a chain of free clusters, durably. Nobody's until an entry of a folder names the first. */
  async link(chain: readonly number[]): Promise<void> {
    for (const [at, cluster] of chain.entries()) this.#set(cluster, chain[at + 1] ?? lastEnd)
    await this.#writeTable(chain)
  }

  /** Lets `last`, which ends a chain, be followed by `next`. Throws `no-space` for one of a FAT12 that lies in two sectors, which a power cut could split. */
  async append(last: number, next: number): Promise<void> {
    if (this.shape.bits === 12 && Math.floor(last * 1.5) % sectorBytes === sectorBytes - 1)
      throw new PsyblobError('no-space', `a folder on ${visible(this.label)} is full`, { hint: 'remove what is not needed there' })
    this.#set(last, next)
    await this.#writeTable([last])
  }

  async free(chain: readonly number[]): Promise<void> {
    for (const cluster of chain) this.#set(cluster, 0)
    await this.#writeTable(chain)
  }

  #set(cluster: number, value: number): void {
    if (this.shape.bits === 12) {
      const at = Math.floor(cluster * 1.5)
      const pair = this.#table.readUInt16LE(at)
      const narrow = value & 0xfff
      this.#table.writeUInt16LE(cluster % 2 === 0 ? (pair & 0xf000) | narrow : (pair & 0xf) | (narrow << 4), at)
    } else if (this.shape.bits === 16) this.#table.writeUInt16LE(value & 0xffff, cluster * 2)
    // the upper four bits are not ours
    else this.#table.writeUInt32LE((((this.#table.readUInt32LE(cluster * 4) & 0xf0000000) | value) >>> 0) as number, cluster * 4)
  }

  async #writeTable(clusters: readonly number[]): Promise<void> {
    const touched = clusters.flatMap((cluster) => {
      const first = Math.floor((cluster * this.shape.bits) / 8)
      // twelve bits may lie across the end of a sector
      return [first, first + 1].map((at) => Math.floor(at / sectorBytes))
    })
    const sectors = [...new Set(touched)].sort((one, two) => one - two)
    // the copy that readers take last
    for (const table of [...this.shape.tables].reverse())
      for (const sector of sectors) {
        const at = sector * sectorBytes
        await this.write(table + at, this.#table.subarray(at, at + sectorBytes))
      }
    await this.#noteFree()
    await this.flush()
  }

  /** Makes every copy of the table equal to the first: a power cut may come between them. */
  async equalTables(): Promise<void> {
    for (const table of this.shape.tables.slice(1)) {
      const copy = await this.read(table, this.shape.tableBytes)
      for (let at = 0; at < copy.length; at += sectorBytes) {
        const own = this.#table.subarray(at, at + sectorBytes)
        if (!copy.subarray(at, at + sectorBytes).equals(own)) await this.write(table + at, own)
      }
    }
    await this.#noteFree()
    await this.flush()
  }

  /** FAT32 keeps a count for those who do not want to count. */
  async #noteFree(): Promise<void> {
    const { info } = this.shape
    if (info === undefined) return
    const sector = await this.read(info, sectorBytes)
    const free = this.freeClusters()
    if (sector.readUInt32LE(0) !== 0x41615252 || sector.readUInt32LE(484) !== 0x61417272 || sector.readUInt32LE(488) === free) return
    sector.writeUInt32LE(free, 488)
    await this.write(info, sector)
  }
}
