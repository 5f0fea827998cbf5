// The tables of a squashfs as one text for a unit of a patch: how long each block of inodes and of names is stored, then the tables, reduced.
import { PsyblobError } from './errors.ts'
import { reduceTables, restoreTables, type StoredBlocks, type TableSections } from './squashfs-tables.ts'

/** What has to be known of tables to make a text of them. */
export type TableShape = TableSections & {
  /** How many metadata blocks they have. */
  readonly inodeBlocks: number
  readonly nameBlocks: number
}

const lengthBytes = 2

/** Bytes of the text besides the tables. */
export function tableHeadBytes({ inodeBlocks, nameBlocks }: TableShape): number {
  return lengthBytes * (inodeBlocks + nameBlocks)
}

/** The text of tables whose bytes are `raw`, and whose first blocks are stored in so many bytes each. Throws `malformed`. */
export function tableText(raw: Uint8Array, shape: TableShape, stored: readonly number[]): Uint8Array {
  const head = tableHeadBytes(shape)
  if (stored.length * lengthBytes !== head) throw new PsyblobError('malformed', 'tables of a squashfs: another number of blocks')
  const text = new Uint8Array(head + raw.length)
  const view = new DataView(text.buffer)
  for (const [block, length] of stored.entries()) view.setUint16(lengthBytes * block, length, true)
  text.set(raw, head)
  reduceTables(text.subarray(head), shape, storedIn(text, shape))
  return text
}

/** The tables again. Takes the text as it is for itself. Throws `malformed`. */
export function tablesOf(text: Uint8Array, shape: TableShape): Uint8Array {
  const raw = text.subarray(tableHeadBytes(shape))
  restoreTables(raw, shape, storedIn(text, shape))
  return raw
}

function storedIn(text: Uint8Array, { inodeBlocks, nameBlocks }: TableShape): StoredBlocks {
  const view = new DataView(text.buffer, text.byteOffset, text.byteLength)
  const lengths = Array.from({ length: inodeBlocks + nameBlocks }, (_, block) => view.getUint16(lengthBytes * block, true))
  return { inodes: lengths.slice(0, inodeBlocks), names: lengths.slice(inodeBlocks) }
}
