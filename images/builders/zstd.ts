// zstd for builders: the pinned encoder, whose output nodes can make again, and a decoder for what comes from elsewhere.
import { PsyblobError } from '../../core/mod.ts'
import { loadEncoder, unpackZstd } from '../../store/mod.ts'

/** Equal bytes in, equal bytes out, on every machine and in every later version of psyblob. */
const encoder = 'zstd-1.5.5'

/**
 * One frame with its size, whose window is no larger than what it holds. Level 15 for what a node may have to encode again: a quarter of
 * the time of 19 and two thirds of its memory, for a tenth more bytes.
 */
export async function compress(bytes: Uint8Array, level = 15): Promise<Uint8Array> {
  return (await loadEncoder(encoder, level))(bytes)
}

/** The bytes of a frame. Throws `corrupt`; `what` names it then. */
export async function decompress(bytes: Uint8Array, what: string): Promise<Uint8Array> {
  try {
    return await unpackZstd(bytes)
  } catch (cause) {
    throw new PsyblobError('corrupt', `${what} is not what zstd makes`, {
      cause,
      hint: 'it is damaged: unpack its package again, or copy it again',
    })
  }
}
