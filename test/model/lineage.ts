// What honest people publish, one event after the other: releases, pointers, roots. Each event leaves a snapshot that a good mirror has.
import { type CID, documents, formatTime } from '../../core/mod.ts'
import type { Chance } from './chance.ts'
import {
  anchor,
  blobOf,
  hasEnough,
  type ManifestFact,
  type Pointed,
  type PointerFact,
  type Role,
  type RootFact,
  roleOf,
  rootRole,
} from './documents.ts'
import type { Ledger, Signed } from './ledger.ts'

export const repo = 'org.example.model'
export const products = ['os', 'efisys'] as const
export const channels = ['stable', 'beta'] as const
export const compat = 'any'

export const hour = 3_600_000
export const day = 24 * hour
const pointerDays = 7
const begin = Date.parse('2026-01-01T00:00:00Z')

export type Files = ReadonlyMap<string, Uint8Array>
export type Snapshot = {
  /** Milliseconds since 1970. */
  readonly at: number
  /** What had just happened. */
  readonly what: string
  readonly files: Files
  readonly root: RootFact | undefined
  readonly pointers: Readonly<Record<string, PointerFact>>
  /** Ascending serials. */
  readonly releases: Readonly<Record<string, readonly Release[]>>
}
export type Release = Signed & { readonly fact: ManifestFact }

export class Lineage {
  readonly snapshots: Snapshot[] = []
  readonly roots: Signed[] = []
  /** So many of the roots are from before all keys were taken away. */
  unharmed = 0
  readonly ledger: Ledger
  readonly chance: Chance
  #now = begin
  #root: RootFact | undefined
  #files = new Map<string, Uint8Array>()
  #pointers: Record<string, PointerFact> = {}
  #releases: Record<string, readonly Release[]> = { os: [], efisys: [] }

  constructor(ledger: Ledger, chance: Chance) {
    this.ledger = ledger
    this.chance = chance
  }

  get root(): RootFact | undefined {
    return this.#root
  }

  releasesOf(product: string): readonly Release[] {
    return this.#releases[product] ?? []
  }

  pass(milliseconds: number): void {
    this.#now += milliseconds
  }

  times(days: number): { readonly issued: string; readonly expires: string } {
    return { issued: formatTime(this.#now), expires: formatTime(this.#now + days * day) }
  }

  /** As many of a role as it takes, sometimes more. */
  #signers({ threshold, keys }: Role): readonly string[] {
    return this.chance.shuffled(keys).slice(0, this.chance.is(0.8) ? threshold : keys.length)
  }

  note(what: string): void {
    const files = new Map(this.#files)
    this.snapshots.push({ at: this.#now, what, files, root: this.#root, pointers: { ...this.#pointers }, releases: { ...this.#releases } })
  }

  /** A new release, which no pointer names yet. */
  release(product: (typeof products)[number]): Pointed {
    const before = this.releasesOf(product).at(-1)
    // serials have gaps where a publish was cut short, and begin where the floor is
    const serial = Math.max((before?.fact.serial ?? 0) + (this.chance.is(0.2) ? 2 : 1), this.#root?.floors[product] ?? 0)
    const contents = [`${product} of ${serial}`, `what all ${product} have`]
    const fact: ManifestFact = {
      kind: 'manifest',
      repo,
      name: product,
      serial,
      version: `v${serial}`,
      previous: before?.cid ?? null,
      compat,
      contents,
    }
    const signed = this.#signRelease(fact)
    this.#releases = { ...this.#releases, [product]: [...this.releasesOf(product), signed] }
    return { serial, manifest: signed.cid, size: signed.body.length }
  }

  #signRelease(fact: ManifestFact): Release {
    const role = roleOf(this.#root, 'release', fact.name)
    if (role === undefined) throw new RangeError(`nobody may sign ${fact.name}`)
    const signed = { ...this.ledger.sign(fact, this.#signers(role), this.chance.is(0.3) ? { comment: 'none' } : {}), fact }
    this.#files.set(documents.manifest(fact.name, fact.serial), signed.body)
    this.#files.set(documents.manifestSignature(fact.name, fact.serial), signed.signatures)
    return signed
  }

  /** The pointer of a channel, one version higher. */
  point(channel: string, changed: Readonly<Record<string, Pointed>> = {}): void {
    const before = this.#pointers[channel]
    const fact: PointerFact = {
      kind: 'pointer',
      repo,
      channel,
      version: (before?.version ?? 0) + 1,
      ...this.times(pointerDays),
      root: this.#root?.version ?? 0,
      products: { ...before?.products, ...changed },
    }
    const role = roleOf(this.#root, 'pointer', channel)
    if (role === undefined) throw new RangeError(`nobody may sign ${channel}`)
    this.#files.set(documents.pointer(channel), this.ledger.pointerFile(this.ledger.sign(fact, this.#signers(role))))
    this.#pointers[channel] = fact
  }

  /** What stable lacks of beta. */
  promote(): boolean {
    const [stable, beta] = [this.#pointers['stable']?.products ?? {}, this.#pointers['beta']?.products ?? {}]
    const newer = Object.entries(beta).filter(([product, { serial }]) => serial > (stable[product]?.serial ?? 0))
    if (newer.length === 0) return false
    this.point('stable', Object.fromEntries(newer))
    return true
  }

  /** The next root, signed by those before and by its own. */
  follow(fact: RootFact): void {
    const by = new Set([...this.#signers(rootRole(this.#root)), ...this.#signers(fact.root)])
    const signed = this.ledger.sign(fact, this.chance.shuffled([...by]))
    this.#files.set(documents.root(fact.version), signed.body)
    this.#files.set(documents.rootSignature(fact.version), signed.signatures)
    this.roots.push(signed)
    this.#root = fact
  }

  /** Puts right what a root has made of releases that channels name, and signs all channels again. */
  mend(): void {
    const renewed = new Map<CID, Pointed>()
    for (const channel of channels) {
      const before = this.#pointers[channel]
      if (before === undefined) continue
      const changed: Record<string, Pointed> = {}
      for (const product of products) {
        const pointed = before.products[product]
        if (pointed === undefined || this.#isInForce(product, pointed)) continue
        const next = renewed.get(pointed.manifest) ?? this.#again(product, pointed)
        renewed.set(pointed.manifest, next)
        if (next.manifest !== pointed.manifest) changed[product] = next
      }
      this.point(channel, changed)
    }
  }

  #isInForce(product: string, pointed: Pointed): boolean {
    const release = this.releasesOf(product).find(({ cid }) => cid === pointed.manifest)
    return (
      release !== undefined && this.#isAllowed(release) && hasEnough(roleOf(this.#root, 'release', product), this.ledger.signersOf(release))
    )
  }

  #isAllowed({ fact, cid }: Release): boolean {
    const revoked = this.#root?.revoked ?? []
    if (fact.serial < (this.#root?.floors[fact.name] ?? 0)) return false
    return ![cid, ...fact.contents.map(blobOf)].some((one) => revoked.includes(one))
  }

  /** The same release signed by those who must sign now, or a new one. */
  #again(product: (typeof products)[number], pointed: Pointed): Pointed {
    const old = this.releasesOf(product).find(({ cid }) => cid === pointed.manifest)
    if (old === undefined || !this.#isAllowed(old) || this.chance.is(0.5)) return this.release(product)
    const signed = this.#signRelease(old.fact)
    this.#releases = { ...this.#releases, [product]: this.releasesOf(product).map((one) => (one === old ? signed : one)) }
    return pointed
  }
}

/** The first root of a repository. Sometimes the anchor keeps a part. */
export function firstRoot(lineage: Lineage, chance: Chance, days: number): RootFact {
  const keepers = ['anna', 'ben', 'cleo'].slice(0, chance.between(1, 3))
  const release = ['olga', 'otto', ...(chance.is(0.4) ? [anchor] : [])].slice(chance.below(2))
  const pointer = ['pia', 'paul', ...(chance.is(0.3) ? [anchor] : [])].slice(chance.below(2))
  const role = (keys: readonly string[]) => ({ threshold: chance.between(1, Math.min(2, keys.length)), keys })
  return {
    kind: 'root',
    repo,
    version: 1,
    ...lineage.times(days),
    root: role(keepers),
    release: { '*': role(release) },
    pointer: { '*': role(pointer) },
    floors: {},
    revoked: [],
  }
}
