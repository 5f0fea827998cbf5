// A squashfs image as pieces: its data blocks, the blocks of ends that several files share, and the metadata blocks of its tables.
import type { Content, Piece, Span } from './content.ts'
import { isPsyblobError } from './errors.ts'
import { readFragments, type SquashfsReader } from './squashfs.ts'
import { readSquashfsFiles, type SquashfsFile } from './squashfs-files.ts'
import { bigField, type Decompress, damaged, type ImageReader, metadataBytes, metadataRawBit, readFields } from './squashfs-metadata.ts'
import { readSuperblock, type Superblock, superblockBytes } from './squashfs-superblock.ts'
import type { TableShape } from './table-text.ts'

const rawBit = 1 << 24
const mostBlocks = 4 * 1024 * 1024
/** Bytes of a table, as stored, that are looked at. */
const mostStretch = 64 * 1024 * 1024

type Place = { readonly at: number; readonly field: number }

/**
 * Undefined when the image is no squashfs, of another version, damaged, or compressed in an unknown way. Throws what `image.read` throws.
 * Reads the tables, not the data.
 */
export async function readSquashfsPieces(image: SquashfsReader, size: number): Promise<Content | undefined> {
  try {
    const superblock = await readSuperblock(image, size)
    const files = await readSquashfsFiles(image, size)
    const decompress = await image.codec(superblock.compressor)
    if (files === undefined || decompress === undefined) return undefined
    const shared: Place[] = []
    await readFragments(image, superblock, decompress, (at, field) => shared.push({ at, field }))
    const found = new Pieces(superblock)
    addFiles(found, files, superblock.blockSize)
    addShared(found, files, { places: shared, blockSize: superblock.blockSize })
    await addTables(found, image, { superblock, decompress })
    const pieces = found.finish(size)
    const { compressor, blockSize } = superblock
    return { packing: compressor, pieces, margin: blockSize + 32 * 1024, tables: shapeOf(pieces, blockSize) }
  } catch (error) {
    if (isPsyblobError(error, 'malformed')) return undefined
    throw error
  }
}

/** Undefined when the tables do not lie in the usual order. */
function shapeOf(pieces: readonly Piece[], blockSize: number): TableShape | undefined {
  const tables = pieces.filter(({ isMetadata }) => isMetadata)
  const names = tables.map(({ spans }) => spans[0]?.path ?? '')
  const order = names.filter((name, at) => name !== names[at - 1])
  if (new Set(order).size !== order.length || order[0] !== 'inodes' || order[1] !== 'names') return undefined
  if (order.includes('fragments') && order[2] !== 'fragments') return undefined
  const count = (name: string) => names.filter((one) => one === name).length
  const bytes = (list: readonly Piece[]) => list.reduce((sum, { raw }) => sum + raw, 0)
  const of = (name: string) => bytes(tables.filter((_, at) => names[at] === name))
  const exportAt = bytes(tables.slice(0, Math.max(0, names.indexOf('export'))))
  return {
    blockSize,
    inodes: of('inodes'),
    names: of('names'),
    fragments: of('fragments'),
    exportAt,
    exported: of('export'),
    inodeBlocks: count('inodes'),
    nameBlocks: count('names'),
  }
}

class Pieces {
  readonly #pieces = new Map<number, Piece>()
  readonly #limit: number

  constructor({ blockSize }: Superblock) {
    this.#limit = blockSize
  }

  /** A data block; the first who names it has it. */
  data({ at, field }: Place, raw: number, spans: readonly Span[]): void {
    const length = (field & ~rawBit) >>> 0
    if (length === 0 || length > this.#limit || raw > this.#limit) throw damaged(`a block of ${length} bytes`)
    this.#add({ at, length, raw, isPacked: (field & rawBit) === 0, isMetadata: false, spans })
  }

  metadata(at: number, length: number, piece: { readonly raw: number; readonly isPacked: boolean; readonly span: Span }): void {
    this.#add({ at, length, raw: piece.raw, isPacked: piece.isPacked, isMetadata: true, spans: [piece.span] })
  }

  #add(piece: Piece): void {
    if (this.#pieces.size === mostBlocks) throw damaged('more blocks than it can have')
    if (!this.#pieces.has(piece.at)) this.#pieces.set(piece.at, piece)
  }

  /** Those that overlap are left out: whoever wrote that image plays games. */
  finish(size: number): readonly Piece[] {
    const sorted = [...this.#pieces.values()].sort((one, two) => one.at - two.at)
    let end = superblockBytes
    return sorted.filter((piece) => {
      if (piece.at < end || piece.at + piece.length > size) return false
      end = piece.at + piece.length
      return true
    })
  }
}

function addFiles(found: Pieces, files: readonly SquashfsFile[], blockSize: number): void {
  for (const { path, size, start, fields } of files) {
    let at = start
    for (const [block, field] of fields.entries()) {
      if (field === 0) continue
      const from = block * blockSize
      const length = Math.min(blockSize, size - from)
      found.data({ at, field }, length, [{ path, from, length }])
      at += (field & ~rawBit) >>> 0
    }
  }
}

/** The blocks of ends: each file's last bytes, at its place in one of them. */
function addShared(
  found: Pieces,
  files: readonly SquashfsFile[],
  { places, blockSize }: { readonly places: readonly Place[]; readonly blockSize: number },
): void {
  const ends = places.map((): { readonly at: number; readonly span: Span }[] => [])
  for (const { path, size, fields, fragment } of files) {
    const from = fields.length * blockSize
    if (fragment !== undefined) ends[fragment.index]?.push({ at: fragment.offset, span: { path, from, length: size - from } })
  }
  for (const [index, place] of places.entries()) {
    const spans: Span[] = []
    let at = 0
    for (const end of (ends[index] ?? []).sort((one, two) => one.at - two.at)) {
      // equal ends lie there once
      if (end.at < at) continue
      if (end.at > at) spans.push({ path: '', from: at, length: end.at - at })
      spans.push(end.span)
      at = end.at + end.span.length
    }
    if (spans.length > 0) found.data(place, at, spans)
  }
}

type TableOptions = { readonly superblock: Superblock; readonly decompress: Decompress }

async function addTables(found: Pieces, image: ImageReader, { superblock, decompress }: TableOptions): Promise<void> {
  const { inodeTable, directoryTable, nextTable, fragmentTable, exportTable, idTable, xattrTable } = superblock
  const tables = new Tables(found, image, decompress)
  const [names] = await tables.list(nextTable, 1)
  await tables.stretch('inodes', inodeTable, directoryTable)
  await tables.stretch('names', directoryTable, names as number)
  await tables.listed('fragments', fragmentTable, superblock.fragments * 16)
  if (exportTable !== undefined) await tables.listed('export', exportTable, superblock.inodes * 8)
  await tables.listed('ids', idTable, superblock.ids * 4)
  if (xattrTable === undefined) return
  const head = await readFields(image, xattrTable, 16)
  const [values, count] = [bigField(head, 0), head.getUint32(8, true)]
  const [first] = count === 0 ? [xattrTable] : await tables.list(xattrTable + 16, 1)
  await tables.stretch('xattrs', values, first as number)
  await tables.listed('xattr-ids', xattrTable + 16, count * 16)
}

class Tables {
  readonly #found: Pieces
  readonly #image: ImageReader
  readonly #decompress: Decompress

  constructor(found: Pieces, image: ImageReader, decompress: Decompress) {
    this.#found = found
    this.#image = image
    this.#decompress = decompress
  }

  /** Offsets. */
  async list(at: number, count: number): Promise<readonly number[]> {
    if (count === 0) return []
    const fields = await readFields(this.#image, at, 8 * count)
    return Array.from({ length: count }, (_, entry) => bigField(fields, 8 * entry))
  }

  /** The blocks of a table of `bytes` bytes that the list at `at` names. */
  async listed(path: string, at: number, bytes: number): Promise<void> {
    const places = await this.list(at, Math.ceil(bytes / metadataBytes))
    for (const [block, place] of places.entries()) {
      const header = (await readFields(this.#image, place, 2)).getUint16(0, true)
      const from = block * metadataBytes
      const length = Math.min(metadataBytes, bytes - from)
      this.#add(place, header, { path, from, length })
    }
  }

  /** The blocks that lie one after the other between two places. */
  async stretch(path: string, from: number, to: number): Promise<void> {
    if (to < from || to - from > mostStretch) throw damaged('a table that is too long')
    // a copy of its own: what was read is valid until the next call
    const bytes = Uint8Array.from(await this.#image.read(from, to - from))
    const view = new DataView(bytes.buffer)
    for (let at = 0, raw = 0; at + 2 < bytes.length; raw += metadataBytes) {
      const header = view.getUint16(at, true)
      const end = at + 2 + (header & ~metadataRawBit)
      if (end > bytes.length) throw damaged('a metadata block that reaches beyond its table')
      const stored = bytes.subarray(at + 2, end)
      // all but the last are full
      const length = end < bytes.length ? metadataBytes : (header & metadataRawBit) === 0 ? this.#decompressed(stored) : stored.length
      this.#add(from + at, header, { path, from: raw, length })
      at = end
    }
  }

  #add(at: number, header: number, span: Span): void {
    const length = header & ~metadataRawBit
    if (length === 0 || length > metadataBytes) throw damaged(`a metadata block of ${length} bytes`)
    this.#found.metadata(at, 2 + length, { raw: span.length, isPacked: (header & metadataRawBit) === 0, span })
  }

  #decompressed(stored: Uint8Array): number {
    try {
      return this.#decompress(stored).length
    } catch {
      throw damaged('a metadata block that cannot be decompressed')
    }
  }
}
