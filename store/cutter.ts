// Which cutter suits a file: its first bytes say whether it is a squashfs image, whatever its name is.
import { open } from 'node:fs/promises'
import {
  type Cutter,
  defaultGroups,
  defaultSizes,
  fastCdc,
  grown,
  growth,
  readSquashfs,
  type SquashfsLayout,
  squashfsCutter,
} from '../core/mod.ts'
import { readFull, translated } from './files.ts'
import { squashfsCodec } from './squashfs-codecs.ts'

const coarseTimes = 16

/**
 * Where the blocks of a squashfs image lie. Undefined for any other file, and for an image that is damaged, or compressed in a way that
 * nobody here knows: it is cut like any other file.
 */
export async function layoutOf(path: string): Promise<SquashfsLayout | undefined> {
  try {
    const file = await open(path, 'r')
    try {
      const { size } = await file.stat()
      let buffer = Buffer.alloc(0)
      const read = async (at: number, length: number): Promise<Uint8Array> => {
        if (buffer.length < length) buffer = Buffer.allocUnsafeSlow(length)
        return buffer.subarray(0, await readFull(file, buffer.subarray(0, length), at))
      }
      return await readSquashfs({ read, codec: squashfsCodec }, size)
    } finally {
      await file.close()
    }
  } catch (error) {
    throw translated(error, `reading ${path}`)
  }
}

/** A cutter for the file of `size` bytes with that layout, whose first chunk begins at `from`. */
export function cutterOf(
  layout: SquashfsLayout | undefined,
  { size, from = 0 }: { readonly size: number; readonly from?: number },
): Cutter {
  const times = growth(size)
  const sizes = grown(defaultSizes, times)
  if (layout === undefined) return fastCdc(sizes)
  const { least, most } = defaultGroups
  return squashfsCutter(layout, { from, sizes, groups: { least: least * times, most: most * times } })
}

/** A cutter for what is compressed as a whole: chunks that are large, for none of them is ever found anywhere else. */
export function coarseCutter(): Cutter {
  return fastCdc(grown(defaultSizes, coarseTimes))
}

/** The cutter for the one file at `path`, which is `size` bytes long. */
export async function cutterFor(path: string, size: number): Promise<Cutter> {
  return cutterOf(await layoutOf(path), { size })
}
