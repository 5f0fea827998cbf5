import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bsdiff } from '../../core/bsdiff.ts'
import type { Piece } from '../../core/content.ts'
import { writeGroup } from '../../core/group-writer.ts'
import { limits } from '../../core/limits.ts'
import type { Source } from '../../core/old-files.ts'
import { applyGroup, type GroupStreams } from '../../core/patch-group.ts'
import { outline, type Step } from '../../core/patch-outline.ts'
import { packZeroRuns } from '../../core/zero-runs.ts'
import { memoryMachine, numbers, step } from '../fixtures/patches.ts'

const joined = (parts: readonly Uint8Array[]) => new Uint8Array(Buffer.concat(parts))
const toyCodec = 3
/** A toy: the codec's number before the bytes, each of which is another one. */
const encode = (codec: number, bytes: Uint8Array) => Uint8Array.of(codec, ...bytes.map((byte) => byte ^ 0x5a))
const unpack = (bytes: Uint8Array) => bytes.slice(1).map((byte) => byte ^ 0x5a)

type Lying = { readonly raw: Uint8Array; readonly isPacked: boolean; readonly isMetadata: boolean }

function storedOf({ raw, isPacked, isMetadata }: Lying): Uint8Array {
  const stored = isPacked ? encode(toyCodec, raw) : raw
  const header = stored.length | (isPacked ? 0 : 0x8000)
  return isMetadata ? Uint8Array.of(header & 255, header >> 8, ...stored) : stored
}

function pieceOf(lying: Lying, at: number): Piece {
  const { raw, isPacked, isMetadata } = lying
  return { at, length: storedOf(lying).length, raw: raw.length, isPacked, isMetadata, spans: [] }
}

/** A blob of pieces with gaps between them, and where they lie. */
function laid(pieces: readonly { readonly gap: number; readonly lying: Lying }[]) {
  const parts: Uint8Array[] = []
  const places: { readonly piece: Piece; readonly raw: Uint8Array }[] = []
  let at = 0
  for (const { gap, lying } of pieces) {
    parts.push(new Uint8Array(gap).fill(7), storedOf(lying))
    places.push({ piece: pieceOf(lying, at + gap), raw: lying.raw })
    at += gap + storedOf(lying).length
  }
  return { bytes: joined(parts), places }
}

const lying = fc.record({ raw: fc.uint8Array({ minLength: 1, maxLength: 60 }), isPacked: fc.boolean(), isMetadata: fc.boolean() })
const oldBlob = fc.array(fc.record({ gap: fc.nat(9), lying }), { minLength: 1, maxLength: 12 }).map(laid)
/** What happens next in a group: numbers say of what, of as many as there are. */
const event = fc.oneof(
  fc.record({ do: fc.constant('copy' as const), from: fc.nat(), length: fc.integer({ min: 1, max: 50 }) }),
  fc.record({ do: fc.constant('literal' as const), bytes: fc.uint8Array({ minLength: 1, maxLength: 30 }) }),
  fc.record({
    do: fc.constant('unit' as const),
    sources: fc.array(fc.record({ piece: fc.nat(11), from: fc.nat(), length: fc.nat() }), { maxLength: 8 }),
    pieces: fc.array(fc.record({ lying, between: fc.uint8Array({ maxLength: 5 }) }), { minLength: 1, maxLength: 5 }),
  }),
)

type Told = { readonly steps: Step[]; readonly next: Uint8Array; readonly raws: ReadonlyMap<Piece, Uint8Array> }

/** The steps for these events, and the bytes that they mean. */
function told(old: ReturnType<typeof laid>, events: readonly (typeof event extends fc.Arbitrary<infer Event> ? Event : never)[]): Told {
  const parts: Uint8Array[] = []
  const steps: Step[] = []
  const raws = new Map(old.places.map(({ piece, raw }) => [piece, raw]))
  let at = 0
  const add = (bytes: Uint8Array) => {
    parts.push(bytes)
    at += bytes.length
  }
  for (const one of events) {
    if (one.do === 'copy') {
      const from = one.from % old.bytes.length
      const bytes = old.bytes.slice(from, from + one.length)
      steps.push({ do: 'copy', from, length: bytes.length })
      add(bytes)
    } else if (one.do === 'literal') {
      steps.push({ do: 'literal', at, length: one.bytes.length })
      add(one.bytes)
    } else {
      const sources = one.sources.flatMap(({ piece: number, from, length }): Source[] => {
        const place = old.places[number]
        if (place === undefined) return []
        const start = from % place.piece.raw
        return [{ piece: place.piece, from: start, length: length % (place.piece.raw - start + 1) }]
      })
      sources.sort((left, right) => left.piece.at - right.piece.at || left.from - right.from)
      const pieces: Piece[] = []
      const unit = { sources, pieces }
      steps.push({ do: 'unit', unit })
      for (const { lying: made, between } of one.pieces) {
        const piece = pieceOf(made, at)
        raws.set(piece, made.raw)
        pieces.push(piece)
        steps.push({ do: 'emit', piece })
        add(storedOf(made))
        if (between.length > 0) steps.push({ do: 'literal', at, length: between.length })
        add(between)
      }
    }
  }
  return { steps, next: joined(parts), raws }
}

function written({ steps, next, raws }: Told) {
  const raw = (piece: Piece) => raws.get(piece) as Uint8Array
  return writeGroup(steps, {
    difference: ({ sources, pieces }) =>
      bsdiff(joined(sources.map(({ piece, from, length }) => raw(piece).subarray(from, from + length))), joined(pieces.map(raw))),
    literal: (at, length) => next.subarray(at, at + length),
    codec: () => toyCodec,
  })
}

describe('a group', () => {
  it('that was written is carried out to the same bytes', () => {
    fc.assert(
      fc.property(oldBlob, fc.array(event, { maxLength: 10 }), (old, events) => {
        const plan = told(old, events)
        const { made, ...streams } = written(plan)
        const machine = memoryMachine(old.bytes, { encode, unpack })
        applyGroup(streams, { length: plan.next.length, made }, machine)
        expect(Buffer.compare(machine.made(), plan.next)).toBe(0)
      }),
      { numRuns: 400 },
    )
  })

  it('whose streams were bent makes so many bytes all the same, or is refused', () => {
    const bend = fc.tuple(fc.constantFrom('control' as const, 'differences' as const, 'inserted' as const), fc.nat(), fc.nat(255))
    fc.assert(
      fc.property(
        oldBlob,
        fc.array(event, { minLength: 1, maxLength: 6 }),
        fc.array(bend, { minLength: 1, maxLength: 3 }),
        (old, events, bends) => {
          const plan = told(old, events)
          const { made, ...right } = written(plan)
          const streams = { control: right.control.slice(), differences: right.differences.slice(), inserted: right.inserted.slice() }
          for (const [stream, at, byte] of bends) if (streams[stream].length > 0) streams[stream][at % streams[stream].length] = byte
          const machine = memoryMachine(old.bytes, { encode, unpack })
          const read = (at: number, length: number) => {
            expect(at >= 0 && length >= 0 && at + length <= old.bytes.length).toBe(true)
            return old.bytes.subarray(at, at + length)
          }
          try {
            applyGroup(
              streams,
              { length: plan.next.length, made },
              { ...machine, read, copy: (from, length) => machine.write(read(from, length)) },
            )
            expect(machine.made().length).toBe(plan.next.length)
          } catch (error) {
            if ((error as { code?: string }).code !== 'malformed') throw error
          }
        },
      ),
      { numRuns: 1000 },
    )
  })
})

const old = Uint8Array.from({ length: 1000 }, (_, at) => at & 255)
const none = new Uint8Array(0)
const MiB = 1024 * 1024

type Hostile = Partial<GroupStreams> & {
  readonly length?: number
  readonly made?: number
  readonly old?: Uint8Array
  readonly control: Uint8Array
}

function carriedOut({ control, differences = none, inserted = none, length = 4, made = 4, old: from = old }: Hostile): Uint8Array {
  const machine = memoryMachine(from)
  applyGroup({ control, differences, inserted }, { length, made }, machine)
  return machine.made()
}

/** A unit of four bytes like the first ones of the old blob, then its piece as it is. */
const zeros = packZeroRuns(new Uint8Array(4))
const fourFrom = (...sources: readonly (number | readonly [number])[]) =>
  numbers(step.unit, 0, ...sources, 4, 1, 4, 0, [0], step.emit, 0, 4)

describe('by hand, a group', () => {
  it('copies, from the end of the copy before it on', () => {
    const control = numbers(step.copy, [10], 4, step.copy, [-4], 2, step.copy, [6], 1)
    expect([...carriedOut({ control, length: 7, made: 0 })]).toEqual([10, 11, 12, 13, 10, 11, 18])
  })

  it('brings bytes along', () => {
    expect([...carriedOut({ control: numbers(step.literal, 3, step.literal, 1), inserted: Uint8Array.of(9, 8, 7, 6), made: 0 })]).toEqual([
      9, 8, 7, 6,
    ])
  })

  it('makes a unit of a source that is not packed', () => {
    expect([...carriedOut({ control: fourFrom(1, 0, [20], 4), differences: zeros })]).toEqual([20, 21, 22, 23])
  })

  it('makes a unit of a part of a packed source, and of another part of the same piece', () => {
    // how, skipped, stored, raw, from, length; and again how, from, length
    const control = fourFrom(2, 3, [20], 1, 100, 90, 2, 6, 0, 2)
    expect([...carriedOut({ control, differences: zeros })]).toEqual([20, 20, 20, 20])
  })

  it('finds its sources one behind the other, across units', () => {
    const unit = (skipped: number) => [step.unit, 0, 2, 0, [skipped], 1, 0, 5, 1, 2, 1, 2, 0, [0], step.emit, 0, 2] as const
    // the first two at 20 and 26, the next two 7 before that and 5 behind
    expect([...carriedOut({ control: numbers(...unit(20), ...unit(-8)), differences: zeros })]).toEqual([20, 26, 19, 25])
  })

  it('goes back and forth in its sources by its changes, and brings others along', () => {
    // two from the fourth on, one new; then two from the beginning
    const control = numbers(step.unit, 0, 1, 0, [0], 10, 5, 3, 0, 0, [4], 2, 1, [-6], 2, 0, [0], step.emit, 0, 5)
    const made = carriedOut({
      control,
      differences: packZeroRuns(Uint8Array.of(0, 1, 0, 255)),
      inserted: Uint8Array.of(99),
      length: 5,
      made: 5,
    })
    expect([...made]).toEqual([4, 6, 99, 0, 0])
  })

  it('encodes a piece, and writes how long a block of metadata is', () => {
    const start = [step.unit, 0, 1, 0, [20], 4, 4, 1, 4, 0, [0]] as const
    const of = (steps: readonly number[], length: number) => [
      ...carriedOut({ control: numbers(...start, ...steps), differences: zeros, length }),
    ]
    expect(of([step.emit, 7, 4], 5)).toEqual([7, 20, 21, 22, 23])
    expect(of([step.emitMetadata, 7, 3, step.emitMetadata, 0, 1], 9)).toEqual([4, 0, 7, 20, 21, 22, 1, 0x80, 23])
  })

  it('may have nothing but new bytes in a unit, and a copy between its pieces', () => {
    const control = numbers(step.unit, 0, 0, 2, 1, 0, 2, [0], step.emit, 0, 1, step.copy, [5], 2, step.emit, 0, 1)
    expect([...carriedOut({ control, inserted: Uint8Array.of(1, 2), made: 2 })]).toEqual([1, 5, 6, 2])
  })
})

const far = 2 ** 53 - 1
const unitOf = (count: number) => [step.unit, 0, 0, count, 1, 0, count, [0]] as const
/** What fills a control stream as far as it may. */
function filled(...values: readonly (number | readonly [number])[]): Uint8Array {
  const part = numbers(...values)
  return new Uint8Array(Buffer.alloc(limits.patch.stream - (limits.patch.stream % part.length), part))
}

/** Four new bytes by so many changes, of which all but the last change nothing. */
function changes(count: number): Uint8Array {
  const before = numbers(step.unit, 0, 0, 4, count)
  return joined([before, new Uint8Array(3 * (count - 1)), numbers(0, 4, [0], step.emit, 0, 4)])
}

const hostile: readonly (readonly [string, () => Hostile])[] = [
  ['a step that nobody knows', () => ({ control: numbers(5) })],
  ['a step of a number that is too large', () => ({ control: Uint8Array.from(Array(9).fill(255)) })],
  ['nothing', () => ({ control: none })],
  ['a copy that begins before the old blob', () => ({ control: numbers(step.copy, [-1], 4), made: 0 })],
  ['a copy that ends behind the old blob', () => ({ control: numbers(step.copy, [997], 4), made: 0 })],
  ['a copy from far away', () => ({ control: numbers(step.copy, [2 ** 52 - 1], 4), made: 0 })],
  ['a copy of 2^53-1 bytes', () => ({ control: numbers(step.copy, [0], far), made: 0 })],
  ['a copy of nothing', () => ({ control: numbers(step.copy, [5], 0, step.copy, [5], 4), made: 0 })],
  [
    'a source of nothing',
    () => ({
      control: numbers(step.unit, 0, 2, 0, [0], 0, 0, 0, 4, 4, 1, 4, 0, [0], step.emit, 0, 4),
      differences: zeros,
    }),
  ],
  ['a literal of nothing', () => ({ control: numbers(step.literal, 0, step.literal, 4), inserted: new Uint8Array(4), made: 0 })],
  ['a copy that is longer than the group', () => ({ control: numbers(step.copy, [0], 5), made: 0 })],
  ['copies that are shorter than the group', () => ({ control: numbers(step.copy, [0], 3), made: 0 })],
  ['a copy that ends within its numbers', () => ({ control: numbers(step.copy, [0]), made: 0 })],
  ['a literal of more than is there', () => ({ control: numbers(step.literal, 4), inserted: new Uint8Array(3), made: 0 })],
  ['a literal of 2^53-1 bytes', () => ({ control: numbers(step.literal, far), made: 0 })],
  ['literals that are left over', () => ({ control: numbers(step.literal, 4), inserted: new Uint8Array(5), made: 0 })],
  ['differences that are left over', () => ({ control: fourFrom(1, 0, [0], 4), differences: packZeroRuns(new Uint8Array(5)) })],
  ['differences that are missing', () => ({ control: fourFrom(1, 0, [0], 4), differences: packZeroRuns(new Uint8Array(3)) })],
  ['a unit of another kind', () => ({ control: numbers(step.unit, 63, 0, 4, 1, 0, 4, [0], step.emit, 0, 4), inserted: new Uint8Array(4) })],
  ['a unit of nothing', () => ({ control: numbers(step.unit, 0, 0, 0, 0, step.copy, [0], 4), made: 0 })],
  ['a unit that is never emitted', () => ({ control: numbers(...unitOf(4), step.copy, [0], 4), inserted: new Uint8Array(4) })],
  [
    'a unit of which a byte is left over',
    () => ({ control: numbers(...unitOf(4), step.emit, 0, 3), inserted: new Uint8Array(4), length: 3 }),
  ],
  [
    'a unit before the one before it is over',
    () => ({ control: numbers(...unitOf(3), step.emit, 0, 2, ...unitOf(2), step.emit, 0, 2), inserted: new Uint8Array(5), made: 5 }),
  ],
  [
    'a unit of more than the group encodes',
    () => ({ control: numbers(...unitOf(5), step.emit, 0, 5), inserted: new Uint8Array(5), length: 5 }),
  ],
  [
    'a unit of less than the group encodes',
    () => ({ control: numbers(...unitOf(4), step.emit, 0, 4), inserted: new Uint8Array(4), made: 5 }),
  ],
  [
    'a unit of more than 8 MiB',
    () => ({
      control: numbers(...unitOf(8 * MiB + 1), step.emit, 0, 8 * MiB, step.emit, 0, 1),
      ...{ inserted: new Uint8Array(8 * MiB + 1), made: 8 * MiB + 1, length: 8 * MiB + 1 },
    }),
  ],
  ['a unit of 2^53-1 bytes', () => ({ control: numbers(...unitOf(far)), made: 16 * MiB })],
  ['an emit without a unit', () => ({ control: numbers(step.emit, 0, 4) })],
  ['an emit of nothing', () => ({ control: numbers(...unitOf(4), step.emit, 0, 0, step.emit, 0, 4), inserted: new Uint8Array(4) })],
  [
    'an emit of metadata of nothing',
    () => ({ control: numbers(...unitOf(4), step.emitMetadata, 0, 0, step.emit, 0, 4), inserted: new Uint8Array(4), length: 6 }),
  ],
  ['an emit of more than its unit has', () => ({ control: numbers(...unitOf(4), step.emit, 0, 5), inserted: new Uint8Array(4) })],
  ['an emit of 2^53-1 bytes', () => ({ control: numbers(...unitOf(4), step.emit, 0, far), inserted: new Uint8Array(4) })],
  [
    'metadata of 32,768 bytes',
    () => ({
      control: numbers(...unitOf(32768), step.emitMetadata, 0, 32768),
      inserted: new Uint8Array(32768),
      made: 32768,
      length: 32770,
    }),
  ],
  ['a piece that becomes longer than the group', () => ({ control: numbers(...unitOf(4), step.emit, 1, 4), inserted: new Uint8Array(4) })],
  ['a source before the old blob', () => ({ control: fourFrom(1, 0, [-1], 4), differences: zeros })],
  ['a source behind the old blob', () => ({ control: fourFrom(1, 0, [997], 4), differences: zeros })],
  ['a source far behind it', () => ({ control: fourFrom(1, 0, [2 ** 52 - 1], 4), differences: zeros })],
  ['a source of a kind that nobody knows', () => ({ control: fourFrom(1, 8, [0], 4), differences: zeros })],
  ['a source that says "the same, whole"', () => ({ control: fourFrom(2, 0, [0], 2, 4, 2), differences: zeros })],
  ['a source in the same piece as none', () => ({ control: fourFrom(1, 6, 0, 4), differences: zeros })],
  ['a part beyond the end of its piece', () => ({ control: fourFrom(1, 2, [0], 10, 7, 4), differences: zeros })],
  ['a part that begins at 2^53-1', () => ({ control: fourFrom(1, 2, [0], 10, far, 4), differences: zeros })],
  ['a part beyond the end of the same piece', () => ({ control: fourFrom(2, 2, [0], 10, 0, 2, 6, 9, 2), differences: zeros })],
  [
    'a source of more than 8 MiB',
    () => ({
      control: numbers(step.unit, 0, 1, 3, [0], 1, 8 * MiB + 1, 0, 4, 131_072, 1, 0, 131_072, [0], step.emit, 0, 131_072),
      ...{ inserted: new Uint8Array(131_072), made: 131_072, length: 131_072 },
    }),
  ],
  [
    'a source that lies in more than 8 MiB',
    () => ({ control: fourFrom(1, 1, [0], 8 * MiB + 1, 4), differences: zeros, old: new Uint8Array(9 * MiB) }),
  ],
  [
    '4,097 sources',
    () => ({
      control: numbers(step.unit, 0, 4097, ...Array<number>(3 * 4097).fill(0), 4, 1, 0, 4, [0], step.emit, 0, 4),
      inserted: new Uint8Array(4),
    }),
  ],
  ['2^53-1 sources', () => ({ control: numbers(step.unit, 0, far) })],
  [
    'sources of more than 32 MiB',
    () => ({ control: fourFrom(5, ...Array.from({ length: 5 }, () => [1, 0, 1, 8 * MiB]).flat()), differences: zeros, made: 16 * MiB }),
  ],
  [
    'sources of which more than 16 MiB are taken',
    () => ({
      control: fourFrom(5, 3, [0], 1, 4 * MiB, 0, 4 * MiB, ...Array.from({ length: 4 }, () => [6, 0, 4 * MiB]).flat()),
      differences: zeros,
      made: 16 * MiB,
    }),
  ],
  ['sources of more than the group may handle', () => ({ control: fourFrom(1, 1, [0], 1, MiB), differences: zeros })],
  ['more changes than a unit may have', () => ({ control: changes(limits.patch.triples + 1), inserted: new Uint8Array(4) })],
  [
    'a change of more than its unit has',
    () => ({ control: numbers(step.unit, 0, 0, 4, 1, 2, 3, [0], step.emit, 0, 4), inserted: new Uint8Array(5) }),
  ],
  [
    'changes of less than its unit has',
    () => ({ control: numbers(step.unit, 0, 0, 4, 1, 0, 3, [0], step.emit, 0, 4), inserted: new Uint8Array(3) }),
  ],
  ['a change of 2^53-1 bytes', () => ({ control: numbers(step.unit, 0, 0, 4, 2, far, far, [0], far, far, [0]) })],
  [
    'a change before its sources',
    () => ({ control: numbers(step.unit, 0, 1, 0, [0], 8, 4, 2, 0, 0, [-1], 4, 0, [0], step.emit, 0, 4), differences: zeros }),
  ],
  [
    'a change behind its sources',
    () => ({ control: numbers(step.unit, 0, 1, 0, [0], 8, 4, 2, 0, 0, [5], 4, 0, [0], step.emit, 0, 4), differences: zeros }),
  ],
]

/** As much work as a control stream can ask for. */
const tedious: readonly (readonly [string, () => Hostile])[] = [
  ['five million copies of a byte', () => ({ control: filled(step.copy, 0, 1), old: new Uint8Array(16 * MiB), length: 16 * MiB, made: 0 })],
  [
    'units without an end',
    () => ({ control: filled(...unitOf(1), step.emit, 0, 1), inserted: new Uint8Array(16 * MiB), length: 16 * MiB, made: 16 * MiB }),
  ],
  [
    'changes that change nothing',
    () => ({ control: joined([numbers(step.unit, 0, 0, 4, limits.patch.triples), filled(0, 0, 0)]).subarray(0, 16 * MiB) }),
  ],
  [
    'units that take the same bytes again and again',
    () => ({
      // 4 KiB, taken 4,000 times: 16 MiB for 12 KiB of the stream
      control: filled(
        step.unit,
        0,
        4000,
        3,
        0,
        1,
        4096,
        0,
        4096,
        ...Array.from({ length: 3999 }, () => [6, 0, 4096]).flat(),
        1,
        1,
        0,
        1,
        0,
        step.emit,
        0,
        1,
      ),
      inserted: new Uint8Array(16 * MiB),
      length: 16 * MiB,
      made: 16 * MiB,
    }),
  ],
  ['differences that are empty for ever', () => ({ control: fourFrom(1, 0, [0], 4), differences: new Uint8Array(16 * MiB) })],
]

/** Of the processor: others may keep it. */
function secondsOf(work: () => void): number {
  const begun = process.cpuUsage()
  work()
  const { user, system } = process.cpuUsage(begun)
  return (user + system) / 1e6
}

describe('a hostile group', () => {
  it('gets no more bytes out than it said that it would', () => {
    for (const [, of] of hostile) {
      const { length = 4, made = 4, differences = none, inserted = none, control, old: from = old } = of()
      const machine = memoryMachine(from)
      try {
        applyGroup({ control, differences, inserted }, { length, made }, machine)
      } catch {
        // refused
      }
      expect(machine.made().length).toBeLessThanOrEqual(length)
    }
  })

  it('is none with as many changes, sources and bytes as there may be', () => {
    expect(carriedOut({ control: changes(limits.patch.triples), inserted: new Uint8Array(4) }).length).toBe(4)
    const sources = Array.from({ length: 4096 }, () => [0, 0, 1]).flat()
    const control = numbers(step.unit, 0, 4096, ...sources, 4, 1, 0, 4, [0], step.emit, 0, 4)
    expect(carriedOut({ control, inserted: new Uint8Array(4), old: new Uint8Array(4096) }).length).toBe(4)
    const whole = { inserted: new Uint8Array(8 * MiB), made: 8 * MiB, length: 8 * MiB }
    expect(carriedOut({ control: numbers(...unitOf(8 * MiB), step.emit, 0, 8 * MiB), ...whole }).length).toBe(8 * MiB)
  })

  it.each(hostile)('with %s is refused', (_, of) => {
    const input = of()
    expect(secondsOf(() => expect(() => carriedOut(input)).toThrow(expect.objectContaining({ code: 'malformed' })))).toBeLessThan(1)
  })

  it.each(tedious)('with %s is refused in seconds', (_, of) => {
    const input = of()
    expect(secondsOf(() => expect(() => carriedOut(input)).toThrow(expect.objectContaining({ code: 'malformed' })))).toBeLessThan(20)
  })

  it('with a source of another size than it says is refused', () => {
    const machine = memoryMachine(old, { unpack: () => new Uint8Array(3) })
    expect(() =>
      applyGroup({ control: fourFrom(1, 1, [0], 1, 4), differences: zeros, inserted: none }, { length: 4, made: 4 }, machine),
    ).toThrow(expect.objectContaining({ code: 'malformed' }))
  })

  it('throws what its machine throws', () => {
    const machine = memoryMachine(old, {
      encode: () => {
        throw new Error('no such codec')
      },
    })
    const control = numbers(...unitOf(4), step.emit, 1, 4)
    expect(() => applyGroup({ control, differences: none, inserted: new Uint8Array(4) }, { length: 5, made: 4 }, machine)).toThrow(
      'no such codec',
    )
  })
})

describe('an outline', () => {
  const file = (path: string, at: number, raw: number, from = 0): Piece => ({
    at,
    length: 100,
    raw,
    isPacked: true,
    isMetadata: false,
    spans: [{ path, from, length: raw }],
  })

  it('asks of a unit no more than a reader allows, however many files lie in its piece', () => {
    // forty ends of files of 900 KiB each: 36 MiB that may all be like them
    const paths = Array.from({ length: 40 }, (_, number) => `/file ${String.fromCharCode(97 + (number % 26))}${number < 26 ? '' : 'x'}`)
    const before = paths.map((path, number) => file(path, 96 + 100 * number, 900 * 1024))
    const ends = paths.map((path) => ({ path, from: 896 * 1024, length: 4096 }))
    const piece: Piece = { at: 96, length: 100, raw: 40 * 4096, isPacked: true, isMetadata: false, spans: ends }
    const groups = outline({
      old: { packing: 'zstd', pieces: before, margin: 0 },
      next: { packing: 'zstd', pieces: [piece], margin: 0 },
      size: 300,
      copies: [undefined],
    })
    const units = groups.flatMap(({ steps }) => steps.flatMap((one) => (one.do === 'unit' ? [one.unit] : [])))
    expect(units.length).toBe(1)
    const [unit] = units
    const taken = unit?.sources.reduce((sum, { length }) => sum + length, 0) ?? 0
    expect(unit?.sources.length).toBeGreaterThan(4)
    expect(taken).toBeLessThanOrEqual(limits.patch.sourceBytes)
    expect(2 * taken).toBeLessThanOrEqual(limits.patch.handled(piece.raw))
  })
})
