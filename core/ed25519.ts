// Ed25519: a strict check of key and signature before any engine sees them, and signing (RFC 8032; spec/minisign.md 4).
import nacl from 'tweetnacl'

/** Computes whether a signature holds by the equation alone; what it must never see is sorted out before. */
export type RawVerify = (input: { readonly publicKey: Uint8Array; readonly message: Uint8Array; readonly signature: Uint8Array }) => boolean

/** 2^255 - 19, and the order of the base point: little-endian, 32 bytes. */
const fieldPrime = littleEndian((1n << 255n) - 19n)
const groupOrder = littleEndian((1n << 252n) + 27742317777372353535851937790883648493n)

/** y of the points whose order divides 8, other than those refused for being 0, 1 or p-1. */
const lowOrder = [
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
].map((hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)))

const smallY = [littleEndian(0n), littleEndian(1n), littleEndian((1n << 255n) - 20n)]

function littleEndian(value: bigint): Uint8Array {
  return Uint8Array.from({ length: 32 }, (_, at) => Number((value >> BigInt(8 * at)) & 0xffn))
}

/** Negative, zero or positive, as numbers compare. */
function compare(left: Uint8Array, right: Uint8Array): number {
  for (let at = 31; at >= 0; at--) {
    const difference = (left[at] as number) - (right[at] as number)
    if (difference !== 0) return difference
  }
  return 0
}

/** A point that libsodium accepts: canonical, and not of small order. */
function isAcceptablePoint(bytes: Uint8Array): boolean {
  const y = Uint8Array.from(bytes)
  y[31] = (y[31] as number) & 0x7f
  if (compare(y, fieldPrime) >= 0) return false
  return ![...smallY, ...lowOrder].some((refused) => compare(y, refused) === 0)
}

/** True when key and signature have the only spelling they may have. Equals libsodium on the Wycheproof, speccheck and CCTV vectors. */
export function isStrict(publicKey: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== 32 || signature.length !== 64) return false
  if (compare(signature.subarray(32), groupOrder) >= 0) return false
  return isAcceptablePoint(publicKey) && isAcceptablePoint(signature.subarray(0, 32))
}

/** Whether `signature` (64 bytes) over `message` was made by `publicKey` (32 bytes). */
export function verifyEd25519(
  input: { readonly publicKey: Uint8Array; readonly message: Uint8Array; readonly signature: Uint8Array },
  raw: RawVerify,
): boolean {
  return isStrict(input.publicKey, input.signature) && raw(input)
}

/** The public key (32 bytes) of a seed (32 bytes). */
export function publicKeyOf(seed: Uint8Array): Uint8Array {
  return nacl.sign.keyPair.fromSeed(seed).publicKey
}

/** 64 bytes. */
export function signEd25519(seed: Uint8Array, message: Uint8Array): Uint8Array {
  return nacl.sign.detached(message, nacl.sign.keyPair.fromSeed(seed).secretKey)
}
