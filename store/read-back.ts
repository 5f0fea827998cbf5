// Reading what was written from the disk itself, past the page cache where the system allows (spec/sync.md 1).
import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { type CID, cidOf } from '../core/mod.ts'
import { blake3 } from './blake3.ts'
import { hasCode, translated } from './files.ts'

const pieceBytes = 4 * 1024 * 1024

type PagedMemory = {
  readonly Memory: new (pages: { readonly initial: number; readonly maximum: number }) => { readonly buffer: ArrayBuffer }
}

/** O_DIRECT wants memory on a page boundary; a WebAssembly memory begins on one. */
let aligned: Uint8Array | undefined

function pagedMemory(): Uint8Array {
  const { Memory } = (globalThis as unknown as { readonly WebAssembly: PagedMemory }).WebAssembly
  return new Uint8Array(new Memory({ initial: pieceBytes / 65536, maximum: pieceBytes / 65536 }).buffer)
}

/** The CID and size of the file as the disk has it. */
export async function readBack(
  path: string,
  options: { readonly onBytes?: (bytes: number) => void; readonly signal?: AbortSignal | undefined } = {},
): Promise<{ readonly cid: CID; readonly size: number }> {
  try {
    return await readThrough(path, constants.O_DIRECT ?? 0, options)
  } catch (error) {
    // tmpfs, FUSE and network file systems do not know O_DIRECT
    if (!hasCode(error, 'EINVAL', 'ENOTSUP', 'EOPNOTSUPP')) throw translated(error, `reading back ${path}`)
    return readThrough(path, 0, options)
  }
}

async function readThrough(
  path: string,
  flag: number,
  { onBytes, signal }: { readonly onBytes?: (bytes: number) => void; readonly signal?: AbortSignal | undefined },
): Promise<{ cid: CID; size: number }> {
  aligned ??= pagedMemory()
  const hasher = blake3().create()
  const file: FileHandle = await open(path, constants.O_RDONLY | flag)
  try {
    let at = 0
    for (;;) {
      signal?.throwIfAborted()
      const { bytesRead } = await file.read(aligned, 0, aligned.length, at)
      if (bytesRead === 0) return { cid: cidOf(hasher.digest()), size: at }
      hasher.update(aligned.subarray(0, bytesRead))
      at += bytesRead
      onBytes?.(bytesRead)
      // a read at an offset that is no multiple of the sector size is refused: a short one was the last
      if (flag !== 0 && bytesRead % 4096 !== 0) return { cid: cidOf(hasher.digest()), size: at }
    }
  } finally {
    await file.close()
  }
}
