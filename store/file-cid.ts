// What the bytes of a small file are called, found without waiting for one's turn.
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { type CID, cidOf } from '../core/mod.ts'
import { blake3 } from './blake3.ts'
import { hasCode } from './files.ts'

const pieceBytes = 1024 * 1024
const piece = Buffer.allocUnsafeSlow(pieceBytes)

/**
 * Undefined when there is no plain file, or it cannot be read. Synchronous: of thousands of small files most of the time would go into
 * waiting for one's turn.
 */
export function cidOfFile(path: string, onBytes?: (bytes: number) => void): CID | undefined {
  let fd: number
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ELOOP', 'ENXIO', 'EACCES', 'EIO', 'ENOTDIR')) return undefined
    throw error
  }
  try {
    const state = fstatSync(fd)
    if (!state.isFile()) return undefined
    const first = fill(fd, state.size)
    onBytes?.(first)
    if (first < pieceBytes) return cidOf(blake3().digest(piece.subarray(0, first)))
    const hasher = blake3().create()
    hasher.update(piece)
    for (let got = fill(fd, 0); got > 0; got = fill(fd, 0)) {
      hasher.update(piece.subarray(0, got))
      onBytes?.(got)
    }
    return cidOf(hasher.digest())
  } catch (error) {
    if (hasCode(error, 'EIO', 'EISDIR')) return undefined
    throw error
  } finally {
    closeSync(fd)
  }
}

/** Reads until the piece is full or the file at its end: where it is known to have `size` bytes, a short read at that place is the end. */
function fill(fd: number, size: number): number {
  let done = 0
  while (done < pieceBytes) {
    const got = readSync(fd, piece, done, pieceBytes - done, null)
    done += got
    if (got === 0 || done === size) break
  }
  return done
}
