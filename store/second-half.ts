// Two threads cut one file: one from its start, one from its middle. A cut depends on nothing before its chunk, so they meet soon.
import { existsSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { type ChunkIndex, isPsyblobError, parseChunkIndex, type SquashfsLayout } from '../core/mod.ts'

/** What the thread is told: the chunks of the file at `path`, which is `size` bytes long, from the byte `from` on. */
export type ChunkTask = { readonly path: string; readonly size: number; readonly from: number; readonly layout: SquashfsLayout | undefined }

/** Smaller files are cut before another thread has started. Bytes. */
const worthIt = 48 * 1024 * 1024
/** Where the second thread begins: the first one hashes the whole besides. */
const share = 0.45

/** The program of the thread: beside the bundle. There is none where the sources run as they are; then one thread does it all. */
const program = ['./chunk-worker.js', '../chunk-worker.js'].map((path) => new URL(path, import.meta.url)).find((url) => existsSync(url))

export class SecondHalf {
  /** Where its first chunk begins. */
  readonly from: number
  readonly #worker: Worker
  /** Undefined when the thread failed: then the first one goes on alone. */
  readonly #index: Promise<ChunkIndex | undefined>

  constructor(task: ChunkTask, at: URL) {
    this.from = task.from
    // its heap holds little: buffers lie outside
    this.#worker = new Worker(at, { workerData: task, resourceLimits: { maxYoungGenerationSizeMb: 4 } })
    this.#index = new Promise((resolve) => {
      this.#worker.once('message', (bytes: Uint8Array) => resolve(usable(bytes, task.size - task.from)))
      this.#worker.once('error', () => resolve(undefined))
      this.#worker.once('exit', () => resolve(undefined))
    })
  }

  /** Its chunks, of which one begins at `offset` of the file: from which on they hold. Undefined when none does. */
  async meets(offset: number): Promise<{ readonly index: ChunkIndex; readonly first: number } | undefined> {
    const index = await this.#index
    if (index === undefined || offset - this.from >= index.size) return undefined
    const first = index.at(offset - this.from)
    return index.offset(first) === offset - this.from ? { index, first } : undefined
  }

  async end(): Promise<void> {
    await this.#worker.terminate()
  }
}

/** The file may have become another one meanwhile: whoever reads it from its start tells. */
function usable(bytes: Uint8Array, size: number): ChunkIndex | undefined {
  try {
    return parseChunkIndex(bytes, size, 'second half')
  } catch (error) {
    if (isPsyblobError(error, 'malformed')) return undefined
    throw error
  }
}

/** Begins with the second half of a file, if it is large enough and there is a thread to be had. */
export function beginSecondHalf(path: string, size: number, layout: SquashfsLayout | undefined): SecondHalf | undefined {
  if (program === undefined || size < worthIt) return undefined
  return new SecondHalf({ path, size, from: Math.floor(size * share), layout }, program)
}
