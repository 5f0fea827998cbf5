// The files of a squashfs image by their paths, and where the blocks of each are stored: what two images are compared by.
import { isPsyblobError } from './errors.ts'
import type { SquashfsReader } from './squashfs.ts'
import { type FileInode, readInodes } from './squashfs-inodes.ts'
import { bigField, type Decompress, damaged, MetadataStream, metadataBytes, readFields } from './squashfs-metadata.ts'
import { readSuperblock } from './squashfs-superblock.ts'
import { utf8Decode } from './utf8.ts'

export type SquashfsFile = {
  /** The first of its names, in the order of folders: `/usr/bin/ls`. */
  readonly path: string
  /** Bytes. */
  readonly size: number
  /** Where its first block is stored; the next begin where the ones before end. */
  readonly start: number
  /** The size field of each block: its bytes, with bit 24 when it is stored as it is; 0 for a hole. */
  readonly fields: Uint32Array
  /** Where its end lies when that shares a block with others: the number of the block, and bytes within it. */
  readonly fragment: { readonly index: number; readonly offset: number } | undefined
}

/** More metadata than this, decompressed, is not worth anybody's memory. */
const mostMetadata = 256 * 1024 * 1024
const mostFiles = 1_000_000
const mostDepth = 1000
const headBytes = 12
const entryBytes = 8
/** What the size of a folder counts besides its names. */
const uncounted = 3

/** In the order of inodes. Undefined when the image is no squashfs, of another version, damaged, or compressed in an unknown way. Throws what `image.read` throws. */
export async function readSquashfsFiles(image: SquashfsReader, size: number): Promise<readonly SquashfsFile[] | undefined> {
  try {
    return await readFiles(image, size)
  } catch (error) {
    if (isPsyblobError(error, 'malformed')) return undefined
    throw error
  }
}

type Folder = { readonly parent: number; readonly block: number; readonly offset: number; readonly size: number }
type Named = FileInode & { readonly fields: Uint32Array }

async function readFiles(image: SquashfsReader, size: number): Promise<readonly SquashfsFile[] | undefined> {
  const { compressor, blockSize, inodeTable, directoryTable, nextTable } = await readSuperblock(image, size)
  const decompress = await image.codec(compressor)
  if (decompress === undefined) return undefined
  const files: Named[] = []
  const folders = new Map<number, Folder>()
  let at = 0
  const inodes = new MetadataStream(image, { from: inodeTable, to: directoryTable, decompress, most: mostMetadata })
  await readInodes(inodes, blockSize, {
    file(inode) {
      if (files.length === mostFiles || inode.blocks > mostMetadata / 4) throw damaged('more files, or blocks of one, than it can have')
      files.push({ ...inode, fields: new Uint32Array(inode.blocks) })
      at = 0
    },
    folder: ({ number, ...folder }) => folders.set(number, folder),
    block(start, field) {
      files.at(-1)?.fields.set([field], at++)
      return start + (field & 0xffffff)
    },
    hole: () => {
      at++
    },
  })
  // the blocks of the next table begin where the names end
  const to = bigField(await readFields(image, nextTable, 8), 0)
  if (to < directoryTable || to > nextTable) throw damaged('the names of its folders end nowhere')
  const names = await readNames(image, { from: directoryTable, to, decompress, folders })
  return files.map(({ number, size, start, fields, fragment }) => ({ path: pathOf(number, names), size, start, fields, fragment }))
}

type Name = { readonly name: string; readonly folder: number }

/** By the number of an inode: what it is called, and in which folder. */
async function readNames(
  image: SquashfsReader,
  options: {
    readonly from: number
    readonly to: number
    readonly decompress: Decompress
    readonly folders: ReadonlyMap<number, Folder>
  },
): Promise<ReadonlyMap<number, Name>> {
  const { folders, ...table } = options
  const { bytes, places } = await readTable(image, table)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const names = new Map<number, Name>()
  for (const [folder, { block, offset, size }] of folders) {
    if (size <= uncounted) continue
    const from = places.get(block)
    if (from === undefined) throw damaged('a folder whose names are nowhere')
    let at = from + offset
    const end = at + size - uncounted
    if (end > bytes.length) throw damaged('the names of a folder reach beyond their table')
    while (at < end) {
      if (at + headBytes > end) throw damaged('the names of a folder end too early')
      const count = view.getUint32(at, true) + 1
      const first = view.getUint32(at + 8, true)
      at += headBytes
      for (let entry = 0; entry < count; entry++) {
        if (at + entryBytes > end) throw damaged('the names of a folder end too early')
        const number = first + view.getInt16(at + 2, true)
        const length = view.getUint16(at + 6, true) + 1
        at += entryBytes
        if (length > 256 || at + length > end) throw damaged('a name that is too long')
        if (!names.has(number)) names.set(number, { name: nameOf(bytes.subarray(at, at + length)), folder })
        at += length
      }
    }
  }
  return names
}

/** A whole table, decompressed, and by the place of each block in it, as folders name that, where its bytes begin. */
async function readTable(
  image: SquashfsReader,
  { from, to, decompress }: { readonly from: number; readonly to: number; readonly decompress: Decompress },
): Promise<{ readonly bytes: Uint8Array; readonly places: ReadonlyMap<number, number> }> {
  const table = new MetadataStream(image, { from, to, decompress, most: mostMetadata })
  const places = new Map<number, number>()
  const pieces: Uint8Array[] = []
  let length = 0
  for (let place = table.next; await table.fill(1); place = table.next) {
    places.set(place - from, length)
    const piece = table.view.buffer.slice(table.take(table.left), table.take(0)) as ArrayBuffer
    pieces.push(new Uint8Array(piece))
    length += piece.byteLength
    if (piece.byteLength > metadataBytes) throw damaged('a metadata block that is too long')
  }
  const bytes = new Uint8Array(length)
  let at = 0
  for (const piece of pieces) {
    bytes.set(piece, at)
    at += piece.length
  }
  return { bytes, places }
}

/** What is no UTF-8 is a name all the same: each byte is a character then. */
function nameOf(bytes: Uint8Array): string {
  try {
    return utf8Decode(bytes, 'name')
  } catch {
    return String.fromCharCode(...bytes)
  }
}

function pathOf(number: number, names: ReadonlyMap<number, Name>): string {
  const parts: string[] = []
  for (let name = names.get(number); name !== undefined; name = names.get(name.folder)) {
    if (parts.length === mostDepth) throw damaged('folders that lie in one another')
    parts.push(name.name)
  }
  return `/${parts.reverse().join('/')}`
}
