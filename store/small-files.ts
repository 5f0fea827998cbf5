// Small files read and hashed in four system calls each: a system has ten thousands of them, and a promise for every call takes ten times as long.
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { type CID, cidOf } from '../core/mod.ts'
import { blake3 } from './blake3.ts'
import { hasCode, translated } from './files.ts'
import { changedWhileRead } from './ingest.ts'
import { type FileState, stateOf } from './tree-folder.ts'

/** Bytes. What is larger is worth a copy, an index, and waiting for the disk. */
export const smallFile = 1024 * 1024

export class SmallFiles {
  readonly #buffer = Buffer.allocUnsafeSlow(smallFile + 1)

  /** The bytes of a file that is no larger than `smallFile`, valid until the next call. Throws `conflict` when it is not what it was. */
  read(path: string, { size, expected }: { readonly size: number; readonly expected?: FileState }): Uint8Array {
    let file: number
    try {
      // whatever was put in its place is neither followed nor waited for
      file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    } catch (error) {
      throw hasCode(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO') ? changedWhileRead(path, error) : translated(error, `reading ${path}`)
    }
    try {
      const got = this.#fill(file, size)
      if (got !== size || (expected !== undefined && !isSame(stateOf(fstatSync(file)), expected))) throw changedWhileRead(path, undefined)
      return this.#buffer.subarray(0, got)
    } catch (error) {
      throw translated(error, `reading ${path}`)
    } finally {
      closeSync(file)
    }
  }

  hash(path: string, at: { readonly size: number; readonly expected: FileState }): CID {
    return cidOf(blake3().digest(this.read(path, at)))
  }

  /** One byte more is asked for: it would be too much. */
  #fill(file: number, size: number): number {
    for (let done = 0; ; ) {
      const got = readSync(file, this.#buffer, done, size + 1 - done, null)
      done += got
      if (got === 0 || done >= size) return done
    }
  }
}

function isSame(one: FileState, two: FileState): boolean {
  return one.size === two.size && one.mtimeMs === two.mtimeMs && one.ctimeMs === two.ctimeMs && one.ino === two.ino
}
