// Cuts a squashfs image where its compressed blocks end, small ones together, large ones once more inside (spec/chunk-index.md 5).
import { type ChunkerSizes, type Cutter, cut, defaultSizes } from './chunker.ts'
import { gear } from './gear.ts'
import type { SquashfsLayout } from './squashfs.ts'

export type GroupSizes = {
  /** Blocks are put together until a chunk has this many bytes. */
  readonly least: number
  /** No chunk of several blocks is longer, and a block that is longer by itself is cut by FastCDC. */
  readonly most: number
}

export const defaultGroups: GroupSizes = { least: 1024, most: 24576 }

/** The hash of FastCDC depends on this many bytes: each is shifted out of its 32 bits by those after it. */
const hashedBytes = 32
/** One block in eight ends a chunk whatever was taken: two images that got out of step among tiny blocks of equal size meet there again. */
const meetingBits = 3

function isMeetingPlace(bytes: Uint8Array, end: number): boolean {
  let hash = 0
  for (let at = end - hashedBytes; at < end; at++) hash = ((hash << 1) + (gear[bytes[at] as number] as number)) | 0
  return hash >>> (32 - meetingBits) === 0
}

export type SquashfsCutterOptions = {
  readonly groups?: GroupSizes
  readonly sizes?: ChunkerSizes
  /** Where in the image the first chunk begins. */
  readonly from?: number
}

/** A cutter for the one image with this layout. Whatever the bytes turn out to be, its chunks are of lengths that are allowed. */
export function squashfsCutter(
  { start: dataStart, ends }: SquashfsLayout,
  { groups = defaultGroups, sizes = defaultSizes, from = 0 }: SquashfsCutterOptions = {},
): Cutter {
  /** Of the chunk that begins, in the image. */
  let offset = from
  /** Which end is the first behind `offset`. */
  let next = 0

  const borderAt = (end: number) => ends[end] ?? Number.POSITIVE_INFINITY

  /** The length of the chunk of whole blocks that begins at `start`. The first is not longer than a chunk of several may be. */
  function group(bytes: Uint8Array, start: number): number {
    for (let end = next; ; end++) {
      const length = borderAt(end) - offset
      if (length >= groups.least || borderAt(end + 1) - offset > groups.most) return length
      if (length >= hashedBytes && isMeetingPlace(bytes, start + length)) return length
    }
  }

  return {
    most: Math.max(groups.most, sizes.max),
    cut(bytes, start, end) {
      while (borderAt(next) <= offset) next++
      const room = (offset < dataStart ? dataStart : borderAt(next)) - offset
      const length = offset < dataStart || room > groups.most ? cut(bytes, start, Math.min(end, start + room), sizes) : group(bytes, start)
      // fewer bytes than the layout promised: the file has become shorter since
      const taken = Math.min(length, end - start)
      offset += taken
      return taken
    },
  }
}
