// What threads are asked to do for patches, and what they answer.
import type { GroupOutline, GroupStreams, PatchCodec, PatchGroup, SourcePacking, StreamPacking } from '../../core/mod.ts'

/** A file and its size in bytes. */
export type Side = { readonly path: string; readonly size: number }

/** What all jobs of a thread have in common. */
export type Setting = {
  readonly old: Side
  /** What undoes the pieces of the old blob. */
  readonly packing: SourcePacking
  /** For makers the one of data first, and that of metadata last. */
  readonly codecs: readonly PatchCodec[]
  /** The new blob, for makers. */
  readonly next?: { readonly side: Side; readonly packing: SourcePacking }
  /** The patch, for appliers. */
  readonly patch?: string
}

/** Streams as packed, by whoever can do that best. */
export type PackedGroup = {
  readonly made: number
  readonly streams: readonly { readonly packing: StreamPacking; readonly raw: number; readonly bytes: Uint8Array }[]
}

/** Bytes of the new blob from `at` on. */
export type MadeBytes = { readonly at: number; readonly bytes: Uint8Array }

export type Job =
  /** The streams of a group. */
  | { readonly do: 'make'; readonly group: GroupOutline }
  /** Carries a packed group out and compares: which pieces came out otherwise, by their places. */
  | { readonly do: 'check'; readonly group: GroupOutline; readonly packed: PackedGroup }
  /** How many of these pieces of the new blob come out as they are when they are encoded with that codec, from 1 on. */
  | { readonly do: 'probe'; readonly pieces: readonly (readonly [at: number, length: number, raw: number])[]; readonly codec: number }
  /** The bytes of a group that lie in `wanted`, ascending stretches of the new blob. */
  | { readonly do: 'apply'; readonly group: PatchGroup; readonly wanted: readonly (readonly [from: number, to: number])[] }

  /** How fast this machine encodes with the codec of that number: samples of the old file. */
  | { readonly do: 'measure'; readonly codec: number; readonly at: readonly number[]; readonly length: number }

export type Answer =
  | { readonly did: 'make'; readonly streams: GroupStreams; readonly made: number }
  | { readonly did: 'check'; readonly wrong: readonly number[]; readonly isRight: boolean }
  | { readonly did: 'probe'; readonly exact: number }
  | { readonly did: 'apply'; readonly bytes: readonly MadeBytes[] }
  /** Bytes a second. */
  | { readonly did: 'measure'; readonly speed: number }
  | { readonly did: 'fail'; readonly why: string }
