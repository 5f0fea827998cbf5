// Changes of bytes that know nothing of what they mean: flips, cuts, repetitions, fields with numbers that parsers stumble over.
import type { Random } from './random.ts'

export type Change = (bytes: Uint8Array, random: Random, other: Uint8Array) => Uint8Array

/** No input is longer: what a parser does with much of something shows with this much. */
export const longest = 96 * 1024

const tellingBytes = [0, 1, 2, 0x7f, 0x80, 0xfe, 0xff, 0x0a, 0x0d, 0x20, 0x22, 0x2f, 0x3d, 0x5c] as const
const powers = [7, 8, 15, 16, 24, 31, 32, 43, 52, 53, 62, 63, 64].map((power) => 2n ** BigInt(power))
const numbers: readonly bigint[] = [0n, 1n, 2n, 0x55n, ...powers.flatMap((power) => [power - 1n, power, power + 1n])]

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts))
}

/** The first and the last byte mean more than others. */
function placeIn(bytes: Uint8Array, random: Random): number {
  if (random.once(12)) return random.once(2) ? 0 : Math.max(0, bytes.length - 1)
  return random.below(bytes.length)
}

function spanOf(bytes: Uint8Array, random: Random, most = bytes.length): { readonly from: number; readonly to: number } {
  const from = placeIn(bytes, random)
  // mostly short: a change of everything tells nothing
  const length = random.once(4) ? random.below(most) : random.below(Math.min(most, 16))
  return { from, to: Math.min(bytes.length, from + 1 + length) }
}

function changed(bytes: Uint8Array, change: (copy: Uint8Array) => void): Uint8Array {
  const copy = new Uint8Array(bytes)
  change(copy)
  return copy
}

/** `width` bytes of a number, in either order. */
function field(value: bigint, width: number, little: boolean): Uint8Array {
  const bytes = Uint8Array.from({ length: width }, (_, at) => Number((value >> BigInt(8 * at)) & 0xffn))
  return little ? bytes : bytes.reverse()
}

function put(bytes: Uint8Array, at: number, part: Uint8Array): Uint8Array {
  return changed(bytes, (copy) => copy.set(part.subarray(0, Math.max(0, copy.length - at)), at))
}

const flipBit: Change = (bytes, random) =>
  changed(bytes, (copy) => {
    const at = placeIn(copy, random)
    copy[at] = (copy[at] ?? 0) ^ (1 << random.below(8))
  })

const setByte: Change = (bytes, random) =>
  changed(bytes, (copy) => {
    copy[placeIn(copy, random)] = random.once(3) ? random.next() : random.pick(tellingBytes)
  })

const nudge: Change = (bytes, random) =>
  changed(bytes, (copy) => {
    const at = placeIn(copy, random)
    copy[at] = (copy[at] ?? 0) + (random.once(2) ? 1 : -1)
  })

const cutOut: Change = (bytes, random) => {
  const { from, to } = spanOf(bytes, random)
  return joined(bytes.subarray(0, from), bytes.subarray(to))
}

const truncate: Change = (bytes, random) => bytes.slice(0, random.below(bytes.length + 1))

const insert: Change = (bytes, random) => {
  const at = random.below(bytes.length + 1)
  const part = random.once(2) ? random.bytes(1 + random.below(8)) : new Uint8Array(1 + random.below(64)).fill(random.pick(tellingBytes))
  return joined(bytes.subarray(0, at), part, bytes.subarray(at))
}

const copyOver: Change = (bytes, random) => {
  const { from, to } = spanOf(bytes, random)
  return put(bytes, random.below(bytes.length), bytes.subarray(from, to))
}

const repeat: Change = (bytes, random) => {
  const { from, to } = spanOf(bytes, random)
  const part = bytes.subarray(from, to)
  const room = Math.max(1, Math.floor((longest - bytes.length) / Math.max(1, part.length)))
  const times = random.once(8) ? Math.min(room, 1 + random.below(40_000)) : 1 + random.below(Math.min(room, 20))
  return joined(bytes.subarray(0, to), ...Array.from({ length: times }, () => part), bytes.subarray(to))
}

const splice: Change = (bytes, random, other) =>
  joined(bytes.subarray(0, random.below(bytes.length + 1)), other.subarray(random.below(other.length)))

const graft: Change = (bytes, random, other) => {
  const { from, to } = spanOf(other, random)
  return put(bytes, random.below(bytes.length), other.subarray(from, to))
}

const setField: Change = (bytes, random) => {
  const width = random.pick([2, 4, 8])
  // fields mostly stand at a multiple of their width
  const aligned = () => random.below(Math.floor(bytes.length / width)) * width
  let at = random.once(3) ? random.below(bytes.length) : aligned()
  // and say something already
  for (let tries = 0; tries < 8 && bytes.subarray(at, at + width).every((byte) => byte === 0); tries++) at = aligned()
  return put(bytes, at, field(random.pick(numbers) ?? 0n, width, !random.once(4)))
}

const addToField: Change = (bytes, random) =>
  changed(bytes, (copy) => {
    if (copy.length < 4) return
    const view = new DataView(copy.buffer)
    const at = random.below(Math.floor(copy.length / 2) - 1) * 2
    view.setUint32(at, view.getUint32(at, true) + random.pick([1, -1, 2, 512, -512, 0x10000]), true)
  })

const exchange: Change = (bytes, random) => {
  const [one, two] = [random.below(bytes.length), random.below(bytes.length)].sort((left, right) => left - right) as [number, number]
  const length = Math.min(1 + random.below(64), two - one, bytes.length - two)
  return changed(bytes, (copy) => {
    copy.set(bytes.subarray(two, two + length), one)
    copy.set(bytes.subarray(one, one + length), two)
  })
}

/** Numbers in digits, as headers of archives have them: of the same length, for that mostly stands elsewhere. */
const setDigits: Change = (bytes, random) => {
  const text = Buffer.from(bytes).toString('latin1')
  const found = random.pick([...text.matchAll(/[0-9]{2,}/g)])
  if (found === undefined) return bytes
  const digits = random.pick(['0', '7', '9', '9007199254740991', '-1', '1e']).padEnd(found[0].length, random.pick(['0', '7', '9']))
  return put(bytes, found.index, new Uint8Array(Buffer.from(digits.slice(0, found[0].length), 'latin1')))
}

export const byteChanges: readonly [Change, ...Change[]] = [
  flipBit,
  flipBit,
  setByte,
  setByte,
  nudge,
  cutOut,
  truncate,
  insert,
  copyOver,
  repeat,
  splice,
  graft,
  setField,
  setField,
  setField,
  addToField,
  setDigits,
  exchange,
]
