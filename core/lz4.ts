// One LZ4 block, undone (lz4_Block_format.md of lz4/lz4): literals, and matches of at most 64 KiB back. The frame around blocks is read by who has it.
import { PsyblobError } from './errors.ts'

/** Bytes a match has at least; what a token says comes on top. */
const leastMatch = 4

/** Above it, a copy by the engine is worth its call. */
const worthACall = 48

function malformed(why: string): PsyblobError {
  return new PsyblobError('malformed', `an lz4 block: ${why}`)
}

/** The bytes of a block, which are at most `limit`, and no more is allocated. Throws `malformed` for any that is cut, goes on too long or points outside of itself. */
export function unpackLz4(bytes: Uint8Array, limit: number): Uint8Array {
  const end = bytes.length
  // no byte of a block stands for more than 255
  const out = new Uint8Array(Math.min(limit, end * 255))
  let at = 0
  let to = 0

  /** What four bits of a token say, and if they are all set the bytes after it: each adds its value, and the first that is not 255 is the last. */
  const length = (bits: number): number => {
    if (bits < 15) return bits
    for (let sum = bits; ; ) {
      if (at >= end) throw malformed('it ends within a length')
      const byte = bytes[at++] as number
      sum += byte
      if (byte < 255) return sum
    }
  }

  for (;;) {
    if (at >= end) throw malformed('it ends too early')
    const token = bytes[at++] as number
    const literals = length(token >> 4)
    if (literals > end - at) throw malformed(`${literals} literals where ${end - at} bytes are left`)
    if (literals > out.length - to) throw malformed(`more than ${limit} bytes`)
    if (literals > worthACall) out.set(bytes.subarray(at, at + literals), to)
    else for (let byte = 0; byte < literals; byte++) out[to + byte] = bytes[at + byte] as number
    at += literals
    to += literals
    // the last sequence is one of literals only
    if (at === end) return out.subarray(0, to)

    if (end - at < 2) throw malformed('it ends within an offset')
    const offset = (bytes[at] as number) | ((bytes[at + 1] as number) << 8)
    at += 2
    if (offset === 0 || offset > to) throw malformed(`a match ${offset} bytes back where ${to} are written`)
    const match = leastMatch + length(token & 15)
    if (match > out.length - to) throw malformed(`more than ${limit} bytes`)
    if (match > worthACall && offset >= match) out.copyWithin(to, to - offset, to - offset + match)
    // byte by byte: what a match writes it may read
    else for (let byte = to; byte < to + match; byte++) out[byte] = out[byte - offset] as number
    to += match
  }
}
