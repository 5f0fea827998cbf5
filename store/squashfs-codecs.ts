// Undoes the compression of squashfs metadata. Each package is loaded when an image needs it; without it the image is cut like any other file.
import { inflateSync } from 'node:zlib'
import type { Compressor, Decompress } from '../core/mod.ts'
import { decompressLzo } from './lzo.ts'
import { xzSize } from './xz-size.ts'

/** No metadata block is longer once decompressed: codecs are asked for no more, and those that cannot be told are asked after a look. */
const limit = 8192

const codecs: Readonly<Record<Compressor, () => Promise<Decompress>>> = {
  gzip: async () => (bytes) => inflateSync(bytes, { maxOutputLength: limit }),
  lzo: async () => (bytes) => decompressLzo(bytes, limit),
  lz4: async () => {
    const { uncompressSync } = (await import('lz4-napi')).default
    // the package wants the size before the block, and makes room for so much and no more
    const sized = new Uint8Array(4 + limit)
    new DataView(sized.buffer).setUint32(0, limit, true)
    return (bytes) => {
      sized.set(bytes, 4)
      return uncompressSync(sized.subarray(0, 4 + bytes.length))
    }
  },
  zstd: async () => {
    const { ZSTDDecoder } = await import('zstddec')
    const decoder = new ZSTDDecoder()
    await decoder.init()
    return (bytes) => decoder.decode(bytes, limit)
  },
  xz: async () => {
    const { xz } = (await import('@napi-rs/lzma')).default
    return (bytes) => xz.decompressSync(bounded(bytes, xzSize(bytes)))
  },
  lzma: async () => {
    const { lzma } = (await import('@napi-rs/lzma')).default
    // properties and the size of the dictionary, then the size
    return (bytes) =>
      lzma.decompressSync(bounded(bytes, Number(new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getBigUint64(5, true))))
  },
}

function bounded(bytes: Uint8Array, size: number): Uint8Array {
  if (size > limit) throw new RangeError(`it becomes ${size} bytes`)
  return bytes
}

/** The codec for `compressor`: from a metadata block as stored to its at most 8 KiB. Undefined when this machine has none. */
export async function squashfsCodec(compressor: Compressor): Promise<Decompress | undefined> {
  try {
    return await codecs[compressor]()
  } catch {
    // no prebuilt binary for this platform, or not installed
    return undefined
  }
}
