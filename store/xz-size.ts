// How many bytes an .xz stream becomes, told without decompressing it: a few hundred bytes may stand for gigabytes, and the decoder takes no limit.

const streamHeaderBytes = 12
/** An index of one block and the footer, with some room. */
const mostAfterBlock = 64

/** Of a stream with one block, whose last filter is LZMA2. Throws when it is not made like that (the .xz format, 2 and 3; LZMA2 chunks). */
export function xzSize(bytes: Uint8Array): number {
  const byte = (at: number): number => {
    const value = bytes[at]
    if (value === undefined) throw new RangeError('the stream ends too early')
    return value
  }
  let at = streamHeaderBytes + 4 * (byte(streamHeaderBytes) + 1)
  let size = 0
  for (let control = byte(at); control !== 0; control = byte(at)) {
    const low = (byte(at + 1) << 8) + byte(at + 2) + 1
    if (control < 0x80) {
      if (control > 2) throw new RangeError(`a chunk of kind ${control}`)
      at += 3 + low
      size += low
    } else {
      size += ((control & 0x1f) << 16) + low
      // from 0xc0 on there is a byte of properties
      at += (control >= 0xc0 ? 6 : 5) + (byte(at + 3) << 8) + byte(at + 4) + 1
    }
  }
  // a second block or stream would not have been counted
  if (bytes.length - at > mostAfterBlock) throw new RangeError('more than one block')
  return size
}
