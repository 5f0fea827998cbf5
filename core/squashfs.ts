// Where the compressed blocks of a squashfs 4.0 image end: the places at which a chunk of it had best end (spec/chunk-index.md 5).
import { isPsyblobError } from './errors.ts'
import { Offsets } from './offsets.ts'
import { readInodes } from './squashfs-inodes.ts'
import { bigField, type Decompress, damaged, type ImageReader, MetadataStream, metadataBytes, readFields } from './squashfs-metadata.ts'
import { type Compressor, readSuperblock, type Superblock, superblockBytes } from './squashfs-superblock.ts'

export interface SquashfsReader extends ImageReader {
  /** How to undo `compressor`; undefined when nobody here knows. */
  codec(compressor: Compressor): Promise<Decompress | undefined>
}

export type SquashfsLayout = {
  /** Where the first block begins: before it are the superblock and the options of the compressor. */
  readonly start: number
  /** Where blocks of data and of fragments end, ascending, each once. The tables come after the last. */
  readonly ends: Float64Array
}

/** In the size of a data block: it is stored as it is. */
const rawBit = 1 << 24
const fragmentBytes = 16
/** More metadata than this, decompressed, or more blocks than this, is not worth the publisher's time and memory. */
const mostMetadata = 512 * 1024 * 1024
const mostBlocks = 4 * 1024 * 1024

/**
 * The layout of an image of `size` bytes; undefined when it is no squashfs, of another version, damaged, compressed in an unknown way, or
 * has no block at all. Throws only what `image.read` throws. Reads the tables, not the data; keeps 8 bytes a block.
 */
export async function readSquashfs(image: SquashfsReader, size: number): Promise<SquashfsLayout | undefined> {
  try {
    return await readLayout(image, size)
  } catch (error) {
    if (isPsyblobError(error, 'malformed')) return undefined
    throw error
  }
}

async function readLayout(image: SquashfsReader, size: number): Promise<SquashfsLayout | undefined> {
  const superblock = await readSuperblock(image, size)
  const decompress = await image.codec(superblock.compressor)
  if (decompress === undefined) return undefined
  const { blockSize, inodeTable } = superblock
  const ends = new Offsets(mostBlocks)
  let start = inodeTable
  const onBlock = (at: number, field: number): number => {
    // no number is negative here, though the operator makes it one
    const length = (field & ~rawBit) >>> 0
    if (length > blockSize || length === 0) throw damaged(`a block of ${length} bytes`)
    if (at < superblockBytes || at + length > inodeTable) throw damaged(`a block at ${at}, outside the data`)
    if (at < start) start = at
    if (!ends.add(at + length)) throw damaged('more blocks than it can have')
    return at + length
  }
  const inodes = new MetadataStream(image, { from: inodeTable, to: superblock.directoryTable, decompress, most: mostMetadata })
  const found = await readInodes(inodes, blockSize, { block: onBlock })
  if (found !== superblock.inodes) throw damaged(`${found} inodes, it should have ${superblock.inodes}`)
  await readFragments(image, superblock, decompress, onBlock)
  return ends.count === 0 ? undefined : { start, ends: ends.sorted() }
}

/** The fragment table: 64-bit offsets of metadata blocks, each with 512 entries of start and size. Throws `malformed`. */
export async function readFragments(
  image: ImageReader,
  { fragments, directoryTable, fragmentTable }: Superblock,
  decompress: Decompress,
  onBlock: (start: number, field: number) => void,
): Promise<void> {
  if (fragments === 0) return
  if (fragments > mostBlocks) throw damaged(`${fragments} fragments`)
  // the blocks of the table lie one after the other, right before it: the first offset says where
  const from = bigField(await readFields(image, fragmentTable, 8), 0)
  if (from < directoryTable || from >= fragmentTable) throw damaged('its fragments are not before their table')
  const table = new MetadataStream(image, { from, to: fragmentTable, decompress, most: mostMetadata })
  const perBlock = metadataBytes / fragmentBytes
  for (let left = fragments; left > 0; left -= perBlock) {
    const part = Math.min(left, perBlock)
    if (!(await table.fill(part * fragmentBytes))) throw damaged('its fragment table ends too early')
    const at = table.take(part * fragmentBytes)
    for (let entry = 0; entry < part; entry++) {
      const field = at + entry * fragmentBytes
      onBlock(bigField(table.view, field), table.view.getUint32(field + 8, true))
    }
  }
}
