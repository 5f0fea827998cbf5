// The tables of a squashfs image with what follows from other fields taken out of them: what is inserted near the start of an image moves almost
// every number in them, and changes almost nothing of what this leaves (spec/patch.md 4.6).
import { PsyblobError } from './errors.ts'
import { metadataBytes } from './squashfs-metadata.ts'

/** What a text of tables consists of: inodes, names, others, the export table among them. Lengths in bytes. */
export type TableSections = {
  readonly blockSize: number
  readonly inodes: number
  readonly names: number
  /** Of shared blocks of ends, right behind the names. */
  readonly fragments: number
  /** Where the export table begins, behind the names, and how long it is; 0 when there is none. */
  readonly exportAt: number
  readonly exported: number
}

/** Bytes of each metadata block as it is stored, its head included: of the inodes, then of the names. */
export type StoredBlocks = { readonly inodes: readonly number[]; readonly names: readonly number[] }

const inodeBytes = [0, 32, 32, 24, 24, 24, 20, 20, 40, 56, 24, 28, 28, 24, 24] as const
const kind = { folder: 1, file: 2, link: 3, largeFolder: 8, largeFile: 9, largeLink: 10 } as const
const noFragment = 0xffffffff
/** What the size of a folder counts besides its names. */
const uncounted = 3
const nameHead = 12
const nameEntry = 8
const fragmentEntry = 16
const exportEntry = 8
/** The farthest place that anything may begin at: sums with it stay far from 2^53. */
const farthest = 2 ** 51

/** Takes out of `text` what follows from other fields, in place. Throws `malformed` when it is not as mksquashfs writes it. */
export function reduceTables(text: Uint8Array, sections: TableSections, stored: StoredBlocks): void {
  new Tables(text, { sections, stored, restores: false }).walk()
}

/** Puts back what `reduceTables` took out. Throws `malformed`. */
export function restoreTables(text: Uint8Array, sections: TableSections, stored: StoredBlocks): void {
  new Tables(text, { sections, stored, restores: true }).walk()
}

type Shared = { index: number; end: number }

class Tables {
  readonly #view: DataView
  readonly #sections: TableSections
  readonly #restores: boolean
  /** Where the blocks of inodes and of names begin, each from the first of its kind on. */
  readonly #inodeStarts: readonly number[]
  readonly #nameStarts: readonly number[]
  readonly #nameBlocks: ReadonlyMap<number, number>
  /** By its number: where an inode lies among the bytes of all. */
  readonly #places = new Map<number, number>()

  constructor(
    text: Uint8Array,
    { sections, stored, restores }: { readonly sections: TableSections; readonly stored: StoredBlocks; readonly restores: boolean },
  ) {
    const { inodes, names, fragments, exportAt, exported } = sections
    const behind = inodes + names + fragments
    if (behind > text.length || (exported > 0 && (exportAt < behind || exportAt + exported > text.length)))
      throw refused('tables that are longer than all of it')
    if (exported === 0 && exportAt > 0) throw refused('an export table that is none and begins somewhere')
    if (fragments % fragmentEntry > 0 || exported % exportEntry > 0) throw refused('a part of an entry')
    if (sections.blockSize < 4096) throw refused('blocks that are too small')
    this.#view = new DataView(text.buffer, text.byteOffset, text.byteLength)
    this.#sections = sections
    this.#restores = restores
    this.#inodeStarts = startsOf(stored.inodes)
    this.#nameStarts = startsOf(stored.names)
    this.#nameBlocks = new Map(this.#nameStarts.map((start, block) => [start, block]))
  }

  walk(): void {
    this.#walkInodes()
    this.#walkNames()
    this.#walkFragments()
    this.#walkExport()
  }

  /** A number of 32 bits of which only its distance from what was expected is left. Answers what it is. */
  #relative(at: number, expected: number): number {
    const value = this.#view.getUint32(at, true)
    const other = (this.#restores ? value + expected : value - expected) >>> 0
    this.#view.setUint32(at, other, true)
    return this.#restores ? other : value
  }

  #walkInodes(): void {
    const view = this.#view
    const { inodes, blockSize } = this.#sections
    let number = 0
    let end = 0
    let names = 0
    const shared: Shared = { index: 0, end: 0 }
    for (let at = 0; at < inodes; ) {
      const type = at + 2 <= inodes ? view.getUint16(at, true) : 0
      const size = inodeBytes[type] ?? 0
      if (size === 0 || at + size > inodes) throw refused('an inode of an unknown kind, or cut short')
      number = this.#relative(at + 12, number + 1)
      this.#places.set(number, at)
      let length: number = size
      if (type === kind.folder) {
        names = this.#folder({ start: at + 16, offset: at + 26, size: view.getUint16(at + 24, true), expected: names })
        this.#relative(at + 28, number)
      } else if (type === kind.largeFolder) {
        names = this.#folder({ start: at + 24, offset: at + 34, size: view.getUint32(at + 20, true), expected: names })
        this.#relative(at + 28, number)
        for (let left = view.getUint16(at + 32, true); left > 0; left--) {
          if (at + length + 12 > inodes) throw refused('a folder that is cut short')
          length += 12 + view.getUint32(at + length + 8, true) + 1
        }
      } else if (type === kind.file || type === kind.largeFile) {
        const isLarge = type === kind.largeFile
        const bytes = isLarge ? Number(view.getBigUint64(at + 24, true)) : view.getUint32(at + 28, true)
        const isWhole = view.getUint32(at + (isLarge ? 44 : 20), true) === noFragment
        const blocks = isWhole ? Math.ceil(bytes / blockSize) : Math.floor(bytes / blockSize)
        if (blocks > (inodes - at - size) / 4) throw refused('a file that is cut short')
        if (!isWhole) this.#sharedEnd(at + (isLarge ? 44 : 20), { length: bytes % blockSize, shared })
        let stored = 0
        for (let block = 0; block < blocks; block++) stored += view.getUint32(at + size + 4 * block, true) & 0xffffff
        length += 4 * blocks
        // a file that has nothing but holes and an end begins nowhere
        if (stored > 0) end = Math.max(end, stored + (isLarge ? this.#largeStart(at + 16, end) : this.#relative(at + 16, end)))
      } else if (type === kind.link || type === kind.largeLink) length += view.getUint32(at + 20, true)
      at += length
      if (at > inodes) throw refused('an inode that is cut short')
    }
  }

  #largeStart(at: number, expected: number): number {
    const value = this.#view.getBigInt64(at, true)
    const other = BigInt.asIntN(64, this.#restores ? value + BigInt(expected) : value - BigInt(expected))
    this.#view.setBigInt64(at, other, true)
    const start = Number(this.#restores ? other : value)
    if (start < 0 || start > farthest) throw refused('a file that begins outside')
    return start
  }

  /** Where the names of a folder lie, among the bytes of all names: mostly where those of the folder before end. Answers where its own end. */
  #folder({ start, offset, size, expected }: { start: number; offset: number; size: number; expected: number }): number {
    const view = this.#view
    let place: number
    if (this.#restores) {
      place = expected + view.getInt32(start, true)
      const first = this.#nameStarts[Math.floor(place / metadataBytes)]
      if (first === undefined || view.getUint16(offset, true) !== 0) throw refused('a folder whose names are nowhere')
      view.setUint32(start, first, true)
      view.setUint16(offset, place % metadataBytes, true)
    } else {
      const block = this.#nameBlocks.get(view.getUint32(start, true))
      const within = view.getUint16(offset, true)
      if (block === undefined || within >= metadataBytes) throw refused('a folder whose names are nowhere')
      place = block * metadataBytes + within
      view.setInt32(start, place - expected, true)
      view.setUint16(offset, 0, true)
    }
    return place + Math.max(0, size - uncounted)
  }

  /** The shared block that a file's end lies in, and where: mostly that of the file before, right behind its end. */
  #sharedEnd(at: number, { length, shared }: { readonly length: number; readonly shared: Shared }): void {
    const view = this.#view
    const value = view.getUint32(at, true)
    // a number that would say that there is none does not come out
    const other = (this.#restores ? value + shared.index : value - shared.index + noFragment) % noFragment
    view.setUint32(at, other, true)
    const index = this.#restores ? other : value
    shared.end = length + this.#relative(at + 4, index === shared.index ? shared.end : 0)
    shared.index = index
  }

  #walkNames(): void {
    const view = this.#view
    const end = this.#sections.inodes + this.#sections.names
    let number = 0
    for (let at = this.#sections.inodes; at < end; ) {
      if (at + nameHead > end) throw refused('names that are cut short')
      const head = at
      const count = view.getUint32(at, true) + 1
      number = this.#relative(at + 8, number)
      at += nameHead
      for (let entry = 0; entry < count; entry++) {
        if (at + nameEntry > end) throw refused('names that are cut short')
        const place = this.#places.get(number + view.getInt16(at + 2, true)) ?? 0
        const offset = view.getUint16(at, true)
        const within = place % metadataBytes
        view.setUint16(at, (this.#restores ? offset + within : offset - within) & 0xffff, true)
        if (entry === 0) this.#relative(head + 4, this.#blockStart(place))
        at += nameEntry + view.getUint16(at + 6, true) + 1
      }
      if (at > end) throw refused('names that are cut short')
    }
  }

  /** Where a block of ends lies: mostly as far behind the one before as it was. */
  #walkFragments(): void {
    const { inodes, names, fragments } = this.#sections
    let end = 0
    for (let at = inodes + names; at < inodes + names + fragments; at += fragmentEntry)
      end = this.#largeStart(at, end) + (this.#view.getUint32(at + 8, true) & 0xffffff)
  }

  #walkExport(): void {
    const view = this.#view
    const { exportAt, exported } = this.#sections
    for (let entry = 0; entry < exported / exportEntry; entry++) {
      const place = this.#places.get(entry + 1) ?? 0
      const at = exportAt + exportEntry * entry
      // the block in the upper 48 bits, the offset in the lower 16
      const offset = view.getUint16(at, true)
      const within = place % metadataBytes
      view.setUint16(at, (this.#restores ? offset + within : offset - within) & 0xffff, true)
      this.#relative(at + 2, this.#blockStart(place))
    }
  }

  #blockStart(place: number): number {
    return this.#inodeStarts[Math.floor(place / metadataBytes)] ?? 0
  }
}

function startsOf(lengths: readonly number[]): readonly number[] {
  let at = 0
  return lengths.map((length) => {
    const start = at
    at += length
    return start
  })
}

function refused(why: string): PsyblobError {
  return new PsyblobError('malformed', `tables of a squashfs: ${why}`)
}
