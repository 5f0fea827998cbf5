// FastCDC (Xia et al., USENIX ATC 2016 and TPDS 2020) with a 32-bit gear hash and normalised chunking (spec/chunk-index.md 3).
import { gear } from './gear.ts'
import type { Bytes } from './hash.ts'

export type ChunkerSizes = {
  /** No chunk but the last is shorter, in bytes. */
  readonly min: number
  /** Where the mask gets easier; the average comes out near it. A power of two. */
  readonly normal: number
  /** No chunk is longer. */
  readonly max: number
}

export const defaultSizes: ChunkerSizes = { min: 2048, normal: 8192, max: 32768 }

/** Up to here chunks are as small as pays; bytes. */
const growsAbove = 2 ** 30
const mostGrowth = 16

/**
 * How many times larger than usual the chunks of a blob of `size` bytes are, a power of two: an index is held in memory, so it must not
 * grow with the blob for ever.
 */
export function growth(size: number): number {
  let times = 1
  while (times < mostGrowth && size > growsAbove * times) times *= 2
  return times
}

export function grown(sizes: ChunkerSizes, times: number): ChunkerSizes {
  return { min: sizes.min * times, normal: sizes.normal * times, max: sizes.max * times }
}

/** How many bits stricter before `normal`, and easier after it: normalisation level 2. */
const level = 2

/**
 * The length of the chunk that begins at `start`, given the bytes up to `end`. When `end` is not the end of the data, there must be at
 * least `max` bytes. Hashing begins at `start + min`, as in the paper: bytes before it never influence the cut.
 */
export function cut(bytes: Uint8Array, start: number, end: number, sizes: ChunkerSizes = defaultSizes): number {
  const available = end - start
  if (available <= sizes.min) return available
  const bits = Math.log2(sizes.normal)
  const strict = 32 - bits - level
  const easy = 32 - bits + level
  const normal = start + Math.min(available, sizes.normal)
  const last = start + Math.min(available, sizes.max)
  let hash = 0
  let at = start + sizes.min
  // a cut where the highest bits are all zero: they depend on the last 32 bytes, the lower ones on fewer
  for (; at < normal; at++) {
    hash = ((hash << 1) + (gear[bytes[at] as number] as number)) | 0
    if (hash >>> strict === 0) return at + 1 - start
  }
  for (; at < last; at++) {
    hash = ((hash << 1) + (gear[bytes[at] as number] as number)) | 0
    if (hash >>> easy === 0) return at + 1 - start
  }
  return last - start
}

/** Decides where the chunks of one blob end, from the first to the last. */
export interface Cutter {
  /** No chunk is longer, in bytes. */
  readonly most: number
  /**
   * The length of the chunk that begins at `start`, given the bytes up to `end`: at least `most` of them, or all that are left. Called once
   * a chunk, in order.
   */
  cut(bytes: Uint8Array, start: number, end: number): number
}

export function fastCdc(sizes: ChunkerSizes = defaultSizes): Cutter {
  return { most: sizes.max, cut: (bytes, start, end) => cut(bytes, start, end, sizes) }
}

/**
 * The chunks of `source` in order. Each view is valid until the next is asked for. Memory: one window of `window` bytes.
 */
export async function* chunks(source: Bytes, options: { readonly cutter?: Cutter; readonly window?: number } = {}): Bytes {
  const cutter = options.cutter ?? fastCdc()
  const window = new Uint8Array(Math.max(options.window ?? 4 * 1024 * 1024, 2 * cutter.most))
  let start = 0
  let end = 0
  for await (const piece of source) {
    let taken = 0
    while (taken < piece.length) {
      if (end === window.length) {
        window.copyWithin(0, start, end)
        end -= start
        start = 0
      }
      const part = Math.min(piece.length - taken, window.length - end)
      window.set(piece.subarray(taken, taken + part), end)
      taken += part
      end += part
      while (end - start >= cutter.most) {
        const length = cutter.cut(window, start, end)
        yield window.subarray(start, start + length)
        start += length
      }
    }
  }
  while (start < end) {
    const length = cutter.cut(window, start, end)
    yield window.subarray(start, start + length)
    start += length
  }
}
