// What Node's zlib undoes, held to one stream: by itself it takes whatever lies behind.
import type { brotliDecompressSync, inflateSync } from 'node:zlib'
import { PsyblobError } from '../core/mod.ts'

/** What `info` makes of the answer, which its types do not know. */
type Informed = { readonly buffer: Uint8Array; readonly engine: { /** Of the input. */ readonly bytesWritten: number } }

/** The bytes of a stream that is all of `bytes`, at most `limit`. Throws `malformed` for something behind it, and what zlib throws. */
export function undoWhole(undo: typeof inflateSync | typeof brotliDecompressSync, bytes: Uint8Array, limit: number): Uint8Array {
  const { buffer, engine } = undo(bytes, { maxOutputLength: limit, info: true }) as unknown as Informed
  const behind = bytes.length - engine.bytesWritten
  if (behind > 0) throw new PsyblobError('malformed', `${behind} bytes behind the end of a stream`)
  return buffer
}
