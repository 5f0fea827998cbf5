// Which cutter suits a file: its first bytes say whether it is a squashfs image, whatever its name is.
import { open } from 'node:fs/promises'
import { type Cutter, fastCdc, readSquashfs, squashfsCutter } from '../core/mod.ts'
import { readFull, translated } from './files.ts'
import { squashfsCodec } from './squashfs-codecs.ts'

/**
 * The cutter for the one file at `path`. Of a squashfs image the tables are read first; one that is damaged, or compressed in a way that
 * nobody here knows, is cut like any other file.
 */
export async function cutterFor(path: string): Promise<Cutter> {
  try {
    const file = await open(path, 'r')
    try {
      const { size } = await file.stat()
      let buffer = Buffer.alloc(0)
      const read = async (at: number, length: number): Promise<Uint8Array> => {
        if (buffer.length < length) buffer = Buffer.allocUnsafeSlow(length)
        return buffer.subarray(0, await readFull(file, buffer.subarray(0, length), at))
      }
      const layout = await readSquashfs({ read, codec: squashfsCodec }, size)
      return layout === undefined ? fastCdc() : squashfsCutter(layout)
    } finally {
      await file.close()
    }
  } catch (error) {
    throw translated(error, `reading ${path}`)
  }
}
