// What a patch has to say, before anybody looks at a byte of it: which pieces of the new blob are copied, which are made out of which old ones.
import type { Content, Piece } from './content.ts'
import { limits } from './limits.ts'
import { OldFiles, type Range, type Source, sizesOf } from './old-files.ts'
import type { TableShape } from './table-text.ts'

/** Pieces that are made from the same sources. */
export type UnitOutline = {
  readonly sources: readonly Source[]
  readonly pieces: readonly Piece[]
  /** When they are all the tables of two squashfs images, which are compared with what follows from other fields left out. */
  readonly tables?: { readonly old: TableShape; readonly next: TableShape } | undefined
}

/** One step of a group. Offsets and lengths in bytes. */
export type Step =
  /** Bytes of the old blob. */
  | { readonly do: 'copy'; readonly from: number; readonly length: number }
  /** Bytes of the new blob that the patch brings along. */
  | { readonly do: 'literal'; readonly at: number; readonly length: number }
  | { readonly do: 'unit'; readonly unit: UnitOutline }
  /** The next piece of the unit. */
  | { readonly do: 'emit'; readonly piece: Piece }

export type GroupOutline = { readonly at: number; readonly length: number; readonly steps: readonly Step[] }

export type OutlineOptions = {
  readonly old: Content
  readonly next: Content
  /** Size of the new blob. */
  readonly size: number
  /** Where in the old blob the bytes of that piece lie, by its number; undefined when nowhere. */
  readonly copies: readonly (number | undefined)[]
}

/** Bytes, before compression. More of a unit finds more of what moved, and takes more time. */
const unitBytes = 1024 * 1024
const sourceBytes = 2.5 * 1024 * 1024
/** A group ends after so many bytes of units and of what is brought along. */
const groupBytes = 4 * 1024 * 1024

export function outline(options: OutlineOptions): readonly GroupOutline[] {
  const { next, size, copies } = options
  const builder = new Builder(options.old, next)
  const tables = tablesUnit(options)
  let at = 0
  for (const [number, piece] of next.pieces.entries()) {
    builder.literal(at, piece.at - at)
    const from = copies[number]
    if (tables !== undefined && piece.isMetadata) {
      builder.makeTable(piece, tables)
      at = piece.at + piece.length
      continue
    }
    if (from !== undefined) builder.copy(from, piece.length)
    else builder.make(piece)
    at = piece.at + piece.length
  }
  builder.literal(at, size - at)
  return builder.finish(size)
}

/** One unit for all tables, when any of those that name others has changed, and they are not too large for one. */
function tablesUnit({ old, next, copies }: OutlineOptions): UnitOutline | undefined {
  const isTable = ({ isMetadata }: Piece) => isMetadata
  const bytes = (pieces: readonly Piece[]) => pieces.reduce((sum, { raw }) => sum + raw, 0)
  const [before, after] = [old.pieces.filter(isTable), next.pieces.filter(isTable)]
  const hasChanged = next.pieces.some((piece, number) => piece.isMetadata && copies[number] === undefined)
  const fits =
    bytes(before) <= limits.patch.sourceBytes &&
    before.length <= limits.patch.sources &&
    bytes(after) <= limits.patch.unit - limits.patch.sources
  if (old.tables === undefined || next.tables === undefined || !hasChanged || !fits) return undefined
  const sources = before.map((piece) => ({ piece, from: 0, length: piece.raw }))
  return { sources, pieces: after, tables: { old: old.tables, next: next.tables } }
}

/** A unit that grows. */
class Growing {
  readonly pieces: Piece[] = []
  readonly ranges = new Map<string, Range[]>()
  raw = 0
  sources = 0
}

class Builder {
  readonly #files: OldFiles
  readonly #sizes: ReadonlyMap<string, number>
  readonly #groups: GroupOutline[] = []
  #steps: Step[] = []
  #begin = 0
  #at = 0
  /** Of the group: bytes that are made or brought along. */
  #work = 0
  /** Of the group: bytes that its units are made into, and that are unpacked and taken for them. */
  #made = 0
  #handled = 0
  #unit: Growing | undefined
  /** Some pieces of tables are still to come. */
  #isTables = false
  /** Where among the steps it belongs. */
  #unitStep = 0

  constructor(old: Content, next: Content) {
    this.#files = new OldFiles(old)
    this.#sizes = sizesOf(next)
  }

  copy(from: number, length: number): void {
    const last = this.#steps.at(-1)
    if (last?.do === 'copy' && last.from + last.length === from)
      this.#steps[this.#steps.length - 1] = { do: 'copy', from: last.from, length: last.length + length }
    else this.#steps.push({ do: 'copy', from, length })
    this.#at += length
  }

  literal(at: number, length: number): void {
    for (let done = 0; done < length; ) {
      if (this.#work >= groupBytes && this.#unit === undefined && !this.#isTables) this.#endGroup()
      const part = Math.min(length - done, groupBytes)
      this.#literal(at + done, part)
      done += part
    }
  }

  #literal(at: number, length: number): void {
    const last = this.#steps.at(-1)
    if (last?.do === 'literal') this.#steps[this.#steps.length - 1] = { do: 'literal', at: last.at, length: last.length + length }
    else this.#steps.push({ do: 'literal', at, length })
    this.#at += length
    this.#work += length
    if (this.#work >= 2 * groupBytes && !this.#isTables) this.#endGroup()
  }

  make(piece: Piece): void {
    const wanted = this.#files.around(piece, this.#sizes)
    const unit = this.#unit
    if (unit === undefined || unit.raw + piece.raw > unitBytes || unit.sources > sourceBytes) {
      this.#endUnit()
      if (this.#work >= groupBytes) this.#endGroup()
      this.#unit = new Growing()
      this.#unitStep = this.#steps.length
    }
    const growing = this.#unit as Growing
    growing.pieces.push(piece)
    growing.raw += piece.raw
    for (const { path, from, to } of wanted) growing.sources += join(growing.ranges, path, { from, to })
    this.#steps.push({ do: 'emit', piece })
    this.#at += piece.length
    this.#work += piece.raw
  }

  /** Pieces of tables come one after the other, the first with all of them. */
  makeTable(piece: Piece, unit: UnitOutline): void {
    if (piece === unit.pieces[0]) {
      this.#endUnit()
      if (this.#work >= groupBytes) this.#endGroup()
      this.#steps.push({ do: 'unit', unit })
    }
    this.#steps.push({ do: 'emit', piece })
    this.#at += piece.length
    this.#isTables = piece !== unit.pieces.at(-1)
  }

  finish(size: number): readonly GroupOutline[] {
    this.#endGroup()
    if (this.#at !== size) throw new Error(`an outline of ${this.#at} bytes for a blob of ${size}`)
    return this.#groups
  }

  #endUnit(): void {
    const unit = this.#unit
    if (unit === undefined) return
    this.#made += unit.raw
    // half: of what is encoded, something may have to be brought along in the end
    const left = limits.patch.handled(this.#made) / 2 - this.#handled
    const { sources, handled } = affordable(this.#files.sources(unit.ranges), left)
    this.#handled += handled
    this.#steps.splice(this.#unitStep, 0, { do: 'unit', unit: { sources, pieces: unit.pieces } })
    this.#unit = undefined
  }

  #endGroup(): void {
    this.#endUnit()
    if (this.#at > this.#begin) this.#groups.push({ at: this.#begin, length: this.#at - this.#begin, steps: this.#steps })
    this.#steps = []
    this.#begin = this.#at
    this.#work = 0
    this.#made = 0
    this.#handled = 0
  }
}

/** Adds a range of a file to those that there are, and answers by how many bytes they grew. */
function join(ranges: Map<string, Range[]>, path: string, range: Range): number {
  const list = ranges.get(path) ?? []
  ranges.set(path, list)
  const last = list.at(-1)
  if (last === undefined || range.from > last.to || range.from < last.from) {
    if (list.some(({ from, to }) => range.from >= from && range.to <= to)) return 0
    list.push({ ...range })
    return range.to - range.from
  }
  const grown = Math.max(0, range.to - last.to)
  last.to += grown
  return grown
}

/** As many of them as a unit may have whose group has `left` bytes to handle: what is left out comes as new bytes. */
function affordable(sources: readonly Source[], left: number): { readonly sources: readonly Source[]; readonly handled: number } {
  let [unpacked, taken, handled] = [0, 0, 0]
  let last: Piece | undefined
  const end = sources.findIndex(({ piece, length }) => {
    if (piece !== last) unpacked += piece.raw
    last = piece
    taken += length
    if (unpacked > limits.patch.sourceRaw || taken > limits.patch.sourceBytes || unpacked + taken > left) return true
    handled = unpacked + taken
    return false
  })
  return { sources: sources.slice(0, Math.min(limits.patch.sources, end < 0 ? sources.length : end)), handled }
}
