// The streams of a group, packed as small as this machine can and unpacked within their limits (spec/patch.md 5).
import { addAbortSignal } from 'node:stream'
import { brotliDecompressSync, constants, createBrotliCompress } from 'node:zlib'
import { type PatchStream, PsyblobError, readXz, type StreamPacking } from '../../core/mod.ts'
import { undoWhole } from '../zlib.ts'

/** Makes an .xz stream with a dictionary of at most 16 MiB; undefined when this machine cannot. */
export type CompressStream = (bytes: Uint8Array) => Promise<Uint8Array | undefined>

export type PackedStream = { readonly packing: StreamPacking; readonly bytes: Uint8Array }

/** Brotli takes four times as long as xz for the same size: it is tried where that is nothing, and where there is no xz. */
const brotliWorthIt = 1024 * 1024
/** What it is given at once: a process that is to end waits for that much. */
const brotliSlice = 256 * 1024

/** The smallest of the packings. An interruption ends it at once. */
export async function packStream(bytes: Uint8Array, compress: CompressStream | undefined, signal?: AbortSignal): Promise<PackedStream> {
  const xz = bytes.length === 0 ? undefined : await compress?.(bytes)
  const made: PackedStream[] = [{ packing: 'stored', bytes }]
  if (xz !== undefined) made.push({ packing: 'xz', bytes: xz })
  if (bytes.length > 0 && (xz === undefined || bytes.length <= brotliWorthIt))
    made.push({ packing: 'brotli', bytes: await brotli(bytes, signal) })
  return made.reduce((least, one) => (one.bytes.length < least.bytes.length ? one : least))
}

let turn: Promise<unknown> = Promise.resolve()

/** Beside the main thread, and one at a time: 16 MiB take a minute and 280 MiB of memory. */
function brotli(bytes: Uint8Array, signal: AbortSignal | undefined): Promise<Uint8Array> {
  const packed = turn.then(() => brotliNow(bytes, signal))
  turn = packed.then(
    () => undefined,
    () => undefined,
  )
  return packed
}

async function brotliNow(bytes: Uint8Array, signal: AbortSignal | undefined): Promise<Uint8Array> {
  signal?.throwIfAborted()
  const { BROTLI_PARAM_LGWIN, BROTLI_PARAM_SIZE_HINT } = constants
  const stream = createBrotliCompress({ params: { [BROTLI_PARAM_LGWIN]: 24, [BROTLI_PARAM_SIZE_HINT]: bytes.length } })
  if (signal !== undefined) addAbortSignal(signal, stream)
  // slices come out as the whole does, as long as the last one ends the stream and is not empty
  let at = 0
  for (; at + brotliSlice < bytes.length; at += brotliSlice) stream.write(bytes.subarray(at, at + brotliSlice))
  stream.end(bytes.subarray(at))
  const pieces: Uint8Array[] = []
  for await (const piece of stream) pieces.push(piece as Uint8Array)
  return Buffer.concat(pieces)
}

/** Exactly as many bytes as the head of the patch says. Throws `malformed`. */
export function unpackStream(bytes: Uint8Array, { packing, raw }: Pick<PatchStream, 'packing' | 'raw'>): Uint8Array {
  const unpacked = packing === 'stored' ? bytes : packing === 'xz' ? readXz(bytes, raw, 'a stream of the patch') : unbrotli(bytes, raw)
  if (unpacked.length !== raw) throw new PsyblobError('malformed', `a stream of the patch: expected ${raw} bytes, got ${unpacked.length}`)
  return unpacked
}

function unbrotli(bytes: Uint8Array, raw: number): Uint8Array {
  try {
    return undoWhole(brotliDecompressSync, bytes, Math.max(1, raw))
  } catch (cause) {
    throw new PsyblobError('malformed', 'a stream of the patch cannot be unpacked', { cause })
  }
}
