// One LZ4 block as LZ4_compress_default of liblz4 1.9.4 makes it on a 64-bit machine, bit for bit: what mksquashfs calls, and lz4 -1.
// Every decision here is that library's: which places it remembers, and how soon it takes longer steps. Change none of them.
import { Lz4Writer, lastLiterals, leastMatch, reach, tail } from './lz4-writer.ts'

/** Below it places have 16 bits, and twice as many are remembered. */
const smallLimit = 64 * 1024 + tail - 1
const hashBits = 12
/** Places that are looked at one by one before steps grow by a byte; and again. */
const skipBits = 6

/** The bytes of one block as one: 0.4 % and 16 bytes longer at worst. */
export function packLz4Fast(bytes: Uint8Array): Uint8Array {
  const writer = new Lz4Writer(bytes)
  if (bytes.length > tail) parse(bytes, writer)
  return writer.finish()
}

function parse(bytes: Uint8Array, writer: Lz4Writer): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const isSmall = bytes.length < smallLimit
  const last = bytes.length - tail
  const end = bytes.length - lastLiterals
  // a place that nobody has put there is 0, which is a place as well
  const places = new Uint32Array(1 << (hashBits + 1))
  const hash = (at: number): number =>
    isSmall ? hash4(view.getUint32(at, true)) : hash5(view.getUint32(at, true), bytes[at + 4] as number)
  const isMatch = (place: number, at: number): boolean =>
    (isSmall || place + reach >= at) && view.getUint32(place, true) === view.getUint32(at, true)

  places[hash(0)] = 0
  let anchor = 0
  let at = 1
  let ahead = hash(at)
  for (;;) {
    let place = 0
    let next = at
    let step = 1
    for (let tries = 1 << skipBits; ; ) {
      const slot = ahead
      at = next
      next += step
      step = tries++ >> skipBits
      if (next > last + 1) return
      place = places[slot] as number
      ahead = hash(next)
      places[slot] = at
      if (isMatch(place, at)) break
    }
    while (at > anchor && place > 0 && bytes[at - 1] === bytes[place - 1]) {
      at--
      place--
    }
    for (;;) {
      const begin = at
      const offset = at - place
      at += leastMatch
      while (at < end && bytes[at] === bytes[at - offset]) at++
      writer.write({ at: begin, offset }, at - begin)
      anchor = at
      if (at > last) return
      places[hash(at - 2)] = at - 2
      const slot = hash(at)
      place = places[slot] as number
      places[slot] = at
      if (!isMatch(place, at)) break
    }
    ahead = hash(++at)
  }
}

/** The upper bits of a product of 32 bits. */
function hash4(four: number): number {
  return Math.imul(four, 2654435761) >>> (32 - hashBits - 1)
}

/** Of a product of 64 bits of which only the lowest 40 of the first factor count: its upper bits. */
function hash5(low: number, high: number): number {
  // 889523592379, as two numbers of 20 bits, by five bytes, as two as well: bits 28 to 39 of the product are wanted
  const [one, other] = [low & 0xfffff, (low >>> 20) | (high << 12)]
  const upper = (one * 848315 + other * 842939) % 0x100000
  return Math.floor((one * 842939 + upper * 0x100000) / 0x10000000) % 0x1000
}
