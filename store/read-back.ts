// Reading what was written from the disk itself, past the page cache where the system allows (spec/sync.md 1).
import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { type CID, cidOf, type Hasher } from '../core/mod.ts'
import { blake3 } from './blake3.ts'
import { hasCode, translated } from './files.ts'

const pieceBytes = 2 * 1024 * 1024

type PagedMemory = {
  readonly Memory: new (pages: { readonly initial: number; readonly maximum: number }) => { readonly buffer: ArrayBuffer }
}

/**
 * Memory that O_DIRECT takes, which wants it on a page boundary; a WebAssembly memory begins on one. Of no more than 4 GiB. Where there is no
 * WebAssembly it is any memory: O_DIRECT may refuse it as a file system does that does not know it.
 */
export function alignedMemory(bytes: number): Uint8Array {
  const { WebAssembly } = globalThis as unknown as { readonly WebAssembly: PagedMemory | undefined }
  if (WebAssembly === undefined) return new Uint8Array(bytes)
  const { Memory } = WebAssembly
  const pages = Math.ceil(bytes / 65_536)
  return new Uint8Array(new Memory({ initial: pages, maximum: pages }).buffer, 0, bytes)
}

function pagedMemory(): readonly [Uint8Array, Uint8Array] {
  const both = alignedMemory(2 * pieceBytes)
  return [both.subarray(0, pieceBytes), both.subarray(pieceBytes)]
}

/** A file read back from its start, as far as it is known to be on the disk. */
export class ReadBack {
  readonly #path: string
  readonly #hasher: Hasher = blake3().create()
  #file: FileHandle | undefined
  #flag = constants.O_DIRECT ?? 0
  #position = 0
  #memory: readonly [Uint8Array, Uint8Array] | undefined

  constructor(path: string) {
    this.#path = path
  }

  /** Reads on up to `end`, a multiple of a page or the size of the file. One call at a time. */
  async advance(end: number, { onBytes, signal }: ReadBackOptions = {}): Promise<void> {
    try {
      this.#memory ??= pagedMemory()
      let [current, next] = this.#memory
      const read = async (into: Uint8Array, from: number) => this.#read(into.subarray(0, Math.min(into.length, pagesOf(end - from))), from)
      let reading = this.#position < end ? read(current, this.#position) : undefined
      reading?.catch(() => undefined)
      while (reading !== undefined) {
        signal?.throwIfAborted()
        const got = Math.min(await reading, end - this.#position)
        this.#position += got
        reading = got > 0 && this.#position < end ? read(next, this.#position) : undefined
        reading?.catch(() => undefined)
        this.#hasher.update(current.subarray(0, got))
        onBytes?.(got)
        ;[current, next] = [next, current]
      }
    } catch (error) {
      throw translated(error, `reading back ${this.#path}`)
    }
  }

  /** Reads the rest, and answers what the whole is. */
  async finish(options: ReadBackOptions = {}): Promise<{ readonly cid: CID; readonly size: number }> {
    try {
      this.#file ??= await this.#open()
      const { size } = await this.#file.stat()
      await this.advance(size, options)
      return { cid: cidOf(this.#hasher.digest()), size: this.#position }
    } finally {
      await this.close()
    }
  }

  async close(): Promise<void> {
    const file = this.#file
    this.#file = undefined
    await file?.close()
  }

  #open(): Promise<FileHandle> {
    return open(this.#path, constants.O_RDONLY | this.#flag)
  }

  async #read(into: Uint8Array, from: number): Promise<number> {
    try {
      this.#file ??= await this.#open()
      return (await this.#file.read(into, 0, into.length, from)).bytesRead
    } catch (error) {
      // tmpfs, FUSE and network file systems do not know O_DIRECT
      if (this.#flag === 0 || !hasCode(error, 'EINVAL', 'ENOTSUP', 'EOPNOTSUPP')) throw error
      this.#flag = 0
      await this.close()
      return this.#read(into, from)
    }
  }
}

const page = 4096

function pagesOf(bytes: number): number {
  return Math.ceil(bytes / page) * page
}

export type ReadBackOptions = { readonly onBytes?: (bytes: number) => void; readonly signal?: AbortSignal | undefined }

/** The CID and size of the file as the disk has it. */
export async function readBack(path: string, options: ReadBackOptions = {}): Promise<{ readonly cid: CID; readonly size: number }> {
  return new ReadBack(path).finish(options)
}
