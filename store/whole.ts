// A whole blob as it streams in: it ends well only when its bytes are what its CID names.
import { type Bytes, type CID, cidOf, PsyblobError } from '../core/mod.ts'
import { blake3 } from './blake3.ts'

/** `source`, failing instead of ending when it is not the blob of `size` bytes called `cid`. Reads at most one piece past `size`. */
export async function* checkedBlob(
  source: Bytes,
  { cid, size, label }: { readonly cid: CID; readonly size: number; readonly label: string },
): Bytes {
  const hasher = blake3().create()
  let got = 0
  for await (const piece of source) {
    got += piece.length
    if (got > size)
      throw new PsyblobError('corrupt', `blob ${cid} of ${label}: longer than ${size} bytes`, {
        hint: 'this remote is damaged: psyblob verify --remote says what else is',
      })
    hasher.update(piece)
    yield piece
  }
  if (got < size)
    throw new PsyblobError('unavailable', `blob ${cid} of ${label}: expected ${size} bytes, got ${got}`, {
      hint: 'run the same command again: it goes on where it stopped',
    })
  const digest = cidOf(hasher.digest())
  if (digest !== cid)
    throw new PsyblobError('corrupt', `blob of ${label}: expected ${cid}, got ${digest}`, {
      hint: 'this remote is damaged: psyblob verify --remote says what else is',
    })
}
