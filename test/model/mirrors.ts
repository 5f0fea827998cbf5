// From the plan of a mirror to what it offers at a certain moment of a world.
import { documents } from '../../core/mod.ts'
import type { Forgery } from './forger.ts'
import type { History, MirrorPlan } from './history.ts'
import type { Files, Snapshot } from './lineage.ts'
import type { Offer } from './offers.ts'
import type { World } from './world.ts'

export type Moment = {
  readonly world: World /** The last snapshot there is. */
  readonly at: number
  readonly history: Pick<History, 'hasThief' | 'isStated'>
}

const garbage: readonly Uint8Array[] = ['', '\n', '<html>\u001b[2J</html>\n', '{}\n\n', '[]', `${'x'.repeat(70_000)}\n`].map((text) =>
  Buffer.from(text),
)

const at = <Value>(all: readonly Value[], pick: number): Value | undefined => all[Math.floor(pick * all.length)]

/** Of what was forged so far, rather what is fresh. */
function forgeriesOf({ world, at: now, history }: Moment, isHarmless: boolean): readonly Forgery[] {
  const { hasThief, isStated } = history
  const may = ({ isTaken, isForeign, at: made }: Forgery) =>
    made <= now && (isStated || !isForeign) && (isTaken === 'no' || (!isHarmless && (isTaken === 'for a time' || hasThief)))
  const all = world.forgeries.filter(may)
  const newest = Math.max(...all.map(({ at: made }) => made))
  const fresh = all.filter(({ at: made }) => made === newest)
  return [...all, ...fresh, ...fresh]
}

/** With `isHarmless` it offers nothing that any node could take. */
export function offerOf(plan: MirrorPlan, moment: Moment, { isHarmless = false } = {}): Offer {
  const { base, bends } = plan
  if (base === 'silence') return { what: 'one that is silent', files: undefined }
  const { snapshots } = moment.world
  const snapshot = base === 'nothing' ? undefined : snapshots[Math.max(0, moment.at - base)]
  if (snapshot !== undefined && bends.length === 0)
    return { what: base === 0 ? 'a good one' : `one as it was when ${snapshot.what}`, files: snapshot.files }
  const files = new Map<string, Uint8Array>(snapshot?.files)
  const said = [snapshot === undefined ? 'one with nothing' : base === 0 ? 'a bent one' : `a bent one as it was when ${snapshot.what}`]
  for (const bend of bends) {
    if (bend.kind === 'forgery') {
      const forgery = at(forgeriesOf(moment, isHarmless), bend.pick)
      if (forgery === undefined) continue
      for (const [name, bytes] of forgery.files) files.set(name, bytes)
      said.push(forgery.what)
    } else
      said.push(
        misuse(bend, {
          files,
          others: isHarmless ? undefined : snapshots[Math.floor(bend.pick * (moment.at + 1))]?.files,
          asked: askedFor(snapshots[moment.at]),
        }),
      )
  }
  return { what: said.filter((one) => one !== '').join(' with '), files }
}

/** The names that a node asks for now, and some of roots. */
function askedFor(snapshot: Snapshot | undefined): readonly string[] {
  const pointers = Object.values(snapshot?.pointers ?? {})
  const named = pointers.flatMap(({ channel, products }) => [
    documents.pointer(channel),
    ...Object.entries(products).flatMap(([product, { serial }]) => [
      documents.manifest(product, serial),
      documents.manifestSignature(product, serial),
    ]),
  ])
  const version = snapshot?.root?.version ?? 0
  const roots = [version, version + 1].filter((one) => one > 0)
  return [...named, ...roots.flatMap((one) => [documents.root(one), documents.rootSignature(one)])]
}

type Misused = { readonly files: Map<string, Uint8Array>; readonly others: Files | undefined; readonly asked: readonly string[] }

/** Something at a name where it does not belong, nothing, or garbage. */
function misuse(
  { kind, pick, place }: { readonly kind: 'misplace' | 'drop' | 'garbage'; readonly pick: number; readonly place: number },
  { files, others, asked }: Misused,
): string {
  // most of the others nobody asks for
  const names = [...asked, ...asked, ...asked, ...files.keys()]
  const name = at(names, place) ?? 'channels/stable'
  if (kind === 'drop') {
    files.delete(name)
    return `no ${name}`
  }
  if (kind === 'garbage' || others === undefined) {
    files.set(name, at(garbage, pick) ?? new Uint8Array())
    return `garbage as ${name}`
  }
  const folder = name.split('/')[0] ?? ''
  const alike = [...others].filter(([other]) => other.startsWith(folder) && other.endsWith('.minisig') === name.endsWith('.minisig'))
  const [source, bytes] = at(alike, (pick * 7919) % 1) ?? ['garbage', garbage[0] as Uint8Array]
  files.set(name, bytes)
  return `an old ${source} as ${name}`
}
