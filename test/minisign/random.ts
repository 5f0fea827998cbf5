// Chance that is the same in every run: a seed names it.
import { createCipheriv, createHash } from 'node:crypto'

export class Random {
  readonly #cipher

  constructor(seed: string) {
    this.#cipher = createCipheriv('aes-256-ctr', createHash('sha256').update(seed).digest(), Buffer.alloc(16))
  }

  bytes(length: number): Buffer {
    return this.#cipher.update(Buffer.alloc(length))
  }

  /** From 0 to below `end`. */
  below(end: number): number {
    return this.bytes(4).readUInt32LE() % end
  }

  pick<Value>(values: readonly Value[]): Value {
    return values[this.below(values.length)] as Value
  }
}
