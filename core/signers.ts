// Who must have signed: so many distinct keys of these (spec/root.md 2).
import type { PublicKey } from './public-key.ts'

export type Signers = {
  /** At least 1. */
  readonly threshold: number
  readonly keys: readonly PublicKey[]
}

/** One key, which is enough: the publisher of a repository without a root. */
export function soleSigner(key: PublicKey): Signers {
  return { threshold: 1, keys: [key] }
}

/** Any one key of all of them. */
export function anySigner(many: readonly Signers[]): Signers {
  const keys = new Map(many.flatMap(({ keys }) => keys.map((key) => [key.text, key])))
  return { threshold: 1, keys: [...keys.values()] }
}
