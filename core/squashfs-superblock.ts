// The first 96 bytes of a squashfs 4.0 image: how it is compressed, and where its tables lie.
import { bigField, damaged, type ImageReader, readFields } from './squashfs-metadata.ts'

/** By the number in the superblock, which begins at 1. */
const compressors = ['gzip', 'lzma', 'lzo', 'xz', 'lz4', 'zstd'] as const

export type Compressor = (typeof compressors)[number]

export const superblockBytes = 96
const magic = 0x73717368
const optionsFlag = 0x400

export type Superblock = {
  readonly blockSize: number
  readonly compressor: Compressor
  readonly inodes: number
  readonly fragments: number
  readonly inodeTable: number
  readonly directoryTable: number
  readonly fragmentTable: number
  /** Where the lists of the blocks of these tables lie; undefined when the image has none. */
  readonly exportTable: number | undefined
  readonly idTable: number
  readonly ids: number
  readonly xattrTable: number | undefined
  /** Where the last table ends: what comes after it is padding. */
  readonly used: number
  /** Its compressor was given options, which lie in a metadata block right after the superblock. */
  readonly hasOptions: boolean
  /** Of the table that comes right after the folders' names: where its list of blocks lies. */
  readonly nextTable: number
}

/** Throws `malformed`. */
export async function readSuperblock(image: ImageReader, size: number): Promise<Superblock> {
  const view = await readFields(image, 0, superblockBytes)
  if (view.getUint32(0, true) !== magic) throw damaged('another magic number')
  if (view.getUint16(28, true) !== 4 || view.getUint16(30, true) !== 0) throw damaged('not version 4.0')
  const blockSize = view.getUint32(12, true)
  const log = view.getUint16(22, true)
  if (log < 12 || log > 20 || blockSize !== 2 ** log) throw damaged(`blocks of ${blockSize} bytes with a logarithm of ${log}`)
  const compressor = compressors[view.getUint16(20, true) - 1]
  if (compressor === undefined) throw damaged('an unknown compressor')
  const used = bigField(view, 40)
  const inodeTable = bigField(view, 64)
  const directoryTable = bigField(view, 72)
  const fragments = view.getUint32(16, true)
  // without fragments there may be no table of them
  const fragmentTable = fragments === 0 ? used : bigField(view, 80)
  const lookupTable = bigField(view, 88)
  const nextTable = fragments > 0 ? fragmentTable : lookupTable < used ? lookupTable : bigField(view, 48)
  const ascending = [superblockBytes, inodeTable, directoryTable, fragmentTable, used, size]
  if (ascending.some((offset, at) => at > 0 && offset < (ascending[at - 1] as number)))
    throw damaged('its tables are not in order, or outside')
  const [idTable, xattrTable] = [bigField(view, 48), bigField(view, 56)]
  return {
    blockSize,
    compressor,
    inodes: view.getUint32(4, true),
    fragments,
    inodeTable,
    directoryTable,
    fragmentTable,
    exportTable: lookupTable < used ? lookupTable : undefined,
    idTable,
    ids: view.getUint16(26, true),
    // all ones when there is none
    xattrTable: xattrTable < used ? xattrTable : undefined,
    used,
    hasOptions: (view.getUint16(24, true) & optionsFlag) !== 0,
    nextTable,
  }
}
