// A vector of patches: what it has, and how one is put together by hand.
import { type HandMade, type HandMadeGroup, handMade, numbers } from '../fixtures/patches.ts'

export type PatchVector = {
  readonly what: string
  readonly old: string
  readonly patch: string
  readonly expect: 'ok' | 'malformed' | 'unsupported' | 'corrupt'
  readonly value?: string
}

export type Numbers = readonly (number | readonly [number])[]

export const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
export const text = (letters: string) => new Uint8Array(Buffer.from(letters))
export const joined = (...parts: readonly Uint8Array[]) => new Uint8Array(Buffer.concat(parts))

export const alphabet = text('abcdefghijklmnopqrstuvwxyz')

export function vector(what: string, made: HandMade, bend?: (patch: Buffer) => Uint8Array | undefined): PatchVector {
  const patch = Buffer.from(handMade(made))
  const bent = bend?.(patch) ?? patch
  return { what, old: hex(made.old), patch: hex(bent), expect: 'ok', value: hex(made.next) }
}

/** A patch of one group that makes `next` of the alphabet. */
export function group(what: string, next: Uint8Array, steps: Numbers, more: Partial<HandMadeGroup & HandMade> = {}): PatchVector {
  const { differences, inserted, made = 0, length = next.length, control = numbers(...steps), ...rest } = more
  const streams = { ...(differences === undefined ? {} : { differences }), ...(inserted === undefined ? {} : { inserted }) }
  return vector(what, { old: alphabet, next, groups: [{ control, length, made, ...streams }], ...rest })
}

export function refused({ value: _, ...rest }: PatchVector, code: PatchVector['expect'] = 'malformed'): PatchVector {
  return { ...rest, expect: code }
}
