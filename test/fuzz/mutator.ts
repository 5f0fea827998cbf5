// Makes an input that nobody wrote from one that somebody did.
import { byteChanges, type Change, longest } from './byte-mutator.ts'
import { changeJson } from './json-mutator.ts'
import type { Random } from './random.ts'
import { changeText } from './text-mutator.ts'

/** What an input is made of, which says what changes are worth trying. */
export type Material = 'bytes' | 'text' | 'json'

const changes: Readonly<Record<Material, readonly [Change, ...Change[]]>> = {
  bytes: byteChanges,
  text: [changeText, changeText, changeText, anyByteChange],
  json: [changeJson, changeJson, changeJson, changeJson, changeJson, changeJson, changeText, anyByteChange],
}

function anyByteChange(...[bytes, random, other]: Parameters<Change>): Uint8Array {
  return random.pick(byteChanges)(bytes, random, other)
}

/** One to a few changes of `bytes`; parts of `other` may come in. */
export function mutated(
  bytes: Uint8Array,
  other: Uint8Array,
  { material, random }: { readonly material: Material; readonly random: Random },
): Uint8Array {
  let result = bytes
  for (let left = random.pick([1, 1, 1, 1, 2, 4]); left > 0; left--) result = random.pick(changes[material])(result, random, other)
  return result.length > longest ? result.slice(0, longest) : result
}
