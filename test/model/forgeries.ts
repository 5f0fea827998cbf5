// What is made in the model by those who should not: with keys of their own, with too few keys of others, with old ones, and with stolen ones.
import type { Chance } from './chance.ts'
import { forgedPointers } from './forged-pointers.ts'
import { forgedReleases } from './forged-releases.ts'
import { forgedRoots } from './forged-roots.ts'
import { Forger, type Forgery } from './forger.ts'
import type { Lineage } from './lineage.ts'

/** A little around each of many snapshots: what is forged of old ones is refused for being old. */
export function forge(lineage: Lineage, chance: Chance): readonly Forgery[] {
  const made: Forgery[] = []
  // the keys of the rescue are stolen by nobody
  const before = lineage.snapshots.flatMap(({ root }, at) => ((root?.version ?? 0) <= lineage.unharmed ? [at] : []))
  const all = chance.shuffled(before).slice(0, 14)
  for (const at of all) {
    const forger = new Forger(lineage, chance, at)
    forgedRoots(forger)
    forgedPointers(forger)
    forgedReleases(forger)
    made.push(...forger.made)
  }
  return made
}
