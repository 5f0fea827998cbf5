// A file of zstd frames one after the other (RFC 8878), each of which says how large it becomes: an initramfs as psyblob builds it.
import type { Content, Piece } from './content.ts'
import { limits } from './limits.ts'

const magic = 0xfd2fb528
/** Bytes of the content size by its flag, where the frame is no single segment; then it has at least one. */
const sizeBytes = [0, 2, 4, 8] as const
const dictionaryBytes = [0, 1, 2, 4] as const
const blockHeadBytes = 3
const blockKinds = { raw: 0, run: 1, packed: 2 } as const

/** Undefined for anything else, and for frames that are too large to be packed again. */
export function readZstdFrames(bytes: Uint8Array): Content | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const pieces: Piece[] = []
  let raw = 0
  for (let at = 0; at < bytes.length; ) {
    const frame = readFrame(view, at)
    if (frame === undefined || frame.raw === 0 || frame.raw > limits.patch.piece || frame.length > limits.patch.piece) return undefined
    pieces.push({ at, ...frame, isPacked: true, isMetadata: false, spans: [{ path: 'archive', from: raw, length: frame.raw }] })
    at += frame.length
    raw += frame.raw
  }
  return pieces.length === 0 ? undefined : { packing: 'zstd', pieces, margin: 1024 * 1024 }
}

function readFrame(view: DataView, start: number): { readonly length: number; readonly raw: number } | undefined {
  if (start + 6 > view.byteLength || view.getUint32(start, true) !== magic) return undefined
  const descriptor = view.getUint8(start + 4)
  const isSingle = (descriptor & 0x20) !== 0
  const hasChecksum = (descriptor & 0x04) !== 0
  const size = sizeBytes[descriptor >> 6] || (isSingle ? 1 : 0)
  const field = start + 5 + (isSingle ? 0 : 1) + (dictionaryBytes[descriptor & 3] as number)
  let at = field + size
  if (size === 0 || at + blockHeadBytes > view.byteLength) return undefined
  const raw = contentSize(view, field, size)
  for (;;) {
    if (at + blockHeadBytes > view.byteLength) return undefined
    const head = view.getUint16(at, true) + view.getUint8(at + 2) * 0x10000
    const kind = (head >> 1) & 3
    if (kind > blockKinds.packed) return undefined
    at += blockHeadBytes + (kind === blockKinds.run ? 1 : head >> 3)
    if ((head & 1) !== 0) break
  }
  at += hasChecksum ? 4 : 0
  return at > view.byteLength ? undefined : { length: at - start, raw }
}

function contentSize(view: DataView, at: number, size: number): number {
  if (size === 1) return view.getUint8(at)
  // two bytes begin where one ends
  if (size === 2) return view.getUint16(at, true) + 256
  const low = view.getUint32(at, true)
  return size === 4 ? low : low + view.getUint32(at + 4, true) * 2 ** 32
}
