// What lies in an image, as patches see it: the pieces of a squashfs, the blocks of a kernel, the frames of an initramfs that psyblob built.
import { open } from 'node:fs/promises'
import {
  type Compressor,
  type Content,
  type Decompress,
  isPsyblobError,
  PsyblobError,
  readBzImage,
  readSquashfsOptions,
  readSquashfsPieces,
  readZstdFrames,
  type SquashfsOptions,
  type SquashfsReader,
} from '../../core/mod.ts'
import { readFull, translated } from '../files.ts'
import { squashfsCodec } from '../squashfs-codecs.ts'

/** With what it says of how it was compressed. */
export type ImageContent = Content & SquashfsOptions

/** Kernels and initramfs are smaller. */
const mostInMemory = 256 * 1024 * 1024

const unsaid: SquashfsOptions = { level: undefined, filter: undefined }

/** Options that cannot be read say nothing. */
function unreadable(error: unknown): SquashfsOptions {
  if (!isPsyblobError(error, 'malformed')) throw error
  return unsaid
}

/** Without what undoes its packing an image cannot be looked into, which is no matter of the image. */
async function codecHere(packing: Compressor): Promise<Decompress> {
  const codec = await squashfsCodec(packing)
  if (codec !== undefined) return codec
  throw new PsyblobError('unsupported', `nothing here undoes ${packing}`, {
    hint: 'this machine has no WebAssembly, or psyblob is not installed whole',
  })
}

/** Undefined for files of any other kind, and for damaged ones. Throws `unsupported` where nothing undoes its packing. */
export async function contentOf(path: string): Promise<ImageContent | undefined> {
  try {
    const file = await open(path, 'r')
    try {
      const { size } = await file.stat()
      const read = async (at: number, length: number): Promise<Uint8Array> => {
        const buffer = Buffer.allocUnsafeSlow(length)
        return buffer.subarray(0, await readFull(file, buffer, at))
      }
      const image: SquashfsReader = { read, codec: codecHere }
      const squashfs = await readSquashfsPieces(image, size)
      if (squashfs !== undefined) return { ...squashfs, ...(await readSquashfsOptions(image, size).catch(unreadable)) }
      if (size > mostInMemory) return undefined
      const bytes = await read(0, size)
      const other = readBzImage(bytes) ?? readZstdFrames(bytes)
      return other === undefined ? undefined : { ...other, ...unsaid }
    } finally {
      await file.close()
    }
  } catch (error) {
    throw translated(error, `reading ${path}`)
  }
}

/** True for a kernel or an initramfs that patches are made of. Files that cannot be read are for others to tell. */
export async function isPatchable(path: string): Promise<boolean> {
  return (await contentOf(path).catch(() => undefined)) !== undefined
}
