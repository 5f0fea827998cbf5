// The encoders that psyblob can make bytes with again, each pinned to one version of one package: its output is part of what it is (spec/patch.md 6).
import { type PatchCodec, PsyblobError, packLz4Fast, packLz4Hc, type SourcePacking, type SquashfsOptions } from '../../core/mod.ts'
import { type XzFilter, xzEncoder } from '../liblzma.ts'

/** Encodes a piece. Equal bytes in, equal bytes out, on every machine. */
export type Encode = (bytes: Uint8Array) => Uint8Array

export type Encoder = {
  /** As patches name it. */
  readonly name: string
  readonly packing: Exclude<SourcePacking, 'none'>
  /** From the lowest to the highest level that it knows. */
  readonly levels: readonly [number, number]
  /** By level: pieces of more bytes than this come out otherwise than from a native build. */
  readonly traps: Readonly<Record<number, number>>
  /** The level of an image that does not say one: what mksquashfs takes. */
  readonly usual: number
  /** Higher levels take a hundred megabytes. */
  readonly heavyAbove: number
  /** Bytes a second that no machine encodes in one thread, at that level. */
  fastest(level: number): number
  /** What is before the compression. */
  readonly filter?: XzFilter
  /** What mksquashfs makes the metadata of an image with; undefined when that is the same. */
  readonly metadata?: PatchCodec
  load(level: number): Promise<Encode>
}

/**
 * Built without SIMD, the row match finder takes other matches. Which levels have it depends on the size of a piece: measured against
 * mksquashfs 4.5.1 with libzstd 1.5.4.
 */
const withoutSimd = {
  4: 128 * 1024,
  ...Object.fromEntries([5, 6, 7, 8, 9, 10].map((level) => [level, 16 * 1024])),
  11: 256 * 1024,
  12: 256 * 1024,
}

type Zstd = Pick<typeof import('zstd-wasm-1.5.5'), 'init' | 'compress' | 'decompress'>

/** Loaded once, when it is needed. */
function once(load: () => Promise<Zstd>): () => Promise<Zstd> {
  let loaded: Promise<Zstd> | undefined
  return () => {
    // the package would say so on standard error by itself
    if (!('WebAssembly' in globalThis)) return Promise.reject(new Error('WebAssembly is not defined'))
    loaded ??= load().then(async (module) => {
      await module.init()
      return module
    })
    return loaded
  }
}

const zstd155 = once(() => import('zstd-wasm-1.5.5'))

function zstd(version: string, load: () => Promise<Zstd>): Encoder {
  return {
    name: `zstd-${version}`,
    packing: 'zstd',
    levels: [1, 22],
    traps: withoutSimd,
    usual: 15,
    heavyAbove: 19,
    fastest: (level) => (level <= 4 ? 300_000_000 : level <= 9 ? 100_000_000 : level <= 12 ? 40_000_000 : 15_000_000),
    async load(level) {
      const { compress } = await load()
      return (bytes) => compress(bytes, level)
    },
  }
}

/** zlib as it was from 1.2.9 to 1.2.13 at least, whose deflate did not change. Node's own zlib is another one. */
const zlib: Encoder = {
  name: 'zlib-1.2.13',
  packing: 'gzip',
  levels: [1, 9],
  traps: {},
  usual: 9,
  heavyAbove: 9,
  fastest: () => 300_000_000,
  async load(level) {
    const { deflate } = await import('pako-2.1.0')
    return (bytes) => deflate(bytes, { level: level as 9, windowBits: 15, memLevel: 8 })
  },
}

/** What kernels are packed by: `lz4 -l -9`, of which each block of 8 MiB is one piece. */
const lz4: Encoder = {
  name: 'lz4hc-1.9.4',
  packing: 'lz4',
  levels: [3, 9],
  traps: {},
  usual: 9,
  heavyAbove: 9,
  fastest: () => 300_000_000,
  load: async (level) => (bytes) => packLz4Hc(bytes, level),
}

/** What mksquashfs packs by without -Xhc, and `lz4 -1`. */
const lz4Fast: Encoder = {
  name: 'lz4-1.9.4',
  packing: 'lz4',
  levels: [1, 1],
  traps: {},
  usual: 1,
  heavyAbove: 1,
  fastest: () => 300_000_000,
  load: async () => packLz4Fast,
}

/** As mksquashfs calls it, for each block: liblzma has made the same since 5.2 at least. A level is the binary logarithm of the dictionary. */
function xz(filter: XzFilter | undefined): Encoder {
  const name = 'xz-5.8.2'
  return {
    name: filter === undefined ? name : `${name}-${filter}`,
    packing: 'xz',
    levels: [12, 20],
    traps: {},
    usual: 17,
    heavyAbove: 20,
    fastest: () => 15_000_000,
    ...(filter === undefined ? {} : { filter }),
    // its blocks are known to be small, and are no machine code
    metadata: { name, level: 13 },
    load: (level) => xzEncoder(2 ** level, filter),
  }
}

/** In the order in which they are tried. */
const encoders: readonly Encoder[] = [
  // equal to 1.5.4, which Debian 12 has
  zstd('1.5.5', zstd155),
  // Debian 13, Alpine 3.22
  zstd(
    '1.5.7',
    once(() => import('zstd-wasm-1.5.7')),
  ),
  zlib,
  lz4,
  lz4Fast,
  xz(undefined),
  xz('x86'),
]

/** Those that may have made pieces packed like that, of at most `largest` bytes; a level that nobody says is the usual one. */
export function encodersFor(
  packing: SourcePacking,
  { level, filter, largest }: SquashfsOptions & { readonly largest: number },
): readonly { readonly encoder: Encoder; readonly level: number }[] {
  return encoders.flatMap((encoder) => {
    const at = level ?? encoder.usual
    const isKnown = encoder.packing === packing && encoder.filter === filter && at >= encoder.levels[0] && at <= encoder.levels[1]
    return isKnown && largest <= (encoder.traps[at] ?? Number.POSITIVE_INFINITY) ? [{ encoder, level: at }] : []
  })
}

/** For people. */
export function codecText({ name, level }: PatchCodec): string {
  return name.startsWith('xz-') ? `${name}, dictionary of ${2 ** (level - 10)} KiB` : `${name}, level ${level}`
}

/** Whether one thread of it takes as much memory as two of others. */
export function isHeavy({ name, level }: PatchCodec): boolean {
  return level > (encoders.find((encoder) => encoder.name === name)?.heavyAbove ?? 0)
}

/** Bytes a second that no machine encodes in one thread; of a codec that nobody has said yet, with any. */
export function fastestOf(codec: PatchCodec | undefined): number {
  return encoders.find((encoder) => encoder.name === codec?.name)?.fastest(codec?.level ?? 0) ?? 300_000_000
}

/** The codecs of an image whose data is made by `codec`: that one first, and last the one that makes its metadata. */
export function codecsOf(codec: PatchCodec): readonly PatchCodec[] {
  const metadata = encoders.find(({ name }) => name === codec.name)?.metadata
  return metadata === undefined ? [codec] : [codec, metadata]
}

/** Throws `unsupported` for one that this psyblob does not have, or that cannot be loaded here. */
export async function loadEncoder(name: string, level: number): Promise<Encode> {
  const encoder = encoders.find((one) => one.name === name)
  if (encoder === undefined || level < encoder.levels[0] || level > encoder.levels[1])
    throw new PsyblobError('unsupported', `no encoder ${name} of level ${level}`, { hint: 'a newer psyblob may have it' })
  try {
    return await encoder.load(level)
  } catch (cause) {
    throw new PsyblobError('unsupported', `encoder ${name} cannot be loaded: ${cause instanceof Error ? cause.message : 'unknown'}`, {
      cause,
      hint: 'this machine has no WebAssembly, or psyblob is not installed whole',
    })
  }
}

/** The bytes of a whole zstd frame, however large it becomes. Throws whatever the package does for what is none. */
export async function unpackZstd(bytes: Uint8Array): Promise<Uint8Array> {
  return (await zstd155()).decompress(bytes)
}
