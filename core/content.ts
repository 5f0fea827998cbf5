// What a blob is made of when it is looked into: the pieces that were compressed one by one, and which parts of which files each holds.
import type { TableShape } from './table-text.ts'

/** A part of a file that lies in a piece. Bytes. */
export type Span = {
  /** As it is called in the image; tables and the like have names without a leading slash. */
  readonly path: string
  /** Where in the file it begins. */
  readonly from: number
  readonly length: number
}

/** One after the other in the blob, with gaps where nobody knows what lies there. */
export type Piece = {
  /** Where it lies in the blob, and how long it is there, a header included. */
  readonly at: number
  readonly length: number
  /** Bytes before it was compressed; the same when it was not. */
  readonly raw: number
  readonly isPacked: boolean
  /** It begins with the two bytes of squashfs metadata that say how long it is. */
  readonly isMetadata: boolean
  /** What it holds, in order and from its first byte on. */
  readonly spans: readonly Span[]
}

/** `zstd` and so on: what undoes the compression of its pieces. */
export type Packing = 'gzip' | 'lzma' | 'lzo' | 'xz' | 'lz4' | 'zstd'

export type Content = {
  readonly packing: Packing
  /** Ascending. */
  readonly pieces: readonly Piece[]
  /** Bytes around the same place in an old file where what a piece was before may lie. */
  readonly margin: number
  /** Of its tables, whose pieces come last; undefined where there are none. */
  readonly tables?: TableShape | undefined
}
