// The vectors of patches, made by hand: what spec/vectors/patch holds. How they are written anew: patch-vectors.test.ts.
import { bsdiff } from '../../core/bsdiff.ts'
import { type TableShape, tableText } from '../../core/table-text.ts'
import { packZeroRuns } from '../../core/zero-runs.ts'
import { loadEncoder } from '../../store/patches/encoders.ts'
import { type HandMade, type HandMadeGroup, handMade, numbers, step } from '../fixtures/patches.ts'

export type PatchVector = {
  readonly what: string
  readonly old: string
  readonly patch: string
  readonly expect: 'ok' | 'malformed' | 'unsupported' | 'corrupt'
  readonly value?: string
}

type Numbers = readonly (number | readonly [number])[]

const twice = 'new bytes that are packed, new bytes that are packed'
/** The same text, as brotli and xz made it once: other versions of them make other bytes. */
const brotli = '1b3300f89d0976ac8be930241c5e8789b9c94910b2bb2acbeb321016ba298a2eeca40aa91c949c6f464c5b9a00'
const xz =
  'fd377a585a0000016922de360200210116000000742fe5a3e0003300225d0037194b502255fc033d1a8363f12fc91cb6a4328b12b2047a5740ace60aebbe614000000000ff279c9200013a34e79f9b249042990d010000000001595a'

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const text = (letters: string) => new Uint8Array(Buffer.from(letters))
const joined = (...parts: readonly Uint8Array[]) => new Uint8Array(Buffer.concat(parts))

const alphabet = text('abcdefghijklmnopqrstuvwxyz')

function vector(what: string, made: HandMade, bend?: (patch: Buffer) => Uint8Array | undefined): PatchVector {
  const patch = Buffer.from(handMade(made))
  const bent = bend?.(patch) ?? patch
  return { what, old: hex(made.old), patch: hex(bent), expect: 'ok', value: hex(made.next) }
}

/** A patch of one group that makes \`next\` of the alphabet. */
function group(what: string, next: Uint8Array, steps: Numbers, more: Partial<HandMadeGroup & HandMade> = {}): PatchVector {
  const { differences, inserted, made = 0, length = next.length, control = numbers(...steps), ...rest } = more
  const streams = { ...(differences === undefined ? {} : { differences }), ...(inserted === undefined ? {} : { inserted }) }
  return vector(what, { old: alphabet, next, groups: [{ control, length, made, ...streams }], ...rest })
}

const refused = ({ value: _, ...rest }: PatchVector, code: PatchVector['expect'] = 'malformed'): PatchVector => ({ ...rest, expect: code })

/** The worked example of spec/patch.md 10. */
const before = text('psyblob 1.0 of 2026-11-01, kernel 6.1.0-17\n')
const after = text('psyblob 1.1 of 2026-11-23, kernel 6.1.0-18\nnew\n')
const tail = { at: 10, length: before.length - 10 }
/** New minus old, as runs: 0 to 1; 01 to 23, 17 to 18. */
const exampleDifferences = Uint8Array.of(0, 1, 1, 12, 2, 2, 2, 16, 1, 1, 1, 0)
const example: HandMade = {
  old: before,
  next: after,
  groups: [
    {
      length: after.length,
      made: tail.length,
      control: numbers(
        ...[step.copy, [0] as const, tail.at],
        ...[step.unit, 0, 1, 0, [tail.at] as const, tail.length, tail.length, 1, tail.length, 0, [0] as const],
        ...[step.emit, 0, tail.length],
        ...[step.literal, 4],
      ),
      differences: exampleDifferences,
      inserted: text('new\n'),
    },
  ],
}

/** A unit of new bytes alone, and its piece as it is. */
const fresh = (bytes: Uint8Array): Numbers => [step.unit, 0, 0, bytes.length, 1, 0, bytes.length, [0], step.emit, 0, bytes.length]
/** A unit of four bytes of these sources. */
const four = (...sources: Numbers): Numbers => [step.unit, 0, ...sources, 4, 1, 4, 0, [0], step.emit, 0, 4]
const four0 = { differences: Uint8Array.of(4, 0), made: 4 }
const new4 = { inserted: text('next'), made: 4 }
const next4 = text('next')
const far = 2 ** 53 - 1

function plainOnes(): Readonly<Record<string, PatchVector>> {
  const packed = (name: string, kind: number, bytes: string) => {
    const control = numbers(step.literal, twice.length)
    const made = vector(`a stream packed as ${name}`, {
      old: alphabet,
      next: text(twice),
      groups: [{ length: twice.length, control, inserted: text(twice) }],
    })
    const patch = Buffer.from(made.patch, 'hex')
    patch.writeUInt8(kind, 120 + 14)
    patch.writeUInt32LE(bytes.length / 2, 120 + 36)
    return { ...made, patch: hex(joined(patch.subarray(0, patch.length - twice.length), Buffer.from(bytes, 'hex'))) }
  }
  const bent = (what: string, made: PatchVector, change: (patch: Buffer) => void) => {
    const patch = Buffer.from(made.patch, 'hex')
    change(patch)
    return { ...made, what, patch: hex(patch) }
  }
  const [br, lzma] = [packed('brotli', 1, brotli), packed('xz', 2, xz)]
  return {
    example: vector('the worked example of patch.md', example),
    copy: group('copies: forth, and back from where the one before ended', text('cdefabz'), [
      step.copy,
      [2],
      4,
      step.copy,
      [-6],
      2,
      step.copy,
      [23],
      1,
    ]),
    literal: group('new bytes', next4, [step.literal, 4], { inserted: next4 }),
    'empty-blob': vector('a new blob of nothing: no groups', { old: alphabet, next: text(''), groups: [] }),
    groups: vector('two groups, each with streams of its own', {
      old: alphabet,
      next: text('abcxyz'),
      groups: [
        { length: 3, control: numbers(step.copy, [0], 3) },
        { length: 3, control: numbers(step.copy, [23], 3) },
      ],
    }),
    unit: group('a unit of a source, its bytes one higher each', text('bcde'), four(1, 0, [0], 4), {
      ...four0,
      differences: Uint8Array.of(0, 4, 1, 1, 1, 1),
    }),
    'unit-new': group('a unit without sources', next4, fresh(next4), new4),
    'unit-part': group('a unit of two parts of one source', text('cdyz'), four(2, 2, [2], 24, 0, 2, 6, 22, 2), four0),
    'unit-sources': group(
      'sources: the next one lies behind the one before, that of another unit from there on, either way',
      text('bgah'),
      [
        ...[step.unit, 0, 2, 0, [1] as const, 1, 0, 4, 1, 2, 1, 2, 0, [0] as const, step.emit, 0, 2],
        ...[step.unit, 0, 2, 0, [-7] as const, 1, 0, 6, 1, 2, 1, 2, 0, [0] as const, step.emit, 0, 2],
      ],
      four0,
    ),
    'unit-back': group(
      'changes that go back and forth in the sources',
      text('cdXab'),
      [...[step.unit, 0, 1, 0, [0] as const, 26, 5, 3, 0, 0, [2] as const, 2, 1, [-4] as const, 2, 0, [0] as const], ...[step.emit, 0, 5]],
      { differences: Uint8Array.of(4, 0), inserted: text('X'), made: 5 },
    ),
    'unit-wrap': group(
      'a difference is a byte: 97 and 250 are 91',
      Uint8Array.of(91, 98),
      [step.unit, 0, 1, 0, [0], 2, 2, 1, 2, 0, [0], step.emit, 0, 2],
      {
        differences: Uint8Array.of(0, 1, 250, 1, 0),
        made: 2,
      },
    ),
    pieces: group(
      'a unit of several pieces, with a copy between them',
      text('neaxt'),
      [step.unit, 0, 0, 4, 1, 0, 4, [0], step.emit, 0, 2, step.copy, [0], 1, step.emit, 0, 2],
      new4,
    ),
    metadata: group(
      'a block of metadata that is not packed: its length, with the highest bit set',
      joined(Uint8Array.of(4, 0x80), next4),
      [...fresh(next4).slice(0, 8), step.emitMetadata, 0, 4],
      new4,
    ),
    'number-long': group('a number in more bytes than it needs', next4, [], { control: Uint8Array.of(1, 0x84, 0x80, 0), inserted: next4 }),
    brotli: br,
    xz: lzma,

    magic: refused(vector('another first byte', example, (patch) => void patch.write('P', 0))),
    format: refused(
      vector('format 2', example, (patch) => void patch.writeUInt8(2, 14)),
      'unsupported',
    ),
    'cut-head': refused(vector('a patch that ends within its head', example, (patch) => patch.subarray(0, 119))),
    'cut-table': refused(vector('a patch that ends within its groups', example, (patch) => patch.subarray(0, 159))),
    'cut-streams': refused(vector('a patch that ends a byte too early', example, (patch) => patch.subarray(0, -1))),
    more: refused(vector('a byte behind the last stream', example, (patch) => joined(patch, Uint8Array.of(0)))),
    'old-other': refused({ ...vector('another old blob of the same size', example), old: hex(before.map((byte) => byte ^ 1)) }, 'corrupt'),
    'old-shorter': refused({ ...vector('an old blob that is shorter', example), old: hex(before.subarray(1)) }, 'corrupt'),
    'new-other': refused(
      vector('a patch that makes another blob than it says', example, (patch) => void patch.writeUInt8(patch.readUInt8(56) ^ 1, 56)),
      'corrupt',
    ),
    'old-size': refused(vector('an old blob of more than 2^43 bytes', example, (patch) => void patch.writeBigUInt64LE(2n ** 43n + 1n, 48))),
    'new-size': refused(
      vector('a new blob that is larger than its groups', example, (patch) => void patch.writeBigUInt64LE(BigInt(after.length + 1), 88)),
    ),
    'made-sum': refused(vector('another sum of what is encoded', example, (patch) => void patch.writeBigUInt64LE(32n, 96))),
    'made-large': refused(
      vector('more to encode than such a blob may need', example, (patch) => void patch.writeBigUInt64LE(2n ** 25n, 96)),
    ),
    packing: refused(vector('sources packed in a way that has no number', example, (patch) => void patch.writeUInt32LE(7, 104))),
    'codec-count': refused(vector('seventeen codecs', example, (patch) => void patch.writeUInt32LE(17, 108))),
    'group-count': refused(vector('65,537 groups', example, (patch) => void patch.writeUInt32LE(65_537, 112))),
    zero: refused(vector('a field that should be zero', example, (patch) => void patch.writeUInt32LE(1, 116))),
    'codec-name': refused(vector('a codec without a name', { ...example, codecs: [{ name: '', level: 15 }] })),
    'codec-capital': refused(vector('a codec with a capital in its name', { ...example, codecs: [{ name: 'Zstd', level: 15 }] })),
    'codec-unknown': refused(vector('a codec that nobody has', { ...example, codecs: [{ name: 'zstd-0.0.1', level: 15 }] }), 'unsupported'),
    'codec-missing': refused(
      group('a piece of a codec that the patch does not name', next4, [...fresh(next4).slice(0, 8), step.emit, 1, 4], new4),
    ),
    'group-empty': refused(vector('a group of nothing', { ...example, groups: [...example.groups, { length: 0, control: numbers() }] })),
    'group-made': refused(vector('a group that encodes more than 16 MiB', example, (patch) => void patch.writeUInt32LE(2 ** 24 + 1, 128))),
    'stream-packing': refused(vector('a stream packed in a way that has no number', example, (patch) => void patch.writeUInt8(3, 132))),
    'stream-zero': refused(vector('a byte that should be zero beside the packings', example, (patch) => void patch.writeUInt8(1, 135))),
    'stream-stored': refused(vector('a stored stream of another length', example, (patch) => void patch.writeUInt32LE(5, 144))),
    'streams-large': refused(
      bent('a stream that is larger than all of such a blob may be', br, (patch) => void patch.writeUInt32LE(2 ** 20 + 104, 120 + 24)),
    ),
    'brotli-shorter': refused(bent('brotli that becomes a byte less', br, (patch) => void patch.writeUInt32LE(twice.length + 1, 120 + 24))),
    'brotli-longer': refused(bent('brotli that becomes a byte more', br, (patch) => void patch.writeUInt32LE(twice.length - 1, 120 + 24))),
    'brotli-damaged': refused(bent('damaged brotli', br, (patch) => void patch.fill(255, patch.length - 20))),
    'xz-longer': refused(bent('.xz that becomes a byte more', lzma, (patch) => void patch.writeUInt32LE(twice.length - 1, 120 + 24))),
    'xz-damaged': refused(bent('.xz without its last byte', lzma, (patch) => void patch.writeUInt8(0, patch.length - 1))),

    step: refused(group('a step that has no number', next4, [5], new4)),
    'number-cut': refused(group('a number that ends too early', next4, [], { control: Uint8Array.of(1, 0x84), inserted: next4 })),
    'number-large': refused(
      group('a number of 2^53', next4, [], { control: Uint8Array.of(1, 128, 128, 128, 128, 128, 128, 128, 16), inserted: next4 }),
    ),
    'copy-before': refused(group('a copy from before the old blob', text('abcd'), [step.copy, [-1], 4])),
    'copy-behind': refused(group('a copy that ends behind the old blob', text('wxyz'), [step.copy, [23], 4])),
    'copy-nothing': refused(group('a copy of nothing', text('abcd'), [step.copy, [0], 0, step.copy, [0], 4])),
    'copy-more': refused(group('a copy of more than its group', text('abcd'), [step.copy, [0], 5])),
    'copy-less': refused(group('copies of less than their group', text('abcd'), [step.copy, [0], 3])),
    'literal-more': refused(group('more new bytes than there are', next4, [step.literal, 5], { inserted: next4, length: 5 })),
    'literal-left': refused(group('new bytes that are left over', next4, [step.literal, 4], { inserted: text('next!') })),
    'literal-nothing': refused(group('new bytes that are none', next4, [step.literal, 0, step.literal, 4], { inserted: next4 })),
    'unit-kind': refused(group('a unit of a kind that has no number', next4, [step.unit, 63, 0, 4, 1, 0, 4, [0], step.emit, 0, 4], new4)),
    'unit-nothing': refused(group('a unit of nothing', text('abcd'), [step.unit, 0, 0, 0, 0, step.copy, [0], 4])),
    'unit-left': refused(group('a unit of which a byte is left over', text('nex'), [...fresh(next4).slice(0, 8), step.emit, 0, 3], new4)),
    'unit-again': refused(
      group(
        'a unit before the one before it is over',
        next4,
        [step.unit, 0, 0, 3, 1, 0, 3, [0], step.emit, 0, 2, step.unit, 0, 0, 1, 1, 0, 1, [0], step.emit, 0, 2],
        new4,
      ),
    ),
    'unit-more': refused(group('a unit of more than its group says that it encodes', next4, fresh(next4), { ...new4, made: 3 })),
    'unit-less': refused(group('units of less than their group says that it encodes', next4, fresh(next4), { ...new4, made: 5 })),
    'emit-first': refused(group('a piece before any unit', next4, [step.emit, 0, 4], { ...new4, made: 0 })),
    'emit-more': refused(group('a piece of more than its unit has', next4, [...fresh(next4).slice(0, 8), step.emit, 0, 5], new4)),
    'emit-nothing': refused(group('a piece of nothing', next4, [...fresh(next4).slice(0, 8), step.emit, 0, 0, step.emit, 0, 4], new4)),
    'source-before': refused(group('a source before the old blob', text('abcd'), four(1, 0, [-1], 4), four0)),
    'source-behind': refused(group('a source that ends behind the old blob', text('wxyz'), four(1, 0, [23], 4), four0)),
    'source-kind': refused(group('a source of a kind that has no number', text('abcd'), four(1, 4, [0], 4), four0)),
    'source-same-first': refused(group('a first source that lies in the same piece as none', text('abcd'), four(1, 6, 0, 4), four0)),
    'source-part': refused(group('a part beyond its piece', text('wxyz'), four(1, 2, [0], 25, 22, 4), four0)),
    'source-packed': refused(group('a packed source in a patch that knows none', text('abcd'), four(1, 1, [0], 4, 4), four0)),
    'source-long': refused(
      group('a source that becomes more than 8 MiB', text('abcd'), four(1, 1, [0], 4, 2 ** 23 + 1), { ...four0, packing: 'zstd' }),
    ),
    'sources-many': refused(group('more sources than 4,096', text('aaaa'), [step.unit, 0, 4097], four0)),
    'sources-large': refused(
      group('sources of more than a group that small may handle', text('abcd'), four(1, 1, [0], 4, 2 ** 20), { ...four0, packing: 'zstd' }),
    ),
    'changes-many': refused(group('more changes than 1,048,576', next4, [step.unit, 0, 0, 4, 2 ** 20 + 1], new4)),
    'change-more': refused(
      group('a change of more than its unit', next4, [step.unit, 0, 0, 4, 1, 0, 5, [0], step.emit, 0, 4], {
        ...new4,
        inserted: text('nextt'),
      }),
    ),
    'change-less': refused(
      group('changes of less than their unit', next4, [step.unit, 0, 0, 4, 1, 0, 3, [0], step.emit, 0, 4], {
        ...new4,
        inserted: text('nex'),
      }),
    ),
    'change-large': refused(group('a change of 2^53-1 bytes', next4, [step.unit, 0, 0, 4, 1, far, 0, [0], step.emit, 0, 4], new4)),
    'change-before': refused(
      group('a change before the sources', text('abcd'), [step.unit, 0, 1, 0, [0], 8, 4, 2, 0, 0, [-1], 4, 0, [0], step.emit, 0, 4], four0),
    ),
    'change-behind': refused(
      group(
        'a change that ends behind the sources',
        text('abcd'),
        [step.unit, 0, 1, 0, [0], 8, 4, 2, 0, 0, [5], 4, 0, [0], step.emit, 0, 4],
        four0,
      ),
    ),
    'differences-left': refused(
      group('differences that are left over', text('abcd'), four(1, 0, [0], 4), { ...four0, differences: Uint8Array.of(5, 0) }),
    ),
    'differences-run': refused(
      group('an empty run behind all differences', text('abcd'), four(1, 0, [0], 4), { ...four0, differences: Uint8Array.of(4, 0, 0, 0) }),
    ),
    'differences-cut': refused(
      group('differences that end too early', text('abcd'), four(1, 0, [0], 4), { ...four0, differences: Uint8Array.of(3, 0) }),
    ),
  }
}

/** With the encoder itself: a data block, and a block of metadata made of one. */
async function encodedOnes(): Promise<Readonly<Record<string, PatchVector>>> {
  const encode = await loadEncoder('zstd-1.5.5', 15)
  const [was, is] = ['1.0', '1.1'].map((version) =>
    text(Array.from({ length: 40 }, (_, line) => `line ${line} of version ${version}\n`).join('')),
  )
  if (was === undefined || is === undefined) throw new Error('no texts')
  const stored = encode(was)
  const codecs = [{ name: 'zstd-1.5.5', level: 15 }]
  const made = encode(is)
  /** New minus old: the last digit of each line. */
  const changes: number[] = []
  let zeros = 0
  for (const [at, byte] of is.entries()) {
    if (byte === was[at]) zeros++
    else {
      changes.push(zeros, 1, byte - (was[at] as number))
      zeros = 0
    }
  }
  const differences = numbers(...changes, zeros, 0)
  const unit: Numbers = [step.unit, 0, 1, 1, [4], stored.length, was.length, is.length, 1, is.length, 0, [0]]
  const old = joined(text('head'), stored, text('tail'))
  const of = (what: string, next: Uint8Array, steps: Numbers) =>
    vector(what, {
      old,
      next,
      packing: 'zstd',
      codecs,
      groups: [{ length: next.length, made: is.length, control: numbers(...steps), differences }],
    })
  return {
    zstd: of('a packed source, and a piece that zstd 1.5.5 makes at level 15', joined(text('head'), made, text('tail')), [
      ...[step.copy, [0] as const, 4],
      ...unit,
      ...[step.emit, 1, is.length, step.copy, [stored.length] as const, 4],
    ]),
    'zstd-metadata': of('the same as a block of metadata', joined(Uint8Array.of(made.length & 255, made.length >> 8), made), [
      ...unit,
      ...[step.emitMetadata, 1, is.length],
    ]),
    'source-size': refused(
      of('a source that becomes fewer bytes than it says', joined(made), [
        ...[
          step.unit,
          0,
          1,
          1,
          [4] as const,
          stored.length,
          was.length + 1,
          is.length,
          1,
          is.length,
          0,
          [0] as const,
          step.emit,
          1,
          is.length,
        ],
      ]),
    ),
  }
}

type Tables = { readonly image: Uint8Array; readonly blocks: readonly Uint8Array[]; readonly shape: TableShape }

/** The tables of an image with a folder and two files, each a block that is not packed: inodes, names, fragments, export. */
function tables(start: number, size: number): Tables {
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
  put(fragments, [
    [0, start + sizes.reduce((sum, value) => sum + value, 0)],
    [8, 90],
  ])
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

function tableOnes(): Readonly<Record<string, PatchVector>> {
  const [was, is] = [tables(96, 6000), tables(1096, 9000)]
  const stored = ({ blocks }: Tables) => blocks.slice(0, 2).map(({ length }) => length + 2)
  const [from, to] = [was, is].map((one) => tableText(joined(...one.blocks), one.shape, stored(one))) as [Uint8Array, Uint8Array]
  const { triples, differences, inserted } = bsdiff(from, to)
  const shapeOf = (shape: TableShape): Numbers => [
    ...[shape.blockSize, shape.inodes, shape.names, shape.fragments],
    ...[shape.exportAt, shape.exported, shape.inodeBlocks, shape.nameBlocks],
  ]
  const made = joined(...is.blocks).length
  const of = (what: string, change: Partial<TableShape> = {}, nextChange: Partial<TableShape> = {}, old = was.image) =>
    vector(what, {
      old,
      next: is.image,
      groups: [
        {
          length: is.image.length,
          made,
          control: numbers(
            ...[step.unit, 1, ...shapeOf({ ...was.shape, ...change }), ...shapeOf({ ...is.shape, ...nextChange }), was.blocks.length],
            ...was.blocks.flatMap(({ length }, block): Numbers => [0, block === 0 ? [2] : 2, length]),
            ...[made, triples.length, ...triples.flatMap(({ add, insert, seek }): Numbers => [add, insert, [seek]])],
            ...is.blocks.flatMap(({ length }): Numbers => [step.emitMetadata, 0, length]),
          ),
          differences: packZeroRuns(differences),
          inserted,
        },
      ],
    })
  const bent = was.image.slice()
  bent[2] = 15
  return {
    tables: of('a unit of tables: what is put in moves the start of blocks and the places of inodes'),
    'tables-block-size': refused(of('tables of blocks that are too small', { blockSize: 4095 })),
    'tables-blocks': refused(of('tables of more blocks than there are sources', { inodeBlocks: 4 })),
    'tables-blocks-many': refused(of('tables of more than 4,096 blocks', {}, { inodeBlocks: 4096 })),
    'tables-blocks-none': refused(of('a folder whose names lie in no block', {}, { nameBlocks: 0 })),
    'tables-inodes': refused(of('inodes that end within one', { inodes: was.shape.inodes - 1 })),
    'tables-names': refused(of('names that are more than all of the tables', { names: 10_000 })),
    'tables-export': refused(of('an export table that begins within the fragments', {}, { exportAt: is.shape.exportAt - 1 })),
    'tables-kind': refused(of('an inode of a kind that there is not', {}, {}, bent)),
  }
}

/** By their names. */
export async function patchVectors(): Promise<Readonly<Record<string, PatchVector>>> {
  return { ...plainOnes(), ...tableOnes(), ...(await encodedOnes()) }
}
