// A forger: what he can sign with, and how long anybody may believe it.
import { documents } from '../../core/mod.ts'
import type { Chance } from './chance.ts'
import { hasEnough, type ManifestFact, type PointerFact, type RootFact, roleOf } from './documents.ts'
import type { Signed } from './ledger.ts'
import { type Files, type Lineage, repo, type Snapshot } from './lineage.ts'

export type Forgery = {
  readonly what: string
  /** The snapshot it was made of. */
  readonly at: number
  readonly files: Files
  /**
   * `no`: no node may ever take it. `for a time`: some may, and forget it when the next root takes the keys away.
   * `stolen`: some may, and what it says counts until keys are taken away that were stolen.
   */
  readonly isTaken: 'no' | 'for a time' | 'stolen'
  /** Of another repository: a node that was told none, and never met this one, may take it for its own. */
  readonly isForeign: boolean
}

/** Who a forger can be: as many of a role as it takes, or not. */
export type Hands = { readonly what: string; readonly by: readonly string[]; readonly as?: string; readonly comment?: 'foreign' }

/** Hands that reach for a role, most of which must not be enough. `former` had the role once. */
export function handsFor(
  role: { readonly threshold: number; readonly keys: readonly string[] },
  former: readonly string[],
  chance: Chance,
): Hands[] {
  const { threshold } = role
  const keys = chance.shuffled(role.keys)
  const few = keys.slice(0, threshold - 1)
  const [first = 'nobody'] = keys
  return [
    { what: 'an unknown key', by: ['eve'] },
    { what: `an unknown key under the id of ${first}`, by: ['eve'], as: first },
    { what: 'one key too few, and unknown ones', by: [...few, 'eve', 'mallory'] },
    { what: 'one key, twice and three times', by: Array(threshold).fill(few[0] ?? 'eve') },
    ...(former.length === 0 ? [] : [{ what: 'keys that were taken away', by: former.slice(0, 4) }]),
    { what: 'stolen keys with the comment of another document', by: keys.slice(0, threshold), comment: 'foreign' },
  ]
}

export const thief = (role: { readonly threshold: number; readonly keys: readonly string[] }, chance: Chance): Hands => ({
  what: 'stolen keys',
  by: chance.shuffled(role.keys).slice(0, role.threshold),
})

/** How long what these people signed for a role is taken, by the roots up to that day on which no key is taken for stolen yet. */
function holdOf(lineage: Lineage, signers: ReadonlySet<string>, fact: PointerFact | ManifestFact): Forgery['isTaken'] {
  const [kind, name] = fact.kind === 'pointer' ? (['pointer', fact.channel] as const) : (['release', fact.name] as const)
  const roles = [undefined, ...lineage.roots.slice(0, lineage.unharmed).map(({ fact: root }) => root as RootFact)].map((root) =>
    roleOf(root, kind, name),
  )
  const until = roles.findLastIndex((role) => hasEnough(role, signers))
  if (until < 0) return hasEnough(roleOf(lineage.root, kind, name), signers) ? 'stolen' : 'no'
  const [before, after] = [roles[until], roles[until + 1]]
  if (until === roles.length - 1 || before === undefined) return 'stolen'
  return before.keys.some((key) => after?.keys.includes(key) !== true) ? 'for a time' : 'stolen'
}

const worse = ['no', 'for a time', 'stolen'] as const

export class Forger {
  readonly made: Forgery[] = []
  readonly lineage: Lineage
  readonly chance: Chance
  readonly at: number
  readonly snapshot: Snapshot

  constructor(lineage: Lineage, chance: Chance, at: number) {
    this.lineage = lineage
    this.chance = chance
    this.at = at
    this.snapshot = lineage.snapshots[at] as Snapshot
  }

  sign(fact: PointerFact | ManifestFact | RootFact, { by, as, comment }: Hands): Signed {
    return this.lineage.ledger.sign(fact, by, { ...(as === undefined ? {} : { as }), ...(comment === undefined ? {} : { comment }) })
  }

  /** A pointer, and the release that it names when that is forged, too. */
  pointer(what: string, fact: PointerFact, hands: Hands, release?: Signed, place = fact.channel): void {
    const signed = this.sign(fact, hands)
    const files = new Map<string, Uint8Array>([[documents.pointer(place), this.lineage.ledger.pointerFile(signed)]])
    let isTaken = holdOf(this.lineage, this.lineage.ledger.signersOf(signed), fact)
    if (release?.fact.kind === 'manifest') {
      const { name, serial } = namedIn(fact, release)
      files.set(documents.manifest(name, serial), release.body)
      files.set(documents.manifestSignature(name, serial), release.signatures)
      const ofRelease = holdOf(this.lineage, this.lineage.ledger.signersOf(release), release.fact)
      if (isTaken !== 'no') isTaken = worse[Math.max(worse.indexOf(isTaken), worse.indexOf(ofRelease))] ?? 'stolen'
    }
    this.made.push({ what: `a pointer of ${place}, ${what}, by ${hands.what}`, at: this.at, files, isTaken, isForeign: fact.repo !== repo })
  }

  root(what: string, version: number, { fact, body, signatures }: Signed): void {
    const files = new Map<string, Uint8Array>([
      [documents.root(version), body],
      [documents.rootSignature(version), signatures],
    ])
    this.made.push({ what: `a root ${version} ${what}`, at: this.at, files, isTaken: 'no', isForeign: fact.repo !== repo })
  }
}

/** Under which product and serial a pointer names a release. */
function namedIn({ products }: PointerFact, { cid }: Signed): { readonly name: string; readonly serial: number } {
  for (const [name, { serial, manifest }] of Object.entries(products)) if (manifest === cid) return { name, serial }
  throw new RangeError('a forged release that nothing names')
}

/** Who signed for a channel or product once, and does not sign now. */
export function formerOf({ lineage, snapshot }: Forger, kind: 'release' | 'pointer', name: string): readonly string[] {
  const now = roleOf(snapshot.root, kind, name)?.keys ?? []
  const before = lineage.roots.map(({ fact }) => fact as RootFact).filter(({ version }) => version < (snapshot.root?.version ?? 0))
  const all = [undefined, ...before].flatMap((root) => roleOf(root, kind, name)?.keys ?? [])
  return [...new Set(all)].filter((key) => !now.includes(key)).reverse()
}
