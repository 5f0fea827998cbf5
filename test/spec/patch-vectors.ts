// The vectors of patches, made by hand: what spec/vectors/patch holds. How they are written anew: patch-vectors.test.ts.
import { type HandMade, numbers, step } from '../fixtures/patches.ts'
import { encodedOnes } from './encoded-patch-vectors.ts'
import { alphabet, group, hex, joined, type Numbers, type PatchVector, refused, text, vector } from './patch-vector.ts'
import { tableOnes } from './table-patch-vectors.ts'

const twice = 'new bytes that are packed, new bytes that are packed'
/** The same text, as brotli and xz made it once: other versions of them make other bytes. */
const brotli = '1b3300f89d0976ac8be930241c5e8789b9c94910b2bb2acbeb321016ba298a2eeca40aa91c949c6f464c5b9a00'
const xz =
  'fd377a585a0000016922de360200210116000000742fe5a3e0003300225d0037194b502255fc033d1a8363f12fc91cb6a4328b12b2047a5740ace60aebbe614000000000ff279c9200013a34e79f9b249042990d010000000001595a'

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
/** A unit of two changes of two new bytes each beside eight of a source, up to the seek of the second. */
const twoNew = (seek: readonly [number]): Numbers => [step.unit, 0, 1, 0, [0], 8, 4, 2, 0, 2, seek, 0, 2]
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
    'unit-end': group(
      'a change at the end of the sources that adds nothing, and a last one that leads anywhere',
      next4,
      [...twoNew([8]), [-(2 ** 52)], step.emit, 0, 4],
      new4,
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
    'brotli-more': refused({ ...packed('brotli', 1, `${brotli}00`), what: 'a byte behind the brotli' }),
    'brotli-damaged': refused(bent('damaged brotli', br, (patch) => void patch.fill(255, patch.length - 20))),
    'xz-longer': refused(bent('.xz that becomes a byte more', lzma, (patch) => void patch.writeUInt32LE(twice.length - 1, 120 + 24))),
    'xz-more': refused({ ...packed('xz', 2, `${xz}00000000`), what: 'four zeros behind the .xz' }),
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
    'change-nowhere': refused(group('a change before the sources that adds nothing', next4, [...twoNew([-1]), [0], step.emit, 0, 4], new4)),
    'change-nowhere-behind': refused(
      group('a change behind the end of the sources that adds nothing', next4, [...twoNew([9]), [0], step.emit, 0, 4], new4),
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

/** By their names. */
export async function patchVectors(): Promise<Readonly<Record<string, PatchVector>>> {
  return { ...plainOnes(), ...tableOnes(), ...(await encodedOnes()) }
}
