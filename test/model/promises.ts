// What is promised, each as one sentence about what a node had before and what it has now. No part of them follows the order of any check.
import type { CID } from '../../core/mod.ts'
import { blobOf, hasEnough, type ManifestFact, type PointerFact, type RootFact, roleOf } from './documents.ts'
import type { Knowledge } from './knowledge.ts'
import type { Ledger, Signed } from './ledger.ts'
import { compat } from './lineage.ts'
import type { Offer } from './offers.ts'

export type Run = {
  readonly ledger: Ledger
  /** What honest keepers signed, from the first on. */
  readonly roots: readonly string[]
  readonly before: Knowledge
  readonly after: Knowledge
  readonly product: string
  readonly channel: string
  readonly clock: number
  readonly offers: readonly Offer[]
}
export type Taken = {
  readonly file: Uint8Array
  readonly pointer: PointerFact
  readonly pointerCid: CID
  readonly pointerSigned: Pick<Signed, 'body' | 'signatures'>
  readonly release: ManifestFact
  readonly releaseCid: CID
  readonly releaseSigned: Pick<Signed, 'body' | 'signatures'>
}

const versionOf = ({ root }: Knowledge) => root?.fact.version ?? 0

/** Of every run. */
const always: Readonly<Record<string, (run: Run) => boolean>> = {
  'the root never goes back': ({ before, after }) => versionOf(after) >= versionOf(before),
  'a root is one that its keepers signed': ({ after, roots }) =>
    after.root === undefined || roots[versionOf(after) - 1] === after.root.line,
}

/** Of a run that was refused. */
const refused: Readonly<Record<string, (run: Run) => boolean>> = {
  'what is refused teaches nothing but roots': ({ before, after }) =>
    versionOf(after) !== versionOf(before) || JSON.stringify(before.products) === JSON.stringify(after.products),
  'what is refused raises nothing': ({ before, after }) =>
    Object.entries(after.products).every(([product, { seen, floor }]) => {
      const was = before.products[product]
      return (seen === undefined || seen.serial === was?.seen?.serial) && (floor === undefined || floor === was?.floor)
    }),
}

const inForce = ({ after }: Run): RootFact | undefined => after.root?.fact
/** False when some key that signed for it before does not sign any more: then nothing that was seen counts. */
const isKept = ({ before, after }: Run, kind: 'release' | 'pointer', name: string) => {
  const left = roleOf(after.root?.fact, kind, name)?.keys ?? []
  return roleOf(before.root?.fact, kind, name)?.keys.every((key) => left.includes(key)) ?? true
}
const seenPointer = (run: Run) =>
  isKept(run, 'pointer', run.channel) && !wasTurned(run, 'pointer', run.channel)
    ? run.before.products[run.product]?.channels[run.channel]
    : undefined
const seenFacts = (run: Run) =>
  isKept(run, 'release', run.product) && !wasTurned(run, 'release', run.product) ? run.before.products[run.product] : undefined
/** True when a key came and went in roots that were followed in one run. */
const wasTurned = ({ before, after, ledger, roots }: Run, kind: 'release' | 'pointer', name: string) => {
  const now = roleOf(after.root?.fact, kind, name)?.keys ?? []
  return roots.slice(versionOf(before), versionOf(after)).some((line) => {
    const fact = ledger.factOf(Buffer.from(line))?.fact
    return fact?.kind === 'root' && (roleOf(fact, kind, name)?.keys.some((key) => !now.includes(key)) ?? false)
  })
}

/** Of a run in which a release was accepted. */
const accepted: Readonly<Record<string, (run: Run, taken: Taken) => boolean>> = {
  'a pointer is signed by enough keys of its role, by the root in force': (run, { pointerSigned }) =>
    hasEnough(roleOf(inForce(run), 'pointer', run.channel), run.ledger.signersOf(pointerSigned)),
  'a release is signed by enough keys of its role, by the root in force': (run, { releaseSigned }) =>
    hasEnough(roleOf(inForce(run), 'release', run.product), run.ledger.signersOf(releaseSigned)),
  'a pointer is of the channel and the repository that were asked for': ({ channel, before, product }, { pointer }) =>
    pointer.channel === channel && pointer.repo === (before.products[product]?.repo ?? pointer.repo),
  'a release is the one that the pointer names': ({ product }, { pointer, release, releaseCid, releaseSigned: { body } }) => {
    const named = pointer.products[product]
    return named?.manifest === releaseCid && named.serial === release.serial && named.size === body.length
  },
  'a release is of the product, the repository and the kind of machine that were asked for': ({ product }, { pointer, release }) =>
    release.name === product && release.repo === pointer.repo && release.compat === compat,
  'no pointer goes back, nor far ahead': (run, { pointer }) => {
    const { version } = seenPointer(run) ?? pointer
    return pointer.version >= version && pointer.version <= version + 1_000_000
  },
  'one version is one pointer': (run, { pointer, pointerCid }) => {
    const seen = seenPointer(run)
    return seen?.version !== pointer.version || seen.pointer === pointerCid
  },
  'no serial goes back': (run, { release }) => {
    const { seen, floor } = seenFacts(run) ?? {}
    return release.serial >= Math.max(seen?.serial ?? 0, floor ?? 0)
  },
  'one serial is one release': (run, { release, releaseCid }) => {
    const seen = seenFacts(run)?.seen
    return seen?.serial !== release.serial || seen.manifest === releaseCid
  },
  'nothing is below the floor of the root': (run, { release }) => release.serial >= (inForce(run)?.floors[run.product] ?? 0),
  'nothing is taken that was taken back': (run, { release, releaseCid }) =>
    ![releaseCid, ...release.contents.map(blobOf)].some((one) => inForce(run)?.revoked.includes(one)),
  'nothing has expired, and nothing is of the day after tomorrow': (run, { pointer }) => {
    const now = Math.max(run.clock, Date.parse(seenPointer(run)?.issued ?? '1970-01-01T00:00:00Z'))
    const root = inForce(run)
    return (
      Date.parse(pointer.expires) > run.clock &&
      Date.parse(pointer.issued) <= now + 86_400_000 &&
      (root === undefined || Date.parse(root.expires) > run.clock)
    )
  },
  'a pointer is under no root that is not there': (run, { pointer }) => pointer.root <= versionOf(run.after),
  'every document was given by somebody': ({ offers, before, product }, { file, release, releaseSigned: { body, signatures } }) => {
    const kept = before.kept.get(`${product}/${release.serial}`)
    const isThere = (bytes: Uint8Array) =>
      offers.some(({ files }) => [...(files?.values() ?? [])].some((one) => Buffer.compare(one, bytes) === 0)) ||
      [kept?.body, kept?.signatures].some((one) => one !== undefined && Buffer.compare(one, bytes) === 0)
    return [file, body, signatures].every(isThere)
  },
}

/** The sentences that are not true. */
export function brokenPromises(run: Run, taken: Taken | undefined): readonly string[] {
  const broken = Object.entries(always).filter(([, holds]) => !holds(run))
  const others =
    taken === undefined
      ? Object.entries(refused).filter(([, holds]) => !holds(run))
      : Object.entries(accepted).filter(([, holds]) => !holds(run, taken))
  return [...broken, ...others].map(([sentence]) => sentence)
}
