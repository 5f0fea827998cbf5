// Releases that honest people did not sign, named by a thief who has the keys of the pointer: without them nobody would ask for such a release.
import { blobOf, type ManifestFact, type PointerFact, roleOf } from './documents.ts'
import { type Forger, formerOf, handsFor, thief } from './forger.ts'
import type { Signed } from './ledger.ts'
import { channels, products, type Release } from './lineage.ts'

export function forgedReleases(forger: Forger): void {
  const { snapshot, chance } = forger
  const [product, channel] = [chance.of(products), chance.of(channels)]
  const current = snapshot.pointers[channel]
  const pointers = roleOf(snapshot.root, 'pointer', channel)
  const role = roleOf(snapshot.root, 'release', product)
  const releases = snapshot.releases[product] ?? []
  const newest = releases.at(-1)
  if (current === undefined || pointers === undefined || role === undefined || newest === undefined) return

  /** The release as `name` with `serial`, whatever it says itself. */
  const name = (what: string, release: Signed, serial: number, as: string = product) => {
    const fact: PointerFact = {
      ...current,
      version: current.version + 1,
      products: { ...current.products, [as]: { serial, manifest: release.cid, size: release.body.length } },
    }
    forger.pointer(`naming ${as} ${serial}, ${what}`, fact, thief(pointers, chance), release)
  }
  const { fact } = newest
  const evil: ManifestFact = { ...fact, serial: fact.serial + 1, previous: newest.cid, contents: ['evil', ...fact.contents] }
  for (const hands of chance.shuffled(handsFor(role, formerOf(forger, 'release', product), chance)).slice(0, 3))
    name(`signed by ${hands.what}`, forger.sign(evil, hands), evil.serial)
  if (chance.is(0.3)) name('signed by the keys of the pointer', forger.sign(evil, { what: '', by: pointers.keys }), evil.serial)

  const stolen = thief(role, chance)
  const say = (what: string, change: Partial<ManifestFact>, serial = change.serial ?? evil.serial, as?: string) =>
    name(`${what}, signed by stolen keys`, forger.sign({ ...evil, ...change }, stolen), serial, as)
  const other = products.find((one) => one !== product) ?? 'os'
  const sayings: readonly (() => void)[] = [
    () => say('evil', {}),
    () => say('evil and far ahead', { serial: fact.serial + 1000 }),
    () => say('evil beside the true one', { serial: fact.serial, previous: fact.previous }),
    () => say('behind a fork', { previous: evilCid(newest) }),
    () => say('for other machines', { compat: 'riscv64-uefi' }),
    () => say('of another repository', { repo: 'org.example.other' }),
    () => say('with another serial in it', { serial: fact.serial + 2 }, evil.serial),
    () => say('in the place of another product', {}, evil.serial, other),
  ]
  for (const saying of chance.shuffled(sayings).slice(0, 3)) saying()
  // rightly signed once, and old, or taken back
  const old = chance.of(releases.slice(-4))
  name('which is old', old, old.fact.serial)
  const revoked = snapshot.root?.revoked ?? []
  const back = releases.filter(({ cid, fact: { contents } }) => [cid, ...contents.map(blobOf)].some((one) => revoked.includes(one))).at(-1)
  if (back !== undefined) name('which was taken back', back, back.fact.serial)
  const unsigned = forger.sign({ ...evil, version: 'unsigned' }, { what: '', by: [] })
  name('not signed at all', { ...unsigned, signatures: newest.signatures }, evil.serial)
}

/** Anything that is not the release. */
const evilCid = ({ fact }: Release) => fact.previous
