// Names on a FAT: eleven bytes that every firmware reads, and, for any other name, pieces of a long one before them (Microsoft FAT specification, 6 and 7).
import { PsyblobError, visible } from '../../core/mod.ts'

/** Of an entry of a folder. */
export const slotBytes = 32
/** UTF-16 units in one piece of a long name, and where they stand. */
const piece = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30] as const
/** So that an entry with its long name fits into one sector. */
const longest = 15 * piece.length

const plain = /^[A-Z0-9!#$%&'()@^_`{}~-]{1,8}(\.[A-Z0-9!#$%&'()@^_`{}~-]{1,3})?$/

/** Throws `unsupported` for a name that a FAT cannot hold. */
export function checkFatName(name: string): void {
  const refuse = (why: string) =>
    new PsyblobError('unsupported', `no FAT can hold a file called ${visible(name)}: ${why}`, {
      hint: 'give the file another name, and publish again',
    })
  if (/["*:<>?|\\/]/.test(name)) throw refuse('one of its characters is not allowed there')
  if (/[. ]$/.test(name)) throw refuse('it ends with a dot or a space')
  if (name.length > longest) throw refuse(`it is longer than ${longest}`)
}

/** The eleven bytes of a name that needs no long one; undefined for any other. */
export function plainName(name: string): Buffer | undefined {
  if (!plain.test(name)) return undefined
  const [base = '', extension = ''] = name.split('.')
  return Buffer.from(base.padEnd(8) + extension.padEnd(3), 'latin1')
}

/** What the eleven bytes of an entry say, in small letters where its flags say so. */
export function readPlain(slot: Buffer): string {
  const part = (from: number, to: number, small: boolean) => {
    const text = slot.toString('latin1', from, to).trimEnd()
    return small ? text.toLowerCase() : text
  }
  const flags = slot.readUInt8(12)
  const base = part(0, 8, (flags & 8) !== 0)
  const extension = part(8, 11, (flags & 16) !== 0)
  return extension === '' ? base : `${base}.${extension}`
}

/** Eleven bytes for a long name that no entry in `taken` has. */
export function aliasOf(name: string, taken: ReadonlySet<string>): Buffer {
  const dot = name.lastIndexOf('.')
  const clean = (text: string) => text.toUpperCase().replace(/[^A-Z0-9!#$%&'()@^_`{}~-]/g, '_')
  const base = clean((dot > 0 ? name.slice(0, dot) : name).replace(/[. ]/g, ''))
  const extension =
    dot > 0
      ? clean(name.slice(dot + 1))
          .slice(0, 3)
          .padEnd(3)
      : '   '
  const make = (text: string) => Buffer.from(text.padEnd(8) + extension, 'latin1')
  if (plain.test(name.toUpperCase()) && !taken.has(make(base).toString('latin1'))) return make(base)
  for (let number = 1; ; number++) {
    const tail = `~${number}`
    const alias = make(base.slice(0, 8 - tail.length) + tail)
    if (!taken.has(alias.toString('latin1'))) return alias
  }
}

/** Ties the pieces of a long name to their entry. */
export function checksumOf(alias: Uint8Array): number {
  return alias.subarray(0, 11).reduce((sum, byte) => (((sum & 1) << 7) + (sum >> 1) + byte) & 0xff, 0)
}

/** The entries before the one with `alias`, the last piece first. */
export function longSlots(name: string, alias: Buffer): readonly Buffer[] {
  const count = Math.ceil(name.length / piece.length)
  const checksum = checksumOf(alias)
  return Array.from({ length: count }, (_, at) => {
    const number = count - at
    const slot = Buffer.alloc(slotBytes)
    slot.writeUInt8(number | (at === 0 ? 0x40 : 0), 0)
    slot.writeUInt8(0x0f, 11)
    slot.writeUInt8(checksum, 13)
    for (const [unit, offset] of piece.entries()) {
      const index = (number - 1) * piece.length + unit
      slot.writeUInt16LE(index < name.length ? name.charCodeAt(index) : index === name.length ? 0 : 0xffff, offset)
    }
    return slot
  })
}

/** One piece of a long name. */
export function readPiece(slot: Buffer): {
  readonly number: number
  readonly isLast: boolean
  readonly checksum: number
  readonly text: string
} {
  const units = piece.map((offset) => slot.readUInt16LE(offset))
  const end = units.indexOf(0)
  const first = slot.readUInt8(0)
  return {
    number: first & 0x1f,
    isLast: (first & 0x40) !== 0,
    checksum: slot.readUInt8(13),
    text: String.fromCharCode(...(end < 0 ? units : units.slice(0, end))),
  }
}
