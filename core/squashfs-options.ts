// What a squashfs image says of the options its compressor was given: a metadata block after the superblock.
import { damaged, type ImageReader, metadataRawBit, readFields } from './squashfs-metadata.ts'
import { readSuperblock, superblockBytes } from './squashfs-superblock.ts'

export type SquashfsOptions = {
  /** The level of compression: of gzip and zstd theirs, of xz the binary logarithm of its dictionary. Undefined when the image says none. */
  readonly level: number | undefined
  /** What is before the compression, of xz: whatever is smaller of with and without it. `other`: none that is known here. */
  readonly filter: 'x86' | 'other' | undefined
}

/** Filters by their bits. */
const noFilter = 0
const x86 = 1

/** Throws `malformed`. */
export async function readSquashfsOptions(image: ImageReader, size: number): Promise<SquashfsOptions> {
  const { hasOptions, compressor, blockSize } = await readSuperblock(image, size)
  const isXz = compressor === 'xz'
  if (!hasOptions || (compressor !== 'zstd' && compressor !== 'gzip' && !isXz))
    return { level: isXz ? Math.log2(blockSize) : undefined, filter: undefined }
  const header = (await readFields(image, superblockBytes, 2)).getUint16(0, true)
  if ((header & metadataRawBit) === 0) throw damaged('options of its compressor that are compressed')
  const fields = await readFields(image, superblockBytes + 2, isXz ? 8 : 4)
  const first = fields.getUint32(0, true)
  if (!isXz) return { level: first, filter: undefined }
  const filters = fields.getUint32(4, true)
  const level = Math.log2(first)
  if (!Number.isInteger(level) || (filters !== noFilter && filters !== x86)) return { level: undefined, filter: 'other' }
  return { level, filter: filters === x86 ? 'x86' : undefined }
}
