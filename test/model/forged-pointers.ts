// Pointers that honest people did not sign: by all kinds of hands, and by a thief what only he would say.
import { formatTime } from '../../core/mod.ts'
import { type PointerFact, roleOf } from './documents.ts'
import { type Forger, formerOf, handsFor, thief } from './forger.ts'
import { channels, day } from './lineage.ts'

export function forgedPointers(forger: Forger): void {
  const { snapshot, chance, lineage } = forger
  for (const channel of channels) {
    const current = snapshot.pointers[channel]
    const role = roleOf(snapshot.root, 'pointer', channel)
    if (current === undefined || role === undefined) continue
    const next: PointerFact = { ...current, version: current.version + 1 }
    for (const hands of chance.shuffled(handsFor(role, formerOf(forger, 'pointer', channel), chance)).slice(0, 2))
      forger.pointer('the next version', next, hands)
    const later = (issued: number, expires: number) => ({
      issued: formatTime(snapshot.at + issued * day),
      expires: formatTime(snapshot.at + expires * day),
    })
    const old = lineage.snapshots[chance.below(forger.at + 1)]?.pointers[channel]
    const [stranger] = Object.entries(current.products)
    const sayings: readonly (readonly [string, Partial<PointerFact>])[] = [
      ['the next version', {}],
      ['a million versions on', { version: current.version + 1_000_000 }],
      ['more than a million versions on', { version: current.version + chance.of([1_000_001, 3_000_000]) }],
      ['the same version and another time', { version: current.version, ...later(0.1, 6) }],
      ['a version less', { version: Math.max(1, current.version - 1), ...later(0.1, 6) }],
      ['for ten years', later(0, 3650)],
      ['issued in three days', later(3, 9)],
      ['issued in twenty hours', later(0.8, 9)],
      ['that expired an hour ago', later(-3, -0.04)],
      ['under a root that is not there', { root: (snapshot.root?.version ?? 0) + 3 }],
      ['without products', { products: {} }],
      ['of another repository', { repo: 'org.example.other' }],
      ...(old === undefined ? [] : [['what channels had before', { products: old.products }] as const]),
      ...(stranger === undefined ? [] : [['one product as another', { products: { os: stranger[1], efisys: stranger[1] } }] as const]),
    ]
    const some = chance.shuffled(sayings).slice(0, 3)
    for (const [what, change] of some) forger.pointer(what, { ...next, ...change }, thief(role, chance))
    const other = channels.find((one) => one !== channel)
    if (other !== undefined && chance.is(0.3)) forger.pointer(`which is of ${channel}`, next, thief(role, chance), undefined, other)
  }
}
