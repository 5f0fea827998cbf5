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
let aligned: readonly [Uint8Array, Uint8Array] | undefined

function pagedMemory(): readonly [Uint8Array, Uint8Array] {
  const { Memory } = (globalThis as unknown as { readonly WebAssembly: PagedMemory }).WebAssembly
  const pages = (2 * pieceBytes) / 65536
  const { buffer } = new Memory({ initial: pages, maximum: pages })
  return [new Uint8Array(buffer, 0, pieceBytes), new Uint8Array(buffer, pieceBytes, pieceBytes)]
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
    let [current, next] = aligned
    const { size } = await file.stat()
    let at = 0
    const read = async (into: Uint8Array, from: number) => (await file.read(into, 0, into.length, from)).bytesRead
    let reading = read(current, 0)
    for (;;) {
      signal?.throwIfAborted()
      const got = await reading
      at += got
      const isLast = got === 0 || at >= size
      if (!isLast) reading = read(next, at)
      hasher.update(current.subarray(0, got))
      onBytes?.(got)
      if (isLast) return { cid: cidOf(hasher.digest()), size: at }
      ;[current, next] = [next, current]
    }
  } finally {
    await file.close()
  }
}
