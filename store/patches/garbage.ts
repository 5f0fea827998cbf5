// Buffers that nobody needs any more, given back early: the engine counts them as nothing, and lets a hundred megabytes of them gather.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Bytes of new buffers after which old ones are looked for. That takes some milliseconds. */
const often = 8 * 1024 * 1024

type Collect = () => void

export class Garbage {
  readonly #collect: Collect
  #bytes = 0

  constructor() {
    setFlagsFromString('--expose-gc')
    this.#collect = runInNewContext('gc') as Collect
  }

  /** To be called for buffers that will be of no use soon. */
  made(bytes: number): void {
    this.#bytes += bytes
    if (this.#bytes < often) return
    this.#bytes = 0
    this.#collect()
  }
}
