// CIDs: CIDv1, raw codec, BLAKE3-256 multihash, base32 lower case (spec/names.md 1). The only file that knows multiformats.
import { CID as AnyCid } from 'multiformats/cid'
import { PsyblobError } from './errors.ts'
import { utf8Decode, utf8Encode } from './utf8.ts'
import { visible } from './visible.ts'

/** The text form of a CID that passed `parseCid` or came from `cidOf`. */
export type CID = string & { readonly CID: unique symbol }

export const digestBytes = 32
/** Base32 of 0x01 (CIDv1), 0x55 (raw), 0x1e (BLAKE3-256), 0x20 (bytes), but for the last two bits, which are zero. */
const prefix = 'bafkr4i'
const alphabet = utf8Encode('abcdefghijklmnopqrstuvwxyz234567')
const text = utf8Encode(prefix.padEnd(59))

/** The CID of the 32-byte BLAKE3-256 `digest`. */
export function cidOf(digest: Uint8Array): CID {
  if (digest.length !== digestBytes) throw new RangeError(`a BLAKE3-256 digest has ${digestBytes} bytes, got ${digest.length}`)
  // one string in one piece: what grows letter by letter is a chain of fifty pieces, 2 kB each, and a system has a hundred thousand of them
  let at = prefix.length
  let bits = 0
  let count = 2
  for (const byte of digest) {
    bits = (bits << 8) | byte
    count += 8
    while (count >= 5) {
      count -= 5
      text[at++] = alphabet[(bits >> count) & 31] as number
    }
    bits &= 31
  }
  text[at] = alphabet[(bits << (5 - count)) & 31] as number
  return utf8Decode(text, 'CID') as CID
}

/** The 32-byte digest inside `cid`. */
export function digestOf(cid: CID): Uint8Array {
  return AnyCid.parse(cid).multihash.digest
}

/**
 * What `cidOf` writes, and nothing else: base32 of 0x01 0x55 0x1e 0x20 and 32 bytes. The four take six and a half characters, so the
 * eighth one begins with two zero bits, and the last one ends with two: of 290 bits 288 are used.
 */
const form = /^bafkr4i[a-h][a-z2-7]{50}[aeimquy4]$/

export function isCid(value: unknown): value is CID {
  return typeof value === 'string' && form.test(value)
}

/** Throws `malformed` unless decoding `text` and encoding it again gives the same text, with our codec and hash. */
export function parseCid(text: string): CID {
  if (!isCid(text)) {
    throw new PsyblobError('malformed', `not a CID of psyblob: ${visible(text.slice(0, 80))}`, {
      hint: 'a CID here is CIDv1, raw, BLAKE3-256, base32 lower case, and begins with bafkr4i',
    })
  }
  return text
}

/**
 * The codec of any CID at all, ours or another system's: CIDv0, or CIDv1 in base32, base36 or base58. Undefined when `text` is none.
 * 0x70 (`dag-pb`) is a file or folder of IPFS, 0x72 (`libp2p-key`) a name that somebody signs.
 */
export function codecOf(text: string): number | undefined {
  try {
    return AnyCid.parse(text).code
  } catch {
    return undefined
  }
}

/** The folder of a CID below `blobs/` or `blob/`: the two characters before the last one (spec/names.md 1.3). */
export function shardOf(cid: CID): string {
  return cid.slice(-3, -1)
}
