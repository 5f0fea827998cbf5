// What a node of the model knows: the facts that its state has to hold, and what a new root makes it forget (root.md 4.6).
import type { CID } from '../../core/mod.ts'
import type { State } from '../../store/state.ts'
import { type RootFact, roleOf } from './documents.ts'
import type { Signed } from './ledger.ts'

export type SeenChannel = { readonly version: number; readonly pointer: CID; readonly issued: string; readonly expires: string }
export type ProductFacts = {
  readonly repo: string
  readonly seen?: { readonly serial: number; readonly manifest: CID }
  readonly floor?: number
  readonly channels: Readonly<Record<string, SeenChannel>>
}
export type Knowledge = {
  readonly root: { readonly fact: RootFact; readonly line: string } | undefined
  readonly products: Readonly<Record<string, ProductFacts>>
  /** Manifests in its store, by product and serial. */
  readonly kept: ReadonlyMap<string, Pick<Signed, 'body' | 'signatures'>>
}

export const nothing: Knowledge = { root: undefined, products: {}, kept: new Map() }

/** A role that lost a key: what was said of versions may have been a lie. */
function hasLost(kind: 'release' | 'pointer', name: string, before: RootFact | undefined, after: RootFact): boolean {
  const left = roleOf(after, kind, name)?.keys ?? []
  return roleOf(before, kind, name)?.keys.some((key) => !left.includes(key)) ?? false
}

export function withRoot(known: Knowledge, fact: RootFact, line: string): Knowledge {
  const before = known.root?.fact
  const products = Object.entries(known.products).map(([product, { seen, floor, channels, ...rest }]) => {
    const left = Object.entries(channels).filter(([channel]) => !hasLost('pointer', channel, before, fact))
    const counters = hasLost('release', product, before, fact)
      ? {}
      : { ...(seen === undefined ? {} : { seen }), ...(floor === undefined ? {} : { floor }) }
    return [product, { ...rest, ...counters, channels: Object.fromEntries(left) }] as const
  })
  return { ...known, root: { fact, line }, products: Object.fromEntries(products) }
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).sort(([one], [two]) => (one < two ? -1 : 1))
  return Object.fromEntries(entries.map(([name, inner]) => [name, sorted(inner)]))
}

/** Of the model and of the product in one shape, to be compared as text. */
export function stateText({ root, products }: Knowledge): string {
  return JSON.stringify(sorted({ root: root?.line ?? null, products }), null, 1)
}

export function readText({ products, roots }: State, key: string): string {
  const facts = Object.entries(products).map(([product, { key: learntWith, ...rest }]) => [
    product,
    learntWith === key ? rest : { learntWith },
  ])
  return JSON.stringify(sorted({ root: roots?.at(-1)?.root ?? null, products: Object.fromEntries(facts) }), null, 1)
}
