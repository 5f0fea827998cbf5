// The inode table of a squashfs image: which blocks of data each file has, and where.
import { bigField, damaged, type MetadataStream } from './squashfs-metadata.ts'

/** Hears of a data block or a fragment block: where it is stored, and the size field with the bit for uncompressed ones. */
export type OnBlock = (start: number, field: number) => number

/** Bytes of the fixed part of each kind of inode, by its number. */
const sizes = [0, 32, 32, 24, 24, 24, 20, 20, 40, 56, 24, 28, 28, 24, 24] as const
const file = 2
const symlink = 3
const largeDirectory = 8
const largeFile = 9
const largeSymlink = 10
const headBytes = 16
const indexBytes = 12
const noFragment = 0xffffffff
/** Block sizes looked at in one go. */
const fieldsAtOnce = 1024

/**
 * Reads inodes until the table ends, and answers how many there were. `onBlock` gets each data block that is stored, and answers where it
 * ends. Throws `malformed`.
 */
export async function readInodes(table: MetadataStream, blockSize: number, onBlock: OnBlock): Promise<number> {
  let count = 0
  for (; await table.fill(1); count++) {
    if (!(await table.fill(headBytes))) throw damaged('its inode table ends within an inode')
    const kind = table.view.getUint16(table.take(0), true)
    const size = sizes[kind]
    if (size === undefined || kind === 0) throw damaged(`an inode of kind ${kind}`)
    if (!(await table.fill(size))) throw damaged('its inode table ends within an inode')
    const { view } = table
    const at = table.take(size)
    if (kind === file)
      await readBlocks(table, view.getUint32(at + 16, true), blocksOf(view.getUint32(at + 28, true), view.getUint32(at + 20, true)))
    else if (kind === largeFile)
      await readBlocks(table, bigField(view, at + 16), blocksOf(bigField(view, at + 24), view.getUint32(at + 44, true)))
    else if (kind === symlink) await table.skip(view.getUint32(at + 20, true))
    else if (kind === largeSymlink) await table.skip(view.getUint32(at + 20, true) + 4)
    else if (kind === largeDirectory) await skipIndex(table, view.getUint16(at + 32, true))
  }
  return count

  function blocksOf(bytes: number, fragment: number): number {
    return fragment === noFragment ? Math.ceil(bytes / blockSize) : Math.floor(bytes / blockSize)
  }

  async function readBlocks(table: MetadataStream, start: number, blocks: number): Promise<void> {
    let at = start
    for (let left = blocks; left > 0; ) {
      const part = Math.min(left, fieldsAtOnce)
      if (!(await table.fill(4 * part))) throw damaged('its inode table ends within a list of blocks')
      const list = table.take(4 * part)
      for (let block = 0; block < part; block++) {
        const field = table.view.getUint32(list + 4 * block, true)
        // a hole is stored nowhere
        if (field !== 0) at = onBlock(at, field)
      }
      left -= part
    }
  }
}

async function skipIndex(table: MetadataStream, entries: number): Promise<void> {
  for (let entry = 0; entry < entries; entry++) {
    if (!(await table.fill(indexBytes))) throw damaged('its inode table ends within a folder')
    const name = table.view.getUint32(table.take(indexBytes) + 8, true) + 1
    await table.skip(name)
  }
}
