// The pinned zstd encoder: equal bytes in, equal bytes out, on every machine and in every later version of psyblob.
import { PsyblobError } from '../../core/mod.ts'

/**
 * One frame with its size, whose window is no larger than what it holds. Level 15 for what a node may have to encode again: a quarter of
 * the time of 19 and two thirds of its memory, for a tenth more bytes.
 */
export async function compress(bytes: Uint8Array, level = 15): Promise<Uint8Array> {
  return (await codec()).compress(bytes, level)
}

/** The bytes of a frame. Throws `corrupt`; `what` names it then. */
export async function decompress(bytes: Uint8Array, what: string): Promise<Uint8Array> {
  const { decompress } = await codec()
  try {
    return decompress(bytes)
  } catch (cause) {
    throw new PsyblobError('corrupt', `${what} is not what zstd makes`, {
      cause,
      hint: 'it is damaged: unpack its package again, or copy it again',
    })
  }
}

type Codec = Pick<typeof import('zstd-wasm-1.5.5'), 'compress' | 'decompress'>
let loaded: Promise<Codec> | undefined

function codec(): Promise<Codec> {
  loaded ??= (async () => {
    const zstd = await import('zstd-wasm-1.5.5')
    await zstd.init()
    return zstd
  })()
  return loaded
}
