// Where fetched bytes go: into the new file, each at its place, as soon as they are known to be right.
import type { FileHandle } from 'node:fs/promises'
import { type CID, cidOf, type Hasher, PsyblobError, type Run } from '../core/mod.ts'
import { blake3 } from './blake3.ts'
import { borrow, giveBack } from './buffers.ts'
import { writeAll } from './files.ts'
import type { RangeSink } from './remote.ts'
import { type ChunkSources, sameBytes } from './seeds.ts'

const batchBytes = 256 * 1024

/** Takes the chunks of one run. Each is hashed before it is kept; those that are in place already are compared and dropped. */
export class ChunkSink implements RangeSink {
  readonly #write: (bytes: Uint8Array, at: number) => Promise<void>
  readonly #sources: ChunkSources
  readonly #last: number
  readonly #onWrite: (bytes: number) => void
  readonly #batch: Buffer
  /** Verified bytes at the start of the batch, and the offset they belong to. */
  #kept = 0
  #keptAt = 0
  /** The chunks that those bytes are. They are in place when they are written, and not before: what is in place is read back. */
  #keptChunks: number[] = []
  /** Bytes of the chunk that is being collected, after the kept ones. */
  #partial = 0
  #chunk: number

  constructor(options: {
    /** Puts bytes to their place in the new file. They are valid until it has ended. */
    readonly write: (bytes: Uint8Array, at: number) => Promise<void>
    readonly sources: ChunkSources
    readonly run: Run
    readonly onWrite: (bytes: number) => void
  }) {
    this.#write = options.write
    this.#sources = options.sources
    this.#chunk = options.run.first
    this.#last = options.run.last
    this.#onWrite = options.onWrite
    let longest = 0
    for (let chunk = options.run.first; chunk <= options.run.last; chunk++) longest = Math.max(longest, this.#sources.index.length(chunk))
    this.#batch = borrow(batchBytes + longest)
  }

  get position(): number {
    const { index } = this.#sources
    return this.#chunk > this.#last ? index.offset(this.#last) + index.length(this.#last) : index.offset(this.#chunk)
  }

  /** Chunk by chunk. */
  get isVerified(): boolean {
    return true
  }

  reset(): void {
    this.#partial = 0
  }

  restart(): void {
    this.reset()
  }

  async take(bytes: Uint8Array): Promise<void> {
    const { index } = this.#sources
    for (let taken = 0; taken < bytes.length; ) {
      if (this.#chunk > this.#last) throw new PsyblobError('corrupt', 'more bytes than were asked for')
      const length = index.length(this.#chunk)
      const part = Math.min(length - this.#partial, bytes.length - taken)
      this.#batch.set(bytes.subarray(taken, taken + part), this.#kept + this.#partial)
      taken += part
      this.#partial += part
      if (this.#partial === length) await this.#finishChunk(length)
    }
  }

  /** Writes what is verified and not yet written. To be called whether the fetch succeeded or not; nothing is taken afterwards. */
  async close(): Promise<void> {
    await this.#flush()
    giveBack(this.#batch)
  }

  async #flush(): Promise<void> {
    if (this.#kept === 0) return
    await this.#write(this.#batch.subarray(0, this.#kept), this.#keptAt)
    for (const chunk of this.#keptChunks) this.#sources.setInPlace(chunk)
    this.#keptChunks = []
    this.#onWrite(this.#kept)
    this.#batch.copyWithin(0, this.#kept, this.#kept + this.#partial)
    this.#kept = 0
  }

  async #finishChunk(length: number): Promise<void> {
    const { index } = this.#sources
    const chunk = this.#chunk
    const digest = blake3().digest(this.#batch.subarray(this.#kept, this.#kept + length))
    if (!sameBytes(digest, index.digest(chunk))) {
      this.#partial = 0
      throw new PsyblobError('corrupt', `chunk ${chunk}: expected ${cidOf(index.digest(chunk))}, got ${cidOf(digest)}`)
    }
    this.#partial = 0
    this.#chunk++
    if (this.#sources.isInPlace(chunk) || this.#sources.where(chunk) !== undefined) return this.#flush()
    if (this.#kept === 0) this.#keptAt = index.offset(chunk)
    this.#kept += length
    this.#keptChunks.push(chunk)
    if (this.#kept >= batchBytes) await this.#flush()
  }
}

/** Takes a range into memory as it comes: whoever asked checks what the whole is. */
export class MemorySink implements RangeSink {
  readonly isVerified = true
  readonly #bytes: Uint8Array
  #position: number

  constructor(bytes: Uint8Array, from: number) {
    this.#bytes = bytes
    this.#position = from
  }

  get position(): number {
    return this.#position
  }

  reset(): void {}

  restart(): void {}

  async take(bytes: Uint8Array): Promise<void> {
    if (this.#position + bytes.length > this.#bytes.length) throw new PsyblobError('corrupt', 'more bytes than were asked for')
    this.#bytes.set(bytes, this.#position)
    this.#position += bytes.length
  }
}

/** Takes a whole blob that has no index: nothing is known to be right before the last byte. */
export class BlobSink implements RangeSink {
  readonly #file: FileHandle
  readonly #cid: CID
  readonly #size: number
  readonly #onWrite: (bytes: number) => void
  #hasher: Hasher = blake3().create()
  #position = 0

  constructor(options: { readonly file: FileHandle; readonly cid: CID; readonly size: number; readonly onWrite: (bytes: number) => void }) {
    this.#file = options.file
    this.#cid = options.cid
    this.#size = options.size
    this.#onWrite = options.onWrite
  }

  get position(): number {
    return this.#position
  }

  /** Counts bytes that an interrupted transfer left in the file, in order from its start. */
  resume(bytes: Uint8Array): void {
    this.#hasher.update(bytes)
    this.#position += bytes.length
  }

  get isVerified(): boolean {
    return this.#position === 0
  }

  reset(): void {}

  restart(): void {
    this.#hasher = blake3().create()
    this.#position = 0
  }

  async take(bytes: Uint8Array): Promise<void> {
    if (this.#position + bytes.length > this.#size) throw new PsyblobError('corrupt', 'more bytes than were asked for')
    this.#hasher.update(bytes)
    await writeAll(this.#file, bytes, this.#position)
    this.#position += bytes.length
    this.#onWrite(bytes.length)
    if (this.#position === this.#size) this.#check()
  }

  /** Throws when the whole is not what was asked for, ready to begin again. */
  #check(): void {
    const got = cidOf(this.#hasher.digest())
    if (got === this.#cid) return
    this.restart()
    throw new PsyblobError('corrupt', `expected ${this.#cid}, got ${got}`)
  }

  /** When an interrupted transfer left everything: nothing to fetch, only to check. */
  finishResumed(): boolean {
    if (this.#position !== this.#size) return false
    try {
      this.#check()
      return true
    } catch (error) {
      if (error instanceof PsyblobError) return false
      throw error
    }
  }
}
