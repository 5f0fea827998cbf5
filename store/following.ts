// Flushing and reading back a new file while the rest of it is still being written: what is done then is not waited for in the end.
import type { FileHandle } from 'node:fs/promises'
import type { CID } from '../core/mod.ts'
import { ReadBack, type ReadBackOptions } from './read-back.ts'
import type { ChunkSources } from './seeds.ts'

/** Bytes after which what was written is flushed. */
const stride = 16 * 1024 * 1024
const page = 4096

export class Following {
  readonly #file: FileHandle
  readonly #sources: ChunkSources
  readonly #readBack: ReadBack
  #unflushed = 0
  /** Chunks before this one are in place, in order from the first. */
  #first = 0
  #isFlushing = false
  #hasFailed = false
  /** The flush under way, and the reading of what is flushed, one stretch after the other. */
  #flushing: Promise<void> = Promise.resolve()
  #reading: Promise<void> = Promise.resolve()

  constructor(path: string, file: FileHandle, sources: ChunkSources) {
    this.#file = file
    this.#sources = sources
    this.#readBack = new ReadBack(path)
  }

  /** To be called after bytes have come to their place. Flushes now and then, and reads back what is flushed up to the first gap. */
  wrote(bytes: number): void {
    this.#unflushed += bytes
    if (this.#unflushed < stride || this.#isFlushing || this.#hasFailed) return
    this.#isFlushing = true
    this.#flushing = this.#flush().finally(() => {
      this.#isFlushing = false
    })
    // whoever settles it sees the failure; the system tells it once only, so no later flush may stand in its place
    this.#flushing.catch(() => {
      this.#hasFailed = true
    })
  }

  /** Ends the flush that is under way. Throws what it came to. */
  async settle(): Promise<void> {
    await this.#flushing
  }

  /** Reads the rest, once all of it is flushed. */
  async finish(options: ReadBackOptions): Promise<{ readonly cid: CID; readonly size: number }> {
    try {
      await this.#reading
      return await this.#readBack.finish(options)
    } finally {
      await this.#readBack.close()
    }
  }

  async close(): Promise<void> {
    await this.#flushing.catch(() => undefined)
    await this.#reading.catch(() => undefined)
    await this.#readBack.close()
  }

  async #flush(): Promise<void> {
    this.#unflushed = 0
    while (this.#first < this.#sources.index.count && this.#sources.isInPlace(this.#first)) this.#first++
    const { index } = this.#sources
    const end = this.#first < index.count ? index.offset(this.#first) : index.size
    // what was in place before the flush began is on the disk after it
    await this.#file.datasync()
    this.#reading = this.#reading.then(() => this.#readBack.advance(end - (end % page)))
    this.#reading.catch(() => undefined)
  }
}
