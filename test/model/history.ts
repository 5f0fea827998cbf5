// A history as data: what happens in a world and to a node in it, step after step. Each step stands by itself, so that any may be left out.
import { Chance } from './chance.ts'
import { channels, day, hour, products } from './lineage.ts'

/** What a bad mirror does to the files it has; `pick` is from 0 to below 1. */
export type Bend =
  | { readonly kind: 'forgery'; readonly pick: number }
  | { readonly kind: 'misplace' | 'drop' | 'garbage'; readonly pick: number; readonly place: number }
export type MirrorPlan = {
  /** Where its files are from: how many snapshots back, or nowhere. */
  readonly base: number | 'nothing' | 'silence'
  readonly bends: readonly Bend[]
}
export type RefreshStep = {
  readonly kind: 'refresh'
  readonly product: string
  readonly channel: string
  /** `cut`: the process is killed after all checks, before the state is written. `dry`: nothing is to be kept. */
  readonly how: 'whole' | 'cut' | 'dry'
  /** Milliseconds after the last event. */
  readonly after: number
  readonly mirrors: readonly MirrorPlan[]
}
export type Step =
  | RefreshStep
  | { readonly kind: 'publisher'; readonly events: number }
  | { readonly kind: 'clock'; readonly offset: number; readonly what: string }
  | { readonly kind: 'restart'; readonly isCut: boolean }
  | { readonly kind: 'boot'; readonly product: string }
export type History = {
  readonly seed: string
  /** Somebody has stolen keys: at the end the keepers take them away. */
  readonly hasThief: boolean
  /** The composition states the repository. */
  readonly isStated: boolean
  readonly steps: readonly Step[]
  /** Strangers around the good mirror at the end, and its place among them. */
  readonly strangers: readonly MirrorPlan[]
  readonly place: number
  readonly finale: { readonly product: string; readonly channel: string }
}

const clocks: readonly (readonly [string, number])[] = [
  ['is right again', 0],
  ['is right again', 0],
  ['says 1970', -56 * 365 * day],
  ['is ten years ahead', 3650 * day],
  ['is eight days ahead', 8 * day],
  ['is eight days behind', -8 * day],
  ['is two hours behind', -2 * hour],
]

function bend(chance: Chance): Bend {
  if (chance.is(0.6)) return { kind: 'forgery', pick: chance.next() }
  return { kind: chance.of(['misplace', 'misplace', 'drop', 'garbage'] as const), pick: chance.next(), place: chance.next() }
}

function mirror(chance: Chance): MirrorPlan {
  const bends = chance.is(0.45) ? Array.from({ length: chance.between(1, 3) }, () => bend(chance)) : []
  if (chance.is(0.08)) return { base: chance.of(['nothing', 'silence'] as const), bends }
  return { base: chance.is(0.7) ? 0 : chance.between(1, 6), bends }
}

function step(chance: Chance): Step {
  const dice = chance.next()
  if (dice < 0.18) return { kind: 'publisher', events: chance.of([1, 1, 1, 2, 2, 3, 6]) }
  if (dice < 0.27) {
    const [what, offset] = chance.of(clocks)
    return { kind: 'clock', offset, what }
  }
  if (dice < 0.33) return { kind: 'restart', isCut: chance.is(0.5) }
  if (dice < 0.38) return { kind: 'boot', product: chance.of(products) }
  return {
    kind: 'refresh',
    product: chance.is(0.75) ? 'os' : chance.of(products),
    channel: chance.is(0.75) ? 'stable' : chance.of(channels),
    how: chance.is(0.85) ? 'whole' : chance.of(['cut', 'dry'] as const),
    after: chance.below(hour),
    mirrors: Array.from({ length: chance.of([1, 1, 1, 2, 3]) }, () => mirror(chance)),
  }
}

export function makeHistory(seed: string): History {
  const chance = new Chance(seed)
  const steps = [
    { kind: 'publisher' as const, events: chance.below(8) },
    ...Array.from({ length: chance.between(5, 12) }, () => step(chance)),
  ]
  const strangers = Array.from({ length: chance.below(4) }, () => ({
    base: chance.of(['nothing', 'nothing', 'silence'] as const),
    bends: Array.from({ length: chance.between(1, 4) }, () => bend(chance)),
  }))
  const finale = { product: chance.of(products), channel: chance.of(channels) }
  return { seed, hasThief: chance.is(0.5), isStated: chance.is(0.6), steps, strangers, place: chance.below(strangers.length + 1), finale }
}
