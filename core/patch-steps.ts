// The numbers that the control stream of a patch consists of (spec/patch.md 4).

/** Each by its place. */
export const steps = ['copy', 'literal', 'unit', 'emit', 'emit metadata'] as const
export const unitKinds = ['bytes', 'tables'] as const

/** How a source lies in the old blob: packed, only a part of it wanted, in the same piece as the one before it. */
export const isPacked = 1
export const isPart = 2
export const isSame = 4

/** Of a metadata block of squashfs: its head, and the bit in it that says that the block is not packed. */
export const metadataHeadBytes = 2
export const metadataRawBit = 0x8000

/** The fields of a shape of tables, in order. */
export const shapeFields = ['blockSize', 'inodes', 'names', 'fragments', 'exportAt', 'exported', 'inodeBlocks', 'nameBlocks'] as const
