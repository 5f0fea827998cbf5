// The ways to a blob side by side: by a patch, by the chunks that are missing, whole; each with its bytes and the seconds it would take (spec/sync.md 6).
import type { Preference } from '../core/mod.ts'
import { connections, type LinkFigures } from './link.ts'

export type WayName = 'patch' | 'chunks' | 'whole'

export type Way = {
  readonly how: WayName
  /** Bytes and requests; seconds from the first request to the last byte made. */
  readonly bytes: number
  readonly requests: number
  readonly seconds: number
}

/** Seconds of a transfer, and of `work` after it. */
export function estimate(
  how: WayName,
  { bytes, requests, work = 0 }: { readonly bytes: number; readonly requests: number; readonly work?: number },
  { roundTrip, bandwidth }: LinkFigures,
): Way {
  const rounds = Math.ceil(requests / connections)
  const seconds = (rounds * roundTrip) / 1000 + bytes / bandwidth + work
  return { how, bytes, requests, seconds: Math.round(seconds * 100) / 100 }
}

/** Whether a patch is better than another way to the same. Of equal ones the other needs less of this machine. */
export function isBetter(patch: Way, other: Way, prefer: Preference): boolean {
  if (prefer === 'chunks') return false
  return prefer === 'bytes' ? patch.bytes < other.bytes : patch.seconds < other.seconds
}
