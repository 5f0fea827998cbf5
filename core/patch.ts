// A patch: how one blob becomes another. What stands at its head: of which blobs, with which encoders, in which groups (spec/patch.md 2, 3).
import { type CID, cidOf, digestBytes, digestOf } from './cid.ts'
import { PsyblobError } from './errors.ts'
import { limits } from './limits.ts'

/** `psyblob patch`, 0, format 1, a zero byte: 16 bytes together. */
const magic = Uint8Array.from([0x70, 0x73, 0x79, 0x62, 0x6c, 0x6f, 0x62, 0x20, 0x70, 0x61, 0x74, 0x63, 0x68, 0, 1, 0])
/** Bytes of the fixed part, of a codec, and of a group. */
export const patchHeadBytes = 120
const nameBytes = 28
const codecBytes = nameBytes + 4
const groupBytes = 40

/** What packing may add at most: a stream can always be stored as it is. */
const packedSlack = 1024

/** How a stream is packed: 0, 1, 2. */
const streamPackings = ['stored', 'brotli', 'xz'] as const
export type StreamPacking = (typeof streamPackings)[number]

/** What the packed pieces of the old blob are undone by, as squashfs numbers it; 0 when there are none. */
const sourcePackings = ['none', 'gzip', 'lzma', 'lzo', 'xz', 'lz4', 'zstd'] as const
export type SourcePacking = (typeof sourcePackings)[number]

/** An encoder as a registry knows it, and its level. */
export type PatchCodec = { readonly name: string; readonly level: number }

/** Bytes: as packed, and unpacked. */
export type PatchStream = { readonly packing: StreamPacking; readonly raw: number; readonly packed: number }

export type PatchGroup = {
  /** Where in the new blob it begins, and how many bytes of it it makes. */
  readonly at: number
  readonly length: number
  /** Bytes that are encoded for it, before that. */
  readonly made: number
  /** Where in the patch its streams begin: control, differences, inserted. */
  readonly from: number
  readonly streams: readonly [PatchStream, PatchStream, PatchStream]
}

type Side = { readonly cid: CID; readonly size: number }

/** The fixed part. */
export type PatchHead = {
  readonly old: Side
  readonly next: Side
  /** Bytes that are encoded in all, before that: most of the work of applying it. */
  readonly made: number
  readonly packing: SourcePacking
  readonly codecs: number
  readonly groups: number
}

export type Patch = Omit<PatchHead, 'codecs' | 'groups'> & {
  readonly codecs: readonly PatchCodec[]
  readonly groups: readonly PatchGroup[]
}

/** Bytes before the first stream. */
export function patchTableBytes({ codecs, groups }: Pick<PatchHead, 'codecs' | 'groups'>): number {
  return patchHeadBytes + codecs * codecBytes + groups * groupBytes
}

/** Reads the fixed part. Throws `malformed`, or `unsupported` for a later format. */
export function parsePatchHead(bytes: Uint8Array, what: string): PatchHead {
  const refuse = refuser(what)
  if (bytes.length < patchHeadBytes) refuse('it ends within its head')
  for (const [at, byte] of magic.entries()) {
    if (bytes[at] === byte) continue
    if (at !== 14) refuse('no patch')
    throw new PsyblobError('unsupported', `${what}: a patch of format ${bytes[at]}`, { hint: 'a newer psyblob may know it' })
  }
  const view = viewOf(bytes)
  const side = (at: number) => ({
    cid: cidOf(bytes.slice(at, at + digestBytes)),
    size: number64(view, at + digestBytes, limits.blob) ?? refuse('a size that is too large'),
  })
  const [old, next] = [side(16), side(56)]
  const made = number64(view, 96, limits.patch.made(next.size)) ?? refuse('more to encode than a patch may have')
  const packing = sourcePackings[view.getUint32(104, true)] ?? refuse('sources that are packed in an unknown way')
  const [codecs, groups] = [view.getUint32(108, true), view.getUint32(112, true)]
  if (codecs > limits.patch.codecs) refuse(`${codecs} codecs`)
  if (groups > limits.patch.groups) refuse(`${groups} groups`)
  if (view.getUint32(116, true) !== 0) refuse('a field that should be zero')
  return { old, next, made, packing, codecs, groups }
}

/** The codecs that stand after the fixed part. Throws `malformed`. */
export function readPatchCodecs(bytes: Uint8Array, head: PatchHead): readonly PatchCodec[] {
  const refuse = refuser('patch')
  const view = viewOf(bytes)
  const codecs: PatchCodec[] = []
  for (let at = patchHeadBytes; codecs.length < head.codecs; at += codecBytes) {
    if (at + codecBytes > bytes.length) refuse('it ends within its head')
    const name = String.fromCharCode(...bytes.subarray(at, at + nameBytes)).replace(/\0+$/, '')
    if (!/^[a-z0-9.+-]{1,28}$/.test(name)) refuse('a codec without a name')
    codecs.push({ name, level: view.getUint32(at + nameBytes, true) })
  }
  return codecs
}

/** What the first groups encode, as many as stand in these bytes. Unverified. */
export function readFirstMade(bytes: Uint8Array, head: PatchHead): readonly number[] {
  const from = patchHeadBytes + head.codecs * codecBytes
  const there = Math.min(head.groups, Math.max(0, Math.floor((bytes.length - from) / groupBytes)))
  const view = viewOf(bytes)
  return Array.from({ length: there }, (_, number) => view.getUint32(from + number * groupBytes + 8, true))
}

/** Reads the whole head of a patch of `size` bytes: `bytes` are the first `patchTableBytes` of it. Throws `malformed`, `unsupported`. */
export function parsePatch(bytes: Uint8Array, size: number, what: string): Patch {
  const refuse = refuser(what)
  const head = parsePatchHead(bytes, what)
  const table = patchTableBytes(head)
  if (bytes.length < table) refuse('it ends within its head')
  const view = viewOf(bytes)
  const codecs = readPatchCodecs(bytes, head)
  const groups: PatchGroup[] = []
  let [from, next, made, streamed] = [table, 0, 0, 0]
  for (let at = patchHeadBytes + head.codecs * codecBytes; groups.length < head.groups; at += groupBytes) {
    const length = number64(view, at, head.next.size) ?? refuse('a group that is too long')
    const own = view.getUint32(at + 8, true)
    if (length === 0 || own > limits.patch.groupMade) refuse('a group that makes too much, or nothing')
    const stream = (number: number): PatchStream => {
      const packing = streamPackings[bytes[at + 12 + number] as number] ?? refuse('a stream that is packed in an unknown way')
      const [raw, packed] = [view.getUint32(at + 16 + 4 * number, true), view.getUint32(at + 28 + 4 * number, true)]
      if (raw > limits.patch.stream || packed > raw + packedSlack || (packing === 'stored' && raw !== packed))
        refuse(`a stream of ${raw} bytes`)
      streamed += raw
      return { packing, raw, packed }
    }
    const streams = [stream(0), stream(1), stream(2)] as const
    if (bytes[at + 15] !== 0) refuse('a field that should be zero')
    groups.push({ at: next, length, made: own, from, streams })
    for (const { packed } of streams) from += packed
    next += length
    made += own
  }
  if (next !== head.next.size) refuse(`groups for ${next} of ${head.next.size} bytes`)
  if (made !== head.made) refuse('another sum of what is encoded')
  if (streamed > limits.patch.streams(head.next.size)) refuse(`streams of ${streamed} bytes`)
  if (from !== size) refuse(`expected ${from} bytes, got ${size}`)
  return { ...head, codecs, groups }
}

/** The head of a patch. The streams follow, group by group. */
export function formatPatchHead(patch: Omit<Patch, 'made'>): Uint8Array {
  const { old, next, packing, codecs, groups } = patch
  const bytes = new Uint8Array(patchTableBytes({ codecs: codecs.length, groups: groups.length }))
  const view = viewOf(bytes)
  bytes.set(magic)
  for (const [at, side] of [
    [16, old],
    [56, next],
  ] as const) {
    bytes.set(digestOf(side.cid), at)
    view.setBigUint64(at + digestBytes, BigInt(side.size), true)
  }
  view.setBigUint64(96, BigInt(groups.reduce((sum, { made }) => sum + made, 0)), true)
  view.setUint32(104, sourcePackings.indexOf(packing), true)
  view.setUint32(108, codecs.length, true)
  view.setUint32(112, groups.length, true)
  let at = patchHeadBytes
  for (const { name, level } of codecs) {
    for (const [place, letter] of [...name].entries()) bytes[at + place] = letter.charCodeAt(0)
    view.setUint32(at + nameBytes, level, true)
    at += codecBytes
  }
  for (const { length, made, streams } of groups) {
    view.setBigUint64(at, BigInt(length), true)
    view.setUint32(at + 8, made, true)
    for (const [number, stream] of streams.entries()) {
      bytes[at + 12 + number] = streamPackings.indexOf(stream.packing)
      view.setUint32(at + 16 + 4 * number, stream.raw, true)
      view.setUint32(at + 28 + 4 * number, stream.packed, true)
    }
    at += groupBytes
  }
  return bytes
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** Undefined above `most`. */
function number64(view: DataView, at: number, most: number): number | undefined {
  const value = view.getUint32(at + 4, true) * 2 ** 32 + view.getUint32(at, true)
  return value > most ? undefined : value
}

function refuser(what: string): (why: string) => never {
  return (why) => {
    throw new PsyblobError('malformed', `${what}: ${why}`)
  }
}
