// Vectors of patches with units of tables of a squashfs.
import { bsdiff } from '../../core/bsdiff.ts'
import { type TableShape, tableText } from '../../core/table-text.ts'
import { packZeroRuns } from '../../core/zero-runs.ts'
import { numbers, step } from '../fixtures/patches.ts'
import { joined, type Numbers, type PatchVector, refused, vector } from './patch-vector.ts'

type Tables = { readonly image: Uint8Array; readonly blocks: readonly Uint8Array[]; readonly shape: TableShape }

/**
 * The tables of an image with a folder and two files, each a block that is not packed: inodes, names, fragments, export. The block of ends
 * begins at `ends`: right behind the other file, if it is not said.
 */
function tables(start: number, size: number, ends?: bigint): Tables {
  const sizes = Array.from({ length: Math.ceil(size / 4096) }, (_, block) => 3000 + block)
  const [folder, whole, end] = [Buffer.alloc(32), Buffer.alloc(32 + 4 * sizes.length), Buffer.alloc(32)]
  const names = Buffer.alloc(30)
  const put = (bytes: Buffer, fields: readonly (readonly [at: number, value: number])[]) => {
    for (const [at, value] of fields) bytes.writeUInt32LE(value, at)
  }
  // kind, number, start, fragment, offset, size
  put(whole, [
    [0, 2],
    [12, 1],
    [16, start],
    [20, 2 ** 32 - 1],
    [28, size],
    ...sizes.map((value, block) => [32 + 4 * block, value] as const),
  ])
  put(end, [
    [0, 2],
    [12, 2],
    [20, 0],
    [24, 0],
    [28, 100],
  ])
  // kind, number, names, links, size and offset, parent
  put(folder, [
    [0, 1],
    [12, 3],
    [16, 0],
    [20, 2],
    [24, names.length + 3],
    [28, 4],
  ])
  // two names: count less one, block, number; then offset, difference, kind, length less one, name
  put(names, [
    [0, 1],
    [4, 0],
    [8, 1],
  ])
  put(names, [
    [12, 0],
    [16, 2],
  ])
  names.write('a', 20)
  put(names, [
    [21, whole.length + 2 ** 16],
    [25, 2],
  ])
  names.write('b', 29)
  const [fragments, exported] = [Buffer.alloc(16), Buffer.alloc(24)]
  fragments.writeBigUInt64LE(ends ?? BigInt(start + sizes.reduce((sum, value) => sum + value, 0)))
  put(fragments, [[8, 90]])
  put(exported, [
    [0, 0],
    [8, whole.length],
    [16, whole.length + end.length],
  ])
  const inodes = joined(whole, end, folder)
  const blocks = [inodes, names, fragments, exported].map((bytes) => new Uint8Array(bytes))
  const shape = {
    ...{ blockSize: 4096, inodes: inodes.length, names: names.length, fragments: 16, exportAt: inodes.length + names.length + 16 },
    ...{ exported: 24, inodeBlocks: 1, nameBlocks: 1 },
  }
  return { blocks, shape, image: joined(...blocks.flatMap((bytes) => [Uint8Array.of(bytes.length, 0x80), bytes])) }
}

/** Tables, what a patch says of them, and their text. */
type Side = Tables & { readonly text: Uint8Array }

/** The text is made of what is true, or of what is `like` it: a writer that does not look at what it says would make that one. */
function sideOf(tables: Tables, said: Partial<TableShape> = {}, like: Partial<TableShape> = {}): Side {
  const { blocks, shape } = tables
  const stored = blocks.slice(0, 2).map(({ length }) => length + 2)
  return { ...tables, shape: { ...shape, ...said }, text: tableText(joined(...blocks), { ...shape, ...like }, stored) }
}

function made(what: string, old: Side, next: Side): PatchVector {
  const { triples, differences, inserted } = bsdiff(old.text, next.text)
  const count = joined(...next.blocks).length
  const shapeOf = ({ shape }: Side): Numbers => [
    ...[shape.blockSize, shape.inodes, shape.names, shape.fragments],
    ...[shape.exportAt, shape.exported, shape.inodeBlocks, shape.nameBlocks],
  ]
  const control = numbers(
    ...[step.unit, 1, ...shapeOf(old), ...shapeOf(next), old.blocks.length],
    ...old.blocks.flatMap(({ length }, block): Numbers => [0, block === 0 ? [2] : 2, length]),
    ...[count, triples.length, ...triples.flatMap(({ add, insert, seek }): Numbers => [add, insert, [seek]])],
    ...next.blocks.flatMap(({ length }): Numbers => [step.emitMetadata, 0, length]),
  )
  return vector(what, {
    old: old.image,
    next: next.image,
    groups: [{ length: next.image.length, made: count, control, differences: packZeroRuns(differences), inserted }],
  })
}

/** The same with another start of the block of ends, which no writer takes. */
function withStart(side: Side, start: bigint): Side {
  const { inodes, names } = side.shape
  const at = inodes + names
  const place = (of: Uint8Array, bytes: number) => new DataView(of.buffer).setBigUint64(bytes, start, true)
  const [text, image] = [side.text.slice(), side.image.slice()]
  // two lengths before the tables; three heads in the image
  place(text, 4 + at)
  place(image, 6 + at)
  return { ...side, text, image }
}

export function tableOnes(): Readonly<Record<string, PatchVector>> {
  const [was, is] = [tables(96, 6000), tables(1096, 9000)]
  const of = (what: string, said: Partial<TableShape> = {}, nextSaid: Partial<TableShape> = {}) =>
    made(what, sideOf(was, said), sideOf(is, nextSaid))
  const bent = was.image.slice()
  bent[2] = 15
  const none = { exported: 0, exportAt: 0 }
  const far = sideOf(tables(1096, 9000, 2n ** 51n))
  return {
    tables: of('a unit of tables: what is put in moves the start of blocks and the places of inodes'),
    'tables-start': made('a block of ends that begins at 2^51', sideOf(was), far),
    'tables-start-far': refused(made('a block of ends that begins at 2^51 and 1', sideOf(was), withStart(far, 2n ** 51n + 1n))),
    'tables-start-below': refused(made('a block of ends that begins at -1', sideOf(was), withStart(far, 2n ** 64n - 1n))),
    'tables-block-size': refused(of('tables of blocks that are too small', { blockSize: 4095 })),
    'tables-blocks': refused(of('tables of more blocks than there are sources', { inodeBlocks: 4 })),
    'tables-blocks-many': refused(of('tables of more than 4,096 blocks', {}, { inodeBlocks: 4096 })),
    'tables-blocks-none': refused(of('a folder whose names lie in no block', {}, { nameBlocks: 0 })),
    'tables-inodes': refused(of('inodes that end within one', { inodes: was.shape.inodes - 1 })),
    'tables-names': refused(of('names that are more than all of the tables', { names: 10_000 })),
    'tables-fragments': refused(
      made('fragments that end within one', sideOf(was, none, none), sideOf(is, { ...none, fragments: 17 }, none)),
    ),
    'tables-export': refused(of('an export table that begins within the fragments', {}, { exportAt: is.shape.exportAt - 1 })),
    'tables-export-part': refused(
      made('an export table that ends within an entry', sideOf(was), sideOf(is, { exported: 23 }, { exported: 16 })),
    ),
    'tables-export-none': refused(made('an export table of nothing that begins somewhere', sideOf(was), sideOf(is, { exported: 0 }, none))),
    'tables-kind': refused(made('an inode of a kind that there is not', { ...sideOf(was), image: bent }, sideOf(is))),
  }
}
