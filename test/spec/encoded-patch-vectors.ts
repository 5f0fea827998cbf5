// Vectors of patches whose pieces an encoder makes, with the encoder itself.
import type { PatchCodec, SourcePacking } from '../../core/mod.ts'
import { packZeroRuns } from '../../core/zero-runs.ts'
import { loadEncoder } from '../../store/patches/encoders.ts'
import { numbers, step } from '../fixtures/patches.ts'
import { joined, type Numbers, type PatchVector, refused, text, vector } from './patch-vector.ts'

type Encoded = {
  readonly packing: SourcePacking
  /** The first one packed the source, too. */
  readonly codecs: readonly PatchCodec[]
  readonly was: Uint8Array
  /** Each by one of the codecs, from 1 on. */
  readonly pieces: readonly { readonly bytes: Uint8Array; readonly codec: number; readonly isMetadata?: boolean }[]
  /** Nothing of the old blob is copied. */
  readonly isBare?: boolean
  /** What lies behind the source, and how many bytes more it is said to become. */
  readonly behind?: Uint8Array
  readonly more?: number
}

/** One unit of one packed source, which lies between a head and a tail: the bytes of the source changed, then new ones. */
async function encoded(what: string, { packing, codecs, was, pieces, isBare = false, ...bent }: Encoded): Promise<PatchVector> {
  const encode = await Promise.all(codecs.map(({ name, level }) => loadEncoder(name, level)))
  const encodedBy = (codec: number, bytes: Uint8Array) => encode[codec - 1]?.(bytes) ?? bytes
  const stored = joined(encodedBy(1, was), bent.behind ?? new Uint8Array(0))
  const is = joined(...pieces.map(({ bytes }) => bytes))
  const made = pieces.map(({ bytes, codec, isMetadata = false }) => {
    const packed = encodedBy(codec, bytes)
    return isMetadata ? joined(Uint8Array.of(packed.length & 255, packed.length >> 8), packed) : packed
  })
  const add = Math.min(was.length, is.length)
  const unit: Numbers = [
    ...[step.unit, 0, 1, 1, [4] as const, stored.length, was.length + (bent.more ?? 0)],
    ...[is.length, 1, add, is.length - add, [0] as const],
    ...pieces.flatMap(({ bytes, codec, isMetadata }) => [isMetadata ? step.emitMetadata : step.emit, codec, bytes.length]),
  ]
  const [head, tail] = [text('head'), text('tail')]
  const next = isBare ? joined(...made) : joined(head, ...made, tail)
  const control = numbers(...(isBare ? unit : [step.copy, [0] as const, 4, ...unit, step.copy, [stored.length] as const, 4]))
  const differences = packZeroRuns(is.slice(0, add).map((byte, at) => byte - (was[at] as number)))
  return vector(what, {
    ...{ old: joined(head, stored, tail), next, packing, codecs },
    groups: [{ length: next.length, made: is.length, control, differences, inserted: is.subarray(add) }],
  })
}

/** Lines that say which version they are of. */
function lines(version: string): Uint8Array {
  return text(Array.from({ length: 40 }, (_, line) => `line ${line} of version ${version}\n`).join(''))
}

/** Small numbers, of which an encoder finds pairs and triples at many places: versions and levels differ in which they take. */
function figures(seed: number, length: number): Uint8Array {
  let state = seed
  let letters = ''
  while (letters.length < length) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    letters += `${(state >>> 16) % 97} `
  }
  return text(letters.slice(0, length))
}

/** As x86 calls a few functions from many places: the distance is another one each time. */
function calls(first: number): Uint8Array {
  const code = Buffer.alloc(1200)
  for (let call = 0; call < 120; call++) {
    const target = first + 64 * ((call * call) % 7)
    code.writeUInt8(0xe8, 10 * call)
    code.writeInt32LE(target - (10 * call + 5), 10 * call + 1)
    code.write('\x48\x89\xc7\x90', 10 * call + 5, 'latin1')
    code.writeUInt8(call % 5, 10 * call + 9)
  }
  return new Uint8Array(code)
}

/** With sevens for ones. */
const older = (bytes: Uint8Array) => bytes.map((byte) => (byte === 0x31 ? 0x37 : byte))

export async function encodedOnes(): Promise<Readonly<Record<string, PatchVector>>> {
  const zstd = { packing: 'zstd', codecs: [{ name: 'zstd-1.5.5', level: 15 }], was: lines('1.0') } as const
  const piece = { bytes: lines('1.1'), codec: 1 }
  const one = (packing: SourcePacking, name: string, level: number, bytes: Uint8Array) => ({
    ...{ packing, codecs: [{ name, level }], was: older(bytes).subarray(0, -100), pieces: [{ bytes, codec: 1 }] },
  })
  /** Its end is like its beginning, which is farther away than a dictionary of 4,096 bytes reaches. */
  const far = joined(figures(1, 2500), figures(2, 2000), figures(1, 800))
  const xz = one('xz', 'xz-5.8.2', 12, far)
  const zlib = one('gzip', 'zlib-1.2.13', 9, figures(3, 3000))
  const behind = Uint8Array.of(0)
  return {
    zstd: await encoded('a packed source, and a piece that zstd 1.5.5 makes at level 15', { ...zstd, pieces: [piece] }),
    'zstd-metadata': await encoded('the same as a block of metadata', {
      ...{ ...zstd, pieces: [{ ...piece, isMetadata: true }], isBare: true },
    }),
    'codec-zstd-1.5.7': await encoded(
      'a piece that zstd 1.5.7 makes at level 19, and 1.5.5 otherwise',
      one('zstd', 'zstd-1.5.7', 19, figures(6, 3000)),
    ),
    'codec-zlib-1.2.13': await encoded('a piece that zlib makes at level 9', zlib),
    'codec-xz-5.8.2': await encoded('a piece that liblzma makes with a dictionary of 4,096 bytes', xz),
    'codec-xz-5.8.2-x86': await encoded(
      'two codecs: code, which the filter for x86 makes smaller; text, which is smaller without; and a block of metadata by the other one',
      {
        packing: 'xz',
        codecs: [
          { name: 'xz-5.8.2-x86', level: 17 },
          { name: 'xz-5.8.2', level: 13 },
        ],
        was: calls(4096),
        pieces: [
          { bytes: calls(5000), codec: 1 },
          { bytes: figures(4, 600), codec: 1 },
          { bytes: figures(5, 600), codec: 2, isMetadata: true },
        ],
      },
    ),
    'codec-lz4hc-1.9.4': await encoded('a block that lz4 makes at level 9', one('lz4', 'lz4hc-1.9.4', 9, figures(7, 3000))),
    'codec-lz4-1.9.4': await encoded('a block that lz4 makes at level 1', one('lz4', 'lz4-1.9.4', 1, figures(8, 3000))),
    'source-size': refused(
      await encoded('a source that becomes fewer bytes than it says', { ...zstd, pieces: [piece], isBare: true, more: 1 }),
    ),
    'source-more-zlib': refused(await encoded('a source with a byte behind its zlib stream', { ...zlib, behind })),
    'source-more-xz': refused(await encoded('a source with a byte behind its .xz stream', { ...xz, behind })),
  }
}
