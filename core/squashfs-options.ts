// What a squashfs image says of the options its compressor was given: a metadata block after the superblock.
import { damaged, type ImageReader, metadataRawBit, readFields } from './squashfs-metadata.ts'
import { readSuperblock, superblockBytes } from './squashfs-superblock.ts'

export type SquashfsOptions = {
  /** The level of compression: of gzip and zstd theirs, of lz4 1 or 12, of xz the binary logarithm of its dictionary. Undefined when the image says none. */
  readonly level: number | undefined
  /** What is before the compression, of xz: whatever is smaller of with and without it. `other`: none that is known here. */
  readonly filter: 'x86' | 'other' | undefined
}

/** Filters of xz, and the one flag of lz4, by their bits. */
const noFilter = 0
const x86 = 1
const isHigh = 1

/** Throws `malformed`. */
export async function readSquashfsOptions(image: ImageReader, size: number): Promise<SquashfsOptions> {
  const { hasOptions, compressor, blockSize } = await readSuperblock(image, size)
  const usual = { level: compressor === 'xz' ? Math.log2(blockSize) : undefined, filter: undefined } as const
  if (!hasOptions || compressor === 'lzo' || compressor === 'lzma') return usual
  const header = (await readFields(image, superblockBytes, 2)).getUint16(0, true)
  if ((header & metadataRawBit) === 0) throw damaged('options of its compressor that are compressed')
  const isLong = compressor === 'xz' || compressor === 'lz4'
  const fields = await readFields(image, superblockBytes + 2, isLong ? 8 : 4)
  const [first, second] = [fields.getUint32(0, true), isLong ? fields.getUint32(4, true) : 0]
  if (compressor === 'lz4') return { level: second === isHigh ? 12 : 1, filter: undefined }
  if (compressor !== 'xz') return { level: first, filter: undefined }
  const level = Math.log2(first)
  if (!Number.isInteger(level) || (second !== noFilter && second !== x86)) return { level: undefined, filter: 'other' }
  return { level, filter: second === x86 ? 'x86' : undefined }
}
