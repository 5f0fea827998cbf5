// The encoders that psyblob can make bytes with again, each pinned to one version of one package: its output is part of what it is (spec/patch.md 6).
import { PsyblobError, type SourcePacking } from '../../core/mod.ts'

/** Encodes a piece. Equal bytes in, equal bytes out, on every machine. */
export type Encode = (bytes: Uint8Array) => Uint8Array

export type Encoder = {
  /** As patches name it. */
  readonly name: string
  readonly packing: Exclude<SourcePacking, 'none'>
  /** From the lowest to the highest level that it knows, and those at which its output is not that of a native build, with the reason. */
  readonly levels: readonly [number, number]
  readonly traps: Readonly<Record<number, string>>
  /** The level of an image that does not say one: what mksquashfs takes. */
  readonly usual: number
  load(level: number): Promise<Encode>
}

const simd = 'built without SIMD, the row match finder takes other matches'

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
    traps: { 5: simd, 6: simd, 7: simd, 8: simd, 9: simd, 10: simd },
    usual: 15,
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
  async load(level) {
    const { deflate } = await import('pako-2.1.0')
    return (bytes) => deflate(bytes, { level: level as 9, windowBits: 15, memLevel: 8 })
  },
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
]

/** Those that may have made pieces packed like that, at that level; a level that none is asked about is the usual one. */
export function encodersFor(
  packing: SourcePacking,
  level: number | undefined,
): readonly { readonly encoder: Encoder; readonly level: number }[] {
  return encoders.flatMap((encoder) => {
    const at = level ?? encoder.usual
    const isKnown = encoder.packing === packing && at >= encoder.levels[0] && at <= encoder.levels[1]
    return isKnown && encoder.traps[at] === undefined ? [{ encoder, level: at }] : []
  })
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
