// What kind of signature it is, as strict and lenient verifiers may disagree about: orders of A and R, their spelling, the range of S, which equation holds.
import { base, challenge, combine, decode, encode, L, littleEndian, multiply, negate, neutral, type Point, same } from './curve.ts'

export type Signed = { readonly publicKey: Uint8Array; readonly message: Uint8Array; readonly signature: Uint8Array }

type Order = 'of prime order' | 'of mixed order' | 'of small order'
type Equation = 'holds' | 'holds with the cofactor only' | 'does not hold'

/** In words, e.g. `A of mixed order; R of small order, not canonical; S below L; the equation holds with the cofactor only`. */
export function classOf({ publicKey, message, signature }: Signed): string {
  if (publicKey.length !== 32) return 'a key of another length'
  if (signature.length !== 64)
    return signature.length === 0 ? 'no signature' : `a signature that is too ${signature.length < 64 ? 'short' : 'long'}`
  const [encodedR, encodedS] = [signature.subarray(0, 32), signature.subarray(32)]
  const [A, R] = [decode(publicKey), decode(encodedR)]
  const S = littleEndian(encodedS)
  const range = S === 0n ? 'S is 0' : S < L ? 'S below L' : S < 2n ** 253n ? 'S not below L' : 'S with a bit set that no S has'
  const points = `A ${pointClass(A, publicKey)}; R ${pointClass(R, encodedR)}`
  if (A === undefined || R === undefined) return `${points}; ${range}`
  const equation = equationOf(A, R, S, challenge(encodedR, publicKey, message))
  // a verifier that encodes the points anew before it hashes them comes to another k
  const isCanonical = isEncoded(A, publicKey) && isEncoded(R, encodedR)
  const again = isCanonical ? equation : equationOf(A, R, S, challenge(encode(R), encode(A), message))
  return `${points}; ${range}; the equation ${equation}${again === equation ? '' : `, and of points encoded anew it ${again}`}`
}

/** By the rules of spec/minisign.md 4, computed without the product. */
export function mustHold({ publicKey, message, signature }: Signed): boolean {
  const text = classOf({ publicKey, message, signature })
  return /^A of (prime|mixed) order; R of (prime|mixed) order; S (is 0|below L); the equation holds(,|$)/.test(text)
}

/** Points come again and again. */
const classes = new Map<string, string>()

function pointClass(point: Point | undefined, bytes: Uint8Array): string {
  if (point === undefined) return 'no point'
  const known = classes.get(bytes.join())
  if (known !== undefined) return known
  const found = `${orderOf(point)}${isEncoded(point, bytes) ? '' : ', not canonical'}`
  classes.set(bytes.join(), found)
  return found
}

const isEncoded = (point: Point, bytes: Uint8Array) => Buffer.compare(bytes, encode(point)) === 0

function orderOf(point: Point): Order {
  if (same(multiply(8n, point), neutral)) return 'of small order'
  return same(multiply(L, point), neutral) ? 'of prime order' : 'of mixed order'
}

function equationOf(A: Point, R: Point, S: bigint, k: bigint): Equation {
  const rest = combine([S, base], [1n, negate(R)], [k, negate(A)])
  if (same(rest, neutral)) return 'holds'
  return same(multiply(8n, rest), neutral) ? 'holds with the cofactor only' : 'does not hold'
}
