// A Linux kernel for x86 (bzImage, kernel: Documentation/arch/x86/boot.rst) whose inside was packed by `lz4 -l`, as Debian's is.
import type { Content, Piece } from './content.ts'
import { limits } from './limits.ts'

const sectorBytes = 512
/** Fields of the head: sectors of the 16-bit part, a magic number, where in the 32-bit part the payload lies, and how long it is. */
const setupSectors = 0x1f1
const header = { at: 0x202, magic: 0x53726448 }
const version = { at: 0x206, least: 0x208 }
const payloadOffset = 0x248
const payloadLength = 0x24c
const legacyMagic = 0x184c2102
const legacyBlock = 8 * 1024 * 1024

/** Undefined for anything else. */
export function readBzImage(bytes: Uint8Array): Content | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < 4096 || view.getUint32(header.at, true) !== header.magic || view.getUint16(version.at, true) < version.least)
    return undefined
  const start = (view.getUint8(setupSectors) + 1) * sectorBytes + view.getUint32(payloadOffset, true)
  const length = view.getUint32(payloadLength, true)
  const end = start + length - 4
  if (length < 12 || end + 4 > bytes.length || view.getUint32(start, true) !== legacyMagic) return undefined
  // the build appends how large it becomes
  const total = view.getUint32(end, true)
  const pieces: Piece[] = [plain('head', 0, start + 4)]
  let raw = 0
  let at = start + 4
  while (at + 4 < end && raw < total) {
    const packed = view.getUint32(at, true)
    if (packed === 0 || packed > limits.patch.piece || at + 4 + packed > end) return undefined
    pieces.push(plain('sizes', at, 4, 4 * pieces.length))
    const size = Math.min(legacyBlock, total - raw)
    pieces.push({
      at: at + 4,
      length: packed,
      raw: size,
      isPacked: true,
      isMetadata: false,
      spans: [{ path: 'kernel', from: raw, length: size }],
    })
    at += 4 + packed
    raw += size
  }
  if (at !== end || raw !== total) return undefined
  pieces.push(plain('tail', at, bytes.length - at))
  // a block is made from the one in its place: its neighbours would save one byte in eighty, and take 16 MiB more
  return { packing: 'lz4', pieces, margin: 0 }
}

/** A stretch that is not packed. */
function plain(path: string, at: number, length: number, from = 0): Piece {
  return { at, length, raw: length, isPacked: false, isMetadata: false, spans: [{ path, from, length }] }
}
