// The curve of Ed25519 by its definition, on whole numbers: slow, and so plain that it can judge what the product's engine does (RFC 8032 5.1).
import { createHash } from 'node:crypto'

const p = 2n ** 255n - 19n
/** The order of the base point. */
export const L = 2n ** 252n + 27742317777372353535851937790883648493n

/** x and y. */
export type Point = readonly [bigint, bigint]

function mod(value: bigint, by = p): bigint {
  const rest = value % by
  return rest < 0n ? rest + by : rest
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n
  for (let square = mod(base), left = exponent; left > 0n; left >>= 1n, square = mod(square * square))
    if (left & 1n) result = mod(result * square)
  return result
}
const inverse = (value: bigint): bigint => power(value, p - 2n)

const d = mod(-121665n * inverse(121666n))
const rootOfMinusOne = power(2n, (p - 1n) / 4n)

/** One of the two x of a y; undefined when there is none. */
function xOf(y: bigint): bigint | undefined {
  const square = mod((y * y - 1n) * inverse(d * y * y + 1n))
  let x = power(square, (p + 3n) / 8n)
  if (mod(x * x - square) !== 0n) x = mod(x * rootOfMinusOne)
  return mod(x * x - square) === 0n ? x : undefined
}

/** X, Y, Z and T of extended coordinates: x = X/Z, y = Y/Z, T = XY/Z. */
type Extended = readonly [bigint, bigint, bigint, bigint]

function sum([X1, Y1, Z1, T1]: Extended, [X2, Y2, Z2, T2]: Extended): Extended {
  const a = mod((Y1 - X1) * (Y2 - X2))
  const b = mod((Y1 + X1) * (Y2 + X2))
  const c = mod(2n * d * T1 * T2)
  const e = mod(2n * Z1 * Z2)
  return [mod((b - a) * (e - c)), mod((e + c) * (b + a)), mod((e - c) * (e + c)), mod((b - a) * (b + a))]
}

const extended = ([x, y]: Point): Extended => [x, y, 1n, mod(x * y)]
function affine([X, Y, Z]: Extended): Point {
  const z = inverse(Z)
  return [mod(X * z), mod(Y * z)]
}

export const neutral: Point = [0n, 1n]

export const negate = ([x, y]: Point): Point => [mod(-x), y]

/** A point, twice it, four times it and so on, as far as anybody has asked: the same few points come again and again. */
const doubles = new Map<string, Extended[]>()

/** The sum of so many times each point. */
export function combine(...terms: readonly (readonly [bigint, Point])[]): Point {
  let result = extended(neutral)
  for (const [scalar, point] of terms) {
    const known = doubles.get(point.join()) ?? [extended(point)]
    doubles.set(point.join(), known)
    for (let left = scalar, at = 0; left > 0n; left >>= 1n, at++) {
      const last = known[at - 1]
      const double = known[at] ?? (last === undefined ? extended(point) : sum(last, last))
      known[at] = double
      if (left & 1n) result = sum(result, double)
    }
  }
  return affine(result)
}

export const add = (one: Point, two: Point): Point => combine([1n, one], [1n, two])
export const multiply = (scalar: bigint, point: Point): Point => combine([scalar, point])

export const same = ([x1, y1]: Point, [x2, y2]: Point): boolean => x1 === x2 && y1 === y2

const baseY = mod(4n * inverse(5n))
const baseX = xOf(baseY) as bigint
export const base: Point = [baseX & 1n ? mod(-baseX) : baseX, baseY]

/** The eight points whose order divides 8: multiples of the first one after the neutral one. */
export const smallPoints: readonly Point[] = (() => {
  for (let y = 2n; ; y++) {
    const x = xOf(y)
    if (x === undefined) continue
    const torsion = multiply(L, [x, y])
    if (same(multiply(4n, torsion), neutral)) continue
    return Array.from({ length: 8 }, (_, times) => multiply(BigInt(times), torsion))
  }
})()

export function littleEndian(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).reverse().toString('hex') || '0'}`)
}

export function toBytes(value: bigint): Uint8Array {
  return Uint8Array.from(Buffer.from(value.toString(16).padStart(64, '0'), 'hex').reverse())
}

export const encode = ([x, y]: Point): Uint8Array => toBytes(y | ((x & 1n) << 255n))

/** Every spelling of a point that lenient readers take: y + p where it fits, and the sign of an x that is 0. */
export function spellings([x, y]: Point): readonly Uint8Array[] {
  const ys = y + p < 2n ** 255n ? [y, y + p] : [y]
  const signs = x === 0n ? [0n, 1n] : [x & 1n]
  return ys.flatMap((each) => signs.map((sign) => toBytes(each | (sign << 255n))))
}

/** As lenient readers do: y modulo p, and any sign where x is 0. Undefined for what is no point. */
export function decode(bytes: Uint8Array): Point | undefined {
  const number = littleEndian(bytes)
  const y = mod(number & (2n ** 255n - 1n))
  const x = xOf(y)
  if (x === undefined) return undefined
  return (x & 1n) === number >> 255n ? [x, y] : [mod(-x), y]
}

/** k of the equation S B = R + k A. */
export function challenge(R: Uint8Array, A: Uint8Array, message: Uint8Array): bigint {
  return mod(littleEndian(createHash('sha512').update(R).update(A).update(message).digest()), L)
}
