// What the keepers of the model change in the next root: keys, thresholds, floors, what is taken back.
import type { Chance } from './chance.ts'
import { blobOf, type Role, type RootFact } from './documents.ts'
import { channels, type Lineage, products } from './lineage.ts'

type Change = (root: RootFact, chance: Chance, lineage: Lineage) => { readonly root: RootFact; readonly what: string } | undefined

const fresh = (kind: string, root: RootFact, chance: Chance) => `${kind} ${root.version + 1}.${chance.below(1000)}`

/** A role with a key more, a key less, another one in its place, or another threshold. */
function turned(role: Role, name: string, chance: Chance): { readonly role: Role; readonly what: string } {
  const { threshold, keys } = role
  const how = chance.of(['add', 'remove', 'replace', 'threshold'] as const)
  const leaving = chance.of(keys)
  const left = keys.filter((key) => key !== leaving)
  if (how === 'remove' && left.length >= threshold && left.length > 0) return { role: { threshold, keys: left }, what: `loses ${leaving}` }
  if (how === 'replace') return { role: { threshold, keys: [...left, name] }, what: `has ${name} instead of ${leaving}` }
  if (how === 'threshold') {
    const next = chance.between(1, Math.min(3, keys.length))
    return { role: { threshold: next, keys }, what: `asks for ${next} of ${keys.length}` }
  }
  return { role: { threshold, keys: [...keys, name] }, what: `gets ${name}` }
}

const changes: readonly Change[] = [
  (root, chance) => {
    const { role, what } = turned(root.root, fresh('keeper', root, chance), chance)
    return { root: { ...root, root: role }, what: `the root ${what}` }
  },
  ...(['release', 'pointer', 'release', 'pointer'] as const).map(
    (kind): Change =>
      (root, chance) => {
        const name = chance.of(Object.keys(root[kind]))
        const { role, what } = turned(root[kind][name] as Role, fresh(kind, root, chance), chance)
        return { root: { ...root, [kind]: { ...root[kind], [name]: role } }, what: `${kind}/${name} ${what}` }
      },
  ),
  (root, chance) => {
    const kind = chance.of(['release', 'pointer'] as const)
    const name = chance.of<string>(kind === 'release' ? products : channels)
    if (Object.hasOwn(root[kind], name)) return undefined
    const keys = [
      fresh(kind, root, chance),
      fresh(kind, root, chance),
      ...(chance.is(0.5) ? (root[kind]['*']?.keys.slice(0, 1) ?? []) : []),
    ]
    const role = { threshold: chance.between(1, 2), keys: [...new Set(keys)] }
    if (role.keys.length < role.threshold) return undefined
    return { root: { ...root, [kind]: { ...root[kind], [name]: role } }, what: `${kind}/${name} gets keys of its own` }
  },
  (root, chance, lineage) => {
    const product = chance.of(products)
    const serial = (lineage.releasesOf(product).at(-1)?.fact.serial ?? 1) + chance.below(3) - 1
    if (serial <= (root.floors[product] ?? 0)) return undefined
    return { root: { ...root, floors: { ...root.floors, [product]: serial } }, what: `nothing of ${product} below ${serial}` }
  },
  (root, chance, lineage) => {
    const product = chance.of(products)
    const release = chance.of(lineage.releasesOf(product).slice(-2))
    const cid = chance.is(0.5) ? release.cid : blobOf(release.fact.contents[0] as string)
    if (root.revoked.includes(cid)) return undefined
    return { root: { ...root, revoked: [...root.revoked, cid] }, what: `${product} ${release.fact.serial} is taken back` }
  },
]

export type Rotation = { readonly root: RootFact; readonly what: string }

/** The root after `root`, with one to three changes. */
export function rotated(root: RootFact, lineage: Lineage, days: number): Rotation {
  const { chance } = lineage
  let next = root
  const said: string[] = []
  for (let left = chance.between(1, 3); left > 0; left--) {
    const change = chance.of(changes)(next, chance, lineage)
    if (change === undefined) continue
    next = change.root
    said.push(change.what)
  }
  return { root: { ...next, version: root.version + 1, ...lineage.times(days) }, what: said.join(', ') || 'nothing changes' }
}

/** The root that takes every key away that may have been stolen. */
export function recovered(root: RootFact, lineage: Lineage, days: number): Rotation {
  const anew = (kind: 'release' | 'pointer') =>
    Object.fromEntries(
      Object.entries(root[kind]).map(([name, { threshold }]) => [
        name,
        { threshold, keys: Array.from({ length: threshold }, (_, at) => `rescuer of ${kind}/${name} ${at}`) },
      ]),
    )
  const next = { ...root, version: root.version + 1, ...lineage.times(days), release: anew('release'), pointer: anew('pointer') }
  return { root: next, what: 'all keys of releases and pointers are new' }
}
