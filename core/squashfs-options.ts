// What a squashfs image says of the options its compressor was given: a metadata block after the superblock.
import { damaged, type ImageReader, readFields } from './squashfs-metadata.ts'
import { readSuperblock, superblockBytes } from './squashfs-superblock.ts'

const metadataRawBit = 0x8000

/** The level of compression; undefined when the image says none. Throws `malformed`. */
export async function readSquashfsLevel(image: ImageReader, size: number): Promise<number | undefined> {
  const { hasOptions, compressor } = await readSuperblock(image, size)
  if (!hasOptions || (compressor !== 'zstd' && compressor !== 'gzip')) return undefined
  const header = (await readFields(image, superblockBytes, 2)).getUint16(0, true)
  if ((header & metadataRawBit) === 0) throw damaged('options of its compressor that are compressed')
  return (await readFields(image, superblockBytes + 2, 4)).getUint32(0, true)
}
