// The inode table of a squashfs image: which blocks of data each file has, and where.
import { bigField, damaged, type MetadataStream } from './squashfs-metadata.ts'

export type FileInode = {
  readonly number: number
  /** Bytes. */
  readonly size: number
  /** Where its first block is stored. */
  readonly start: number
  /** How many blocks, holes among them, it has besides its end in a fragment. */
  readonly blocks: number
  readonly fragment: { readonly index: number; readonly offset: number } | undefined
}

export type FolderInode = {
  readonly number: number
  readonly parent: number
  /** Where its names lie: of a metadata block in the directory table, within that, and how many bytes. */
  readonly block: number
  readonly offset: number
  readonly size: number
}

export interface InodeVisitor {
  /** Each data block that is stored: where, and its size field with the bit for uncompressed ones. Answers where it ends. */
  block(start: number, field: number): number
  /** A block of a file of which nothing is stored. */
  hole?(): void
  /** Before its blocks. */
  file?(inode: FileInode): void
  folder?(inode: FolderInode): void
}

/** Bytes of the fixed part of each kind of inode, by its number. */
const sizes = [0, 32, 32, 24, 24, 24, 20, 20, 40, 56, 24, 28, 28, 24, 24] as const
const folder = 1
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

/** Reads inodes until the table ends, and answers how many there were. Throws `malformed`. */
export async function readInodes(table: MetadataStream, blockSize: number, visitor: InodeVisitor): Promise<number> {
  let count = 0
  for (; await table.fill(1); count++) {
    if (!(await table.fill(headBytes))) throw damaged('its inode table ends within an inode')
    const kind = table.view.getUint16(table.take(0), true)
    const size = sizes[kind]
    if (size === undefined || kind === 0) throw damaged(`an inode of kind ${kind}`)
    if (!(await table.fill(size))) throw damaged('its inode table ends within an inode')
    const { view } = table
    const at = table.take(size)
    const number = view.getUint32(at + 12, true)
    if (kind === file) {
      const [index, offset] = [view.getUint32(at + 20, true), view.getUint32(at + 24, true)]
      await readFile({ number, start: view.getUint32(at + 16, true), size: view.getUint32(at + 28, true), index, offset })
    } else if (kind === largeFile) {
      const [index, offset] = [view.getUint32(at + 44, true), view.getUint32(at + 48, true)]
      await readFile({ number, start: bigField(view, at + 16), size: bigField(view, at + 24), index, offset })
    } else if (kind === folder)
      visitor.folder?.({
        number,
        block: view.getUint32(at + 16, true),
        size: view.getUint16(at + 24, true),
        offset: view.getUint16(at + 26, true),
        parent: view.getUint32(at + 28, true),
      })
    else if (kind === symlink) await table.skip(view.getUint32(at + 20, true))
    else if (kind === largeSymlink) await table.skip(view.getUint32(at + 20, true) + 4)
    else if (kind === largeDirectory) {
      visitor.folder?.({
        number,
        size: view.getUint32(at + 20, true),
        block: view.getUint32(at + 24, true),
        parent: view.getUint32(at + 28, true),
        offset: view.getUint16(at + 34, true),
      })
      await skipIndex(table, view.getUint16(at + 32, true))
    }
  }
  return count

  async function readFile({ number, start, size, index, offset }: Fields): Promise<void> {
    const fragment = index === noFragment ? undefined : { index, offset }
    const blocks = fragment === undefined ? Math.ceil(size / blockSize) : Math.floor(size / blockSize)
    visitor.file?.({ number, size, start, blocks, fragment })
    let at = start
    for (let left = blocks; left > 0; ) {
      const part = Math.min(left, fieldsAtOnce)
      if (!(await table.fill(4 * part))) throw damaged('its inode table ends within a list of blocks')
      const list = table.take(4 * part)
      for (let block = 0; block < part; block++) {
        const field = table.view.getUint32(list + 4 * block, true)
        // a hole is stored nowhere
        if (field === 0) visitor.hole?.()
        else at = visitor.block(at, field)
      }
      left -= part
    }
  }
}

type Fields = Pick<FileInode, 'number' | 'start' | 'size'> & { readonly index: number; readonly offset: number }

async function skipIndex(table: MetadataStream, entries: number): Promise<void> {
  for (let entry = 0; entry < entries; entry++) {
    if (!(await table.fill(indexBytes))) throw damaged('its inode table ends within a folder')
    const name = table.view.getUint32(table.take(indexBytes) + 8, true) + 1
    await table.skip(name)
  }
}
