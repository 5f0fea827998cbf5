// Bytes of which most are zero, as differences of programs are: how many zeros, how many others, those others, and so on (spec/patch.md 5).
import { VarintReader, VarintWriter } from './varint.ts'

/** So many zeros in a row are worth an interruption of the others. */
const worthIt = 8

export function packZeroRuns(bytes: Uint8Array): Uint8Array {
  const writer = new VarintWriter()
  for (let at = 0; at < bytes.length; ) {
    const start = at
    while (at < bytes.length && bytes[at] === 0) at++
    const from = at
    let to = at
    for (let zeros = 0; at < bytes.length && zeros < worthIt; at++) {
      if (bytes[at] === 0) zeros++
      else {
        zeros = 0
        to = at + 1
      }
    }
    at = to
    writer.put(from - start)
    writer.put(to - from)
    writer.putBytes(bytes.subarray(from, to))
  }
  return writer.finish()
}

/** Gives the bytes back, as many at a time as somebody wants. What they are packed as is `malformed` when it does not fit. */
export class ZeroRunReader {
  readonly #reader: VarintReader
  #zeros = 0
  #others = 0

  constructor(packed: Uint8Array) {
    this.#reader = new VarintReader(packed, 'differences')
  }

  /** Fills `bytes`. */
  read(bytes: Uint8Array): Uint8Array {
    const { length } = bytes
    bytes.fill(0)
    for (let at = 0; at < length; ) {
      if (this.#zeros === 0 && this.#others === 0) {
        this.#zeros = this.#reader.next()
        this.#others = this.#reader.next()
      }
      const zeros = Math.min(this.#zeros, length - at)
      this.#zeros -= zeros
      at += zeros
      if (this.#zeros > 0) break
      const others = Math.min(this.#others, length - at)
      bytes.set(this.#reader.take(others), at)
      this.#others -= others
      at += others
    }
    return bytes
  }

  /** True when nothing is left. */
  get isDone(): boolean {
    return this.#reader.isDone && this.#zeros === 0 && this.#others === 0
  }
}
