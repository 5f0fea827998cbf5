// A buffer that is used again and again, as large as it ever had to be.

export class Scratch {
  #bytes = new Uint8Array(0)

  /** `length` bytes with anything in them, valid until the next call. */
  take(length: number): Uint8Array {
    // a little more, so that units of much the same size take one buffer
    if (this.#bytes.length < length) this.#bytes = new Uint8Array(Math.ceil(length * 1.25))
    return this.#bytes.subarray(0, length)
  }
}
