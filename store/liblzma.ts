// liblzma 5.8.2 as WebAssembly: it makes .xz streams byte for byte as mksquashfs does, and undoes them within limits. Of the package nothing else is loaded.
import { PsyblobError } from '../core/mod.ts'
import { liblzmaWasm } from './liblzma-wasm.ts'

/** A filter before LZMA2 that makes machine code smaller. */
export type XzFilter = 'x86'

/** What the module has, as Emscripten names it; numbers are addresses, sizes in bytes, and results of liblzma. */
type Liblzma = {
  /** Another one after memory has grown. */
  readonly HEAPU8: Uint8Array
  _malloc(size: number): number
  _free(address: number): void
  _lzma_stream_buffer_encode(...words: number[]): number
  _lzma_stream_buffer_decode(...words: number[]): number
}

// lzma/base.h, filter.h, lzma12.h, bcj.h, check.h
const ok = 0
const checkCrc32 = 1
const filterIds = { x86: 0x04n, lzma2: 0x21n, end: 0xffff_ffff_ffff_ffffn } as const
const filterBytes = 16
const optionsBytes = 128
/** `lzma_options_lzma` of preset 6, as numbers of 4 bytes: [its place, the number]. */
const preset6 = [
  [3, 3], // literal context bits
  [5, 2], // position bits
  [6, 2], // mode: normal
  [7, 64], // nice length
  [8, 0x14], // match finder: bt4
] as const

/** Dictionaries of squashfs are at most 1 MiB; a stream that asks for more than this is refused. Bytes. */
const decoderMemory = 24 * 1024 * 1024

let loaded: Promise<Liblzma> | undefined

/** Once, when it is needed. Rejects where there is no WebAssembly, or the package is not installed. */
function liblzma(): Promise<Liblzma> {
  // the module would say so on standard error by itself
  if (!('WebAssembly' in globalThis)) return Promise.reject(new Error('WebAssembly is not defined'))
  loaded ??= (async () => {
    const { default: create } = await import('liblzma-5.8.2/wasm/liblzma.js')
    return (await create({ wasmBinary: await liblzmaWasm(), printErr: () => undefined })) as unknown as Liblzma
  })()
  return loaded
}

/** Calls `work` with zeroed stretches of memory of these sizes, which are given back. */
function withMemory<const Sizes extends readonly number[], Result>(
  lzma: Liblzma,
  sizes: Sizes,
  work: (addresses: { readonly [At in keyof Sizes]: number }) => Result,
): Result {
  const addresses: number[] = []
  try {
    for (const size of sizes) {
      const address = lzma._malloc(size)
      if (address === 0) throw new RangeError(`no memory for ${size} bytes`)
      addresses.push(address)
    }
    for (const [number, address] of addresses.entries()) lzma.HEAPU8.fill(0, address, address + (sizes[number] as number))
    return work(addresses as unknown as { readonly [At in keyof Sizes]: number })
  } finally {
    for (const address of addresses) lzma._free(address)
  }
}

const view = ({ HEAPU8 }: Liblzma) => new DataView(HEAPU8.buffer)

/**
 * Makes one .xz stream of one block of all the bytes: preset 6 with a dictionary of so many bytes, CRC32. With a filter the smaller one of
 * with and without it; without it where both are equal.
 */
export async function xzEncoder(dictionary: number, filter: XzFilter | undefined): Promise<(bytes: Uint8Array) => Uint8Array> {
  const lzma = await liblzma()
  return (bytes) => {
    const plain = encode(lzma, bytes, { dictionary, filter: undefined })
    if (filter === undefined) return plain
    const filtered = encode(lzma, bytes, { dictionary, filter })
    return filtered.length < plain.length ? filtered : plain
  }
}

type EncodeOptions = { readonly dictionary: number; readonly filter: XzFilter | undefined }

function encode(lzma: Liblzma, bytes: Uint8Array, { dictionary, filter }: EncodeOptions): Uint8Array {
  // what cannot be compressed becomes longer by 3 bytes of 65,536, and by heads and feet
  const room = bytes.length + (bytes.length >>> 10) + 1024
  const sizes = [bytes.length + 1, room, optionsBytes, 3 * filterBytes, 8] as const
  return withMemory(lzma, sizes, ([input, output, options, filters, position]) => {
    lzma.HEAPU8.set(bytes, input)
    const memory = view(lzma)
    memory.setUint32(options, dictionary, true)
    for (const [place, number] of preset6) memory.setUint32(options + 4 * place, number, true)
    const chain: { readonly id: bigint; readonly options?: number }[] = [{ id: filterIds.lzma2, options }, { id: filterIds.end }]
    if (filter !== undefined) chain.unshift({ id: filterIds[filter] })
    for (const [number, link] of chain.entries()) {
      memory.setBigUint64(filters + number * filterBytes, link.id, true)
      memory.setUint32(filters + number * filterBytes + 8, link.options ?? 0, true)
    }
    const result = lzma._lzma_stream_buffer_encode(filters, checkCrc32, 0, input, bytes.length, output, position, room)
    if (result !== ok) throw new Error(`liblzma cannot encode: ${result}`)
    return lzma.HEAPU8.slice(output, output + view(lzma).getUint32(position, true))
  })
}

/** Undoes what is one .xz stream and becomes at most `limit` bytes; its check is checked. Throws for any other. */
export async function xzDecoder(): Promise<(bytes: Uint8Array, limit: number) => Uint8Array> {
  const lzma = await liblzma()
  return (bytes, limit) => {
    const sizes = [bytes.length + 1, limit + 1, 8, 8, 8] as const
    return withMemory(lzma, sizes, ([input, output, memory, read, written]) => {
      lzma.HEAPU8.set(bytes, input)
      view(lzma).setBigUint64(memory, BigInt(decoderMemory), true)
      const result = lzma._lzma_stream_buffer_decode(memory, 0, 0, input, read, bytes.length, output, written, limit)
      if (result !== ok) throw new Error(`liblzma cannot decode: ${result}`)
      const behind = bytes.length - view(lzma).getUint32(read, true)
      if (behind > 0) throw new PsyblobError('malformed', `${behind} bytes behind the end of a stream`)
      return lzma.HEAPU8.slice(output, output + view(lzma).getUint32(written, true))
    })
  }
}
