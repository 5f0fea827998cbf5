// Undoes the compression of what lies in a squashfs image. Each package is loaded when an image needs it; without it the image is cut like any other file.
import { inflateSync } from 'node:zlib'
import { type Compressor, type Decompress, unpackLz4 } from '../core/mod.ts'
import { xzDecoder } from './liblzma.ts'
import { decompressLzo } from './lzo.ts'
import { undoWhole } from './zlib.ts'

/** No metadata block is longer once decompressed. */
const metadataLimit = 8192

/** Undoes a block that is one stream and becomes at most `limit` bytes. Throws for any other. */
export type Unpack = (bytes: Uint8Array, limit: number) => Uint8Array

const codecs: Readonly<Record<Compressor, () => Promise<Unpack>>> = {
  gzip: async () => (bytes, limit) => undoWhole(inflateSync, bytes, limit),
  lzo: async () => decompressLzo,
  lz4: async () => unpackLz4,
  zstd: async () => {
    // the package would end the process by what it loads
    if (!('WebAssembly' in globalThis)) throw new Error('WebAssembly is not defined')
    const { ZSTDDecoder } = await import('zstddec')
    const decoder = new ZSTDDecoder()
    await decoder.init()
    return (bytes, limit) => decoder.decode(bytes, limit)
  },
  xz: xzDecoder,
  lzma: async () => {
    const { lzma } = (await import('@napi-rs/lzma')).default
    // properties and the size of the dictionary, then the size
    return (bytes, limit) => {
      const size = Number(new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getBigUint64(5, true))
      // the package takes no limit
      if (size > limit) throw new RangeError(`it becomes ${size} bytes`)
      return lzma.decompressSync(bytes)
    }
  },
}

/** What undoes blocks of `compressor`. Undefined when this machine has nothing that does. */
export async function squashfsUnpacker(compressor: Compressor): Promise<Unpack | undefined> {
  try {
    return await codecs[compressor]()
  } catch {
    // no prebuilt binary for this platform, or not installed
    return undefined
  }
}

/** The codec for `compressor`: from a metadata block as stored to its at most 8 KiB. Undefined when this machine has none. */
export async function squashfsCodec(compressor: Compressor): Promise<Decompress | undefined> {
  const unpack = await squashfsUnpacker(compressor)
  return unpack === undefined ? undefined : (bytes) => unpack(bytes, metadataLimit)
}
