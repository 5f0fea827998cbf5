// A world of the model: what honest people published there from the first day to the last, and what others made beside it.
import { Chance } from './chance.ts'
import { anchor } from './documents.ts'
import type { Forgery } from './forger.ts'
import { forge } from './forgeries.ts'
import { Ledger } from './ledger.ts'
import { channels, day, firstRoot, hour, Lineage, products, type Snapshot } from './lineage.ts'
import { People } from './people.ts'
import { recovered, rotated } from './rotation.ts'

export type World = {
  readonly ledger: Ledger
  readonly anchorKey: string
  readonly snapshots: readonly Snapshot[]
  /** Where a node must be able to follow to that met no thief. */
  readonly last: number
  /** Where all keys that may have been stolen are gone; undefined where one key signs everything to the end. */
  readonly recovered: number | undefined
  readonly forgeries: readonly Forgery[]
}

export function makeWorld(seed: string): World {
  const people = new People(seed)
  const ledger = new Ledger(people)
  const chance = new Chance(`${seed} lineage`)
  const lineage = new Lineage(ledger, chance)
  const rootDays = chance.of([60, 365])
  const rootAt = chance.of([0, 0, 1, 4, Number.POSITIVE_INFINITY])

  open(lineage)
  const events = chance.between(5, 11)
  for (let event = 0; event < events; event++) {
    lineage.pass(chance.of([hour, 6 * hour, day, 3 * day, 6 * day, 9 * day, 40 * day]))
    if (event === rootAt) setRoot(lineage, () => ({ root: firstRoot(lineage, chance, rootDays), what: 'the first root' }))
    else publishOrRotate(lineage, rootDays)
  }
  close(lineage, (root) => rotated(root, lineage, 365))
  const last = lineage.snapshots.length - 1
  lineage.unharmed = lineage.roots.length
  if (lineage.root !== undefined) close(lineage, (root) => recovered(root, lineage, 365))
  return {
    ledger,
    anchorKey: people.keyOf(anchor).text,
    snapshots: lineage.snapshots,
    last,
    recovered: lineage.root === undefined ? undefined : lineage.snapshots.length - 1,
    forgeries: forge(lineage, new Chance(`${seed} forgeries`)),
  }
}

function open(lineage: Lineage): void {
  lineage.point('stable', { os: lineage.release('os'), efisys: lineage.release('efisys') })
  lineage.point('beta', { os: lineage.release('os') })
  lineage.note('the repository opened')
}

function publishOrRotate(lineage: Lineage, rootDays: number): void {
  const { chance, root } = lineage
  const what = chance.of(['publish', 'publish', 'promote', 'refresh', 'rotate', 'rotate', 'rotate'] as const)
  if (what === 'rotate' && root !== undefined) setRoot(lineage, () => rotated(root, lineage, rootDays))
  else if (what === 'promote' && lineage.promote()) lineage.note('beta was promoted to stable')
  else if (what === 'refresh') {
    const channel = chance.of(channels)
    lineage.point(channel)
    lineage.note(`${channel} was signed again`)
  } else {
    const [product, channel] = [chance.of(products), chance.of(['beta', 'beta', 'stable'])]
    const pointed = lineage.release(product)
    lineage.point(channel, { [product]: pointed })
    lineage.note(`${product} ${pointed.serial} was published to ${channel}`)
  }
}

function setRoot(lineage: Lineage, make: () => ReturnType<typeof rotated>): void {
  const { root, what } = make()
  lineage.follow(root)
  lineage.note(`root ${root.version} was published: ${what}`)
  lineage.pass(hour)
  lineage.mend()
  lineage.note(`all channels were signed by root ${root.version}`)
}

/** Everything is new, and signed a moment ago. */
function close(lineage: Lineage, next: (root: NonNullable<Lineage['root']>) => ReturnType<typeof rotated>): void {
  lineage.pass(day)
  const { root } = lineage
  if (root !== undefined) setRoot(lineage, () => next(root))
  lineage.point('beta', Object.fromEntries(products.map((product) => [product, lineage.release(product)])))
  lineage.note('everything was published to beta')
  lineage.promote()
  lineage.note('everything was promoted to stable')
}
