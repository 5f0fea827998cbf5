// The .xz format, undone as far as a manifest needs it: one stream of blocks whose one filter is LZMA2 (spec/repository.md 9).
import { PsyblobError } from './errors.ts'
import { limits } from './limits.ts'
import { readLzma2 } from './lzma2.ts'

const magic = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00] as const
const footerMagic = [0x59, 0x5a] as const
/** Bytes of a block's check, by its kind: none, CRC32, CRC64, SHA-256. Other kinds are not in use. */
const checkSizes: Readonly<Record<number, number>> = { 0: 0, 1: 4, 4: 8, 10: 32 }
const lzma2 = 0x21

/**
 * What the stream becomes: at most `most` bytes. It takes so much memory and no more, whatever the stream says of itself. Its checks are left
 * alone, for whoever asks knows a CID or has a signature. Throws `malformed`.
 */
export function readXz(bytes: Uint8Array, most: number, what: string): Uint8Array {
  const out = new Uint8Array(most)
  try {
    const written = new Stream(bytes, out).read()
    return written === most ? out : out.slice(0, written)
  } catch (error) {
    throw error instanceof PsyblobError ? new PsyblobError('malformed', `${what}: ${error.message}`, { cause: error }) : error
  }
}

class Stream {
  readonly #bytes: Uint8Array
  readonly #out: Uint8Array
  #at = 0
  /** Of each block: bytes without padding, bytes that it becomes. */
  readonly #blocks: (readonly [number, number])[] = []

  constructor(bytes: Uint8Array, out: Uint8Array) {
    this.#bytes = bytes
    this.#out = out
  }

  read(): number {
    for (const byte of magic) if (this.#byte() !== byte) throw refused('no .xz stream')
    const flags = [this.#byte(), this.#byte()] as const
    const check = checkSizes[flags[1]]
    if (flags[0] !== 0 || check === undefined) throw refused('flags of an unknown kind')
    this.#skip(4)
    let written = 0
    while (this.#bytes[this.#at] !== 0) written = this.#block(written, check)
    const index = this.#index()
    this.#skip(4)
    if (this.#number(4) !== index / 4 - 1) throw refused('a footer that does not fit')
    for (const byte of [...flags, ...footerMagic]) if (this.#byte() !== byte) throw refused('a footer that does not fit')
    if (this.#at !== this.#bytes.length) throw refused('bytes after its end')
    return written
  }

  #block(written: number, check: number): number {
    const begin = this.#at
    const end = begin + 4 * (this.#byte() + 1)
    const flags = this.#byte()
    if ((flags & 0x3f) !== 0) throw refused('a filter besides LZMA2')
    if ((flags & 0x40) !== 0) this.#integer()
    if ((flags & 0x80) !== 0) this.#integer()
    if (this.#integer() !== lzma2 || this.#integer() !== 1) throw refused('a filter besides LZMA2')
    const dictionary = dictionaryBytes(this.#byte())
    if (dictionary > limits.manifest) throw refused(`a dictionary of ${dictionary} bytes`)
    while (this.#at < end - 4) if (this.#byte() !== 0) throw refused('a header that is longer than it should be')
    this.#skip(4)
    if (this.#at !== end) throw refused('a header that is longer than it says')
    const block = readLzma2(this.#bytes, this.#at, this.#out.subarray(written))
    this.#at = block.position
    const unpadded = this.#at - begin + check
    this.#padding(begin)
    this.#skip(check)
    this.#blocks.push([unpadded, block.written])
    return written + block.written
  }

  /** Answers how long it is. */
  #index(): number {
    const begin = this.#at
    this.#skip(1)
    if (this.#integer() !== this.#blocks.length) throw refused('an index of other blocks')
    for (const [unpadded, size] of this.#blocks)
      if (this.#integer() !== unpadded || this.#integer() !== size) throw refused('an index of other blocks')
    this.#padding(begin)
    this.#skip(4)
    return this.#at - begin
  }

  #padding(from: number): void {
    while ((this.#at - from) % 4 !== 0) if (this.#byte() !== 0) throw refused('padding that is not zero')
  }

  /** Seven bits a byte, the lowest first. */
  #integer(): number {
    let value = 0
    for (let shift = 0; shift < 49; shift += 7) {
      const byte = this.#byte()
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
    throw refused('a number that is too large')
  }

  #number(length: number): number {
    let value = 0
    for (let at = 0; at < length; at++) value += this.#byte() * 2 ** (8 * at)
    return value
  }

  #skip(count: number): void {
    this.#at += count
    if (this.#at > this.#bytes.length) throw refused('it ends too early')
  }

  #byte(): number {
    const byte = this.#bytes[this.#at++]
    if (byte === undefined) throw refused('it ends too early')
    return byte
  }
}

/** 2 or 3 times a power of two. */
function dictionaryBytes(code: number): number {
  if (code > 40) throw refused('a dictionary of an unknown size')
  return (2 + (code & 1)) * 2 ** ((code >> 1) + 11)
}

function refused(why: string): PsyblobError {
  return new PsyblobError('malformed', `no usable .xz: ${why}`)
}
