// One group of a patch: the steps that make a stretch of the new blob out of the old one (spec/patch.md 4 to 6).
import { bspatch, type Triple } from './bsdiff.ts'
import { limits } from './limits.ts'
import { isPacked, isPart, isSame, metadataHeadBytes, metadataRawBit, shapeFields, steps, unitKinds } from './patch-steps.ts'
import { Scratch } from './scratch.ts'
import { type TableShape, tableHeadBytes, tablesOf, tableText } from './table-text.ts'
import { VarintReader } from './varint.ts'
import { ZeroRunReader } from './zero-runs.ts'

/** Unpacked. */
export type GroupStreams = { readonly control: Uint8Array; readonly differences: Uint8Array; readonly inserted: Uint8Array }

/** What a machine has to give for a patch. All of it may throw; the group is not used then. */
export interface PatchMachine {
  /** Size of the old blob. */
  readonly size: number
  /** Bytes of the old blob, exactly so many. Valid until the next call. */
  read(at: number, length: number): Uint8Array
  /** Undoes the packing of a piece that becomes `length` bytes. Valid until the next call. */
  unpack(bytes: Uint8Array, length: number): Uint8Array
  /** Encodes with the codec of that number, from 1 on. */
  encode(codec: number, bytes: Uint8Array): Uint8Array
  /** Takes the next bytes of the new blob. Valid until it returns. */
  write(bytes: Uint8Array): void
  /** Takes the next `length` bytes of the new blob, which are those of the old one at `from`. */
  copy(from: number, length: number): void
}

type ShapeFields = [number, number, number, number, number, number, number, number]

/** A part of a piece of the old blob. */
type Extent = {
  readonly at: number
  readonly stored: number
  readonly raw: number
  readonly isPacked: boolean
  readonly isSame: boolean
  readonly from: number
  readonly length: number
}

/** Carries a group out: exactly `length` bytes are written, `made` bytes encoded. Throws `malformed`, and what the machine throws. */
export function applyGroup(
  { control, differences, inserted }: GroupStreams,
  { length, made }: { readonly length: number; readonly made: number },
  machine: PatchMachine,
): void {
  const scratch = { text: new Scratch(), differences: new Scratch(), unit: new Scratch() }
  const reader = new VarintReader(control, 'patch')
  const added = new ZeroRunReader(differences)
  const literals = new VarintReader(inserted, 'patch')
  let [written, worked] = [0, 0]
  let [copied, sourced, handled] = [0, 0, 0]
  let unit: { readonly bytes: Uint8Array; taken: number } | undefined
  const write = (bytes: Uint8Array) => {
    written += bytes.length
    if (written > length) throw reader.refused(`more than ${length} bytes of a group`)
    machine.write(bytes)
  }
  const old = (at: number, count: number): Uint8Array => {
    if (at < 0 || at + count > machine.size) throw reader.refused('bytes outside of the old blob')
    return machine.read(at, count)
  }
  while (!reader.isDone) {
    const step = steps[reader.next()]
    switch (step) {
      case 'copy': {
        const from = copied + reader.signed()
        const count = reader.next()
        copied = from + count
        written += count
        if (count === 0) throw reader.refused('a copy of nothing')
        if (written > length) throw reader.refused(`more than ${length} bytes of a group`)
        if (from < 0 || copied > machine.size) throw reader.refused('bytes outside of the old blob')
        machine.copy(from, count)
        break
      }
      case 'literal': {
        const count = reader.next()
        if (count === 0) throw reader.refused('new bytes that are none')
        write(literals.take(count))
        break
      }
      case 'unit': {
        if (unit !== undefined && unit.taken < unit.bytes.length) throw reader.refused('a unit of which something is left')
        const kind = unitKinds[reader.next()]
        if (kind === undefined) throw reader.refused('a unit of an unknown kind')
        const tables = kind === 'tables' ? { old: readShape(), next: readShape() } : undefined
        const sources = readSources()
        const text = tables === undefined ? sources.text : tableText(sources.text, tables.old, storedBlocks(sources.list, tables.old))
        const count = reader.next()
        const length = count + (tables === undefined ? 0 : tableHeadBytes(tables.next))
        worked += count
        if (count === 0 || count > limits.patch.unit || worked > made) throw reader.refused(`a unit of ${count} bytes`)
        // read twice rather than kept: there may be as many as bytes
        const again = reader.fork()
        const sum = { add: 0, insert: 0 }
        for (const { add, insert } of readTriples(reader, length)) {
          sum.add += add
          sum.insert += insert
        }
        const bytes = bspatch(
          text,
          {
            triples: readTriples(again, length),
            differences: added.read(scratch.differences.take(sum.add)),
            inserted: literals.take(sum.insert),
          },
          scratch.unit.take(length),
        )
        unit = { bytes: tables === undefined ? bytes : tablesOf(bytes, tables.next), taken: 0 }
        break
      }
      case 'emit':
      case 'emit metadata': {
        const codec = reader.next()
        const count = reader.next()
        if (unit === undefined || unit.taken + count > unit.bytes.length) throw reader.refused('more than its unit has')
        if (count === 0 || count > limits.patch.piece) throw reader.refused(`a piece of ${count} bytes`)
        const bytes = unit.bytes.subarray(unit.taken, unit.taken + count)
        unit.taken += count
        const stored = codec === 0 ? bytes : machine.encode(codec, bytes)
        if (step === 'emit metadata') {
          if (stored.length >= metadataRawBit) throw reader.refused('a metadata block that is too long')
          const header = stored.length | (codec === 0 ? metadataRawBit : 0)
          write(Uint8Array.of(header & 255, header >> 8))
        }
        write(stored)
        break
      }
      default:
        throw reader.refused('an unknown step')
    }
  }
  if (written !== length || worked !== made || !literals.isDone || !added.isDone || (unit !== undefined && unit.taken < unit.bytes.length))
    throw reader.refused(`expected ${length} bytes of a group, got ${written}, or something is left over`)

  /** The old text of a unit: its sources one after the other, in the order of the old blob. */
  function readSources(): { readonly text: Uint8Array; readonly list: readonly Extent[] } {
    const count = reader.next()
    if (count > limits.patch.sources) throw reader.refused(`${count} sources`)
    const list: Extent[] = []
    let [total, raw] = [0, 0]
    let last: Omit<Extent, 'from' | 'length'> | undefined
    for (let number = 0; number < count; number++) {
      const how = reader.next()
      if (how === (isSame | isPart) && last !== undefined) last = { ...last, isSame: true }
      else if (how <= (isPacked | isPart)) {
        const skipped = number === 0 ? reader.signed() : reader.next()
        const at = sourced + skipped
        const stored = reader.next()
        sourced = at + stored
        last = { at, stored, raw: how & isPacked ? reader.next() : stored, isPacked: (how & isPacked) !== 0, isSame: false }
        raw += last.raw
        if (stored === 0 || last.raw === 0) throw reader.refused('a source of nothing')
        if (stored > limits.patch.piece || last.raw > limits.patch.piece) throw reader.refused('a source that is too long')
      } else throw reader.refused('an unknown kind of source')
      const [from, length] = how & isPart ? [reader.next(), reader.next()] : [0, last.raw]
      if (from + length > last.raw) throw reader.refused('a source that is too long')
      total += length
      list.push({ ...last, from, length })
    }
    // the same bytes may be taken any number of times: that is work too
    handled += raw + total
    if (total > limits.patch.sourceBytes || raw > limits.patch.sourceRaw || handled > limits.patch.handled(made))
      throw reader.refused('more sources than it may have')
    const text = scratch.text.take(total)
    let to = 0
    let bytes = new Uint8Array(0)
    for (const source of list) {
      if (!source.isSame) {
        bytes = old(source.at, source.stored) as Uint8Array<ArrayBuffer>
        if (source.isPacked) bytes = machine.unpack(bytes, source.raw) as Uint8Array<ArrayBuffer>
        if (bytes.length !== source.raw) throw reader.refused(`a source of ${bytes.length} bytes, it should have ${source.raw}`)
      }
      text.set(bytes.subarray(source.from, source.from + source.length), to)
      to += source.length
    }
    return { text, list }
  }

  function readShape(): TableShape {
    const [blockSize, inodes, names, fragments, exportAt, exported, inodeBlocks, nameBlocks] = shapeFields.map(() =>
      reader.next(),
    ) as ShapeFields
    if (inodeBlocks + nameBlocks > limits.patch.sources) throw reader.refused('tables of too many blocks')
    return { blockSize, inodes, names, fragments, exportAt, exported, inodeBlocks, nameBlocks }
  }

  /** How many bytes the first sources are stored in, their heads included. */
  function storedBlocks(list: readonly Extent[], { inodeBlocks, nameBlocks }: TableShape): readonly number[] {
    return list.slice(0, inodeBlocks + nameBlocks).map(({ stored }) => (stored + metadataHeadBytes) & 0xffff)
  }
}

function* readTriples(reader: VarintReader, most: number): Generator<Triple> {
  const count = reader.next()
  if (count > limits.patch.triples) throw reader.refused(`${count} changes`)
  let total = 0
  for (let number = 0; number < count; number++) {
    const [add, insert, seek] = [reader.next(), reader.next(), reader.signed()]
    total += add + insert
    if (total > most) throw reader.refused('more than its unit has')
    yield { add, insert, seek }
  }
}
