// The targets of the design, beside what was measured.
import { count, mebibytes, megabytes, seconds, times } from './numbers.ts'
import {
  type Choice,
  type Growth,
  type Packing,
  type Patches,
  peersOf,
  type Results,
  rowOf,
  type Update,
  type UpdateName,
} from './results.ts'

export type Target = { readonly what: string; readonly target: string; readonly measured: string; readonly met: boolean }

// what counts as linear or flat on a machine that is never quite idle
const slack = 1.25

function atMost(what: string, limit: number, value: number, write: (value: number) => string): Target {
  return { what, target: `≤ ${write(limit)}`, measured: write(value), met: value <= limit }
}

function atLeast(what: string, limit: number, value: number): Target {
  return { what, target: `≥ ${times(limit)}`, measured: times(value), met: value >= limit }
}

export const caption = ({ packing, update }: Update): string => (packing === 'default' ? update : `${update}, no fragments`)

function bytesAndRequests(updates: readonly Update[]): Target[] {
  const limits: Readonly<Record<UpdateName, Readonly<Record<Packing, number>>>> = {
    month: { default: 59.5e6, 'no-fragments': 56.5e6 },
    small: { default: 1.8e6, 'no-fragments': 1.8e6 },
  }
  return updates.flatMap((update) => {
    const ours = rowOf(update.rows, 'psyblob')
    if (ours === undefined) return []
    const bytes = atMost(`bytes, ${caption(update)}`, limits[update.update][update.packing], ours.bytes, megabytes)
    return update.update === 'month' ? [bytes, atMost(`requests, ${caption(update)}`, 300, ours.requests, count)] : [bytes]
  })
}

function wallTime(updates: readonly Update[]): Target[] {
  return updates.flatMap((update) => {
    const ours = rowOf(update.rows, 'psyblob')
    const fastest = peersOf(update.rows).toSorted((a, b) => a.seconds - b.seconds)[0]
    if (ours === undefined || fastest === undefined) return []
    return [atMost(`sync ÷ fastest peer (${fastest.tool}), ${caption(update)}`, 0.6, ours.seconds / fastest.seconds, times)]
  })
}

/** Of a run over a link; `label` names it. */
function overLink({ link, updates }: Results, label: string): Target[] {
  if (link === undefined) return []
  return updates.flatMap((update) => {
    const ours = rowOf(update.rows, 'psyblob')
    const full = rowOf(update.rows, 'full download')
    if (ours === undefined || full === undefined) return []
    const month = update.update === 'month'
    const bound = (ours.bytes * 8) / link.rate
    return [
      ...(month && link.roundTrip === 80 ? [atMost(`requests, ${caption(update)}, ${label}`, 130, ours.requests, count)] : []),
      ...(month ? [atMost(`sync ÷ (bytes ÷ bandwidth), ${caption(update)}, ${label}`, 1.2, ours.seconds / bound, times)] : []),
      atMost(`sync ÷ full download, ${caption(update)}, ${label}`, 1, ours.seconds / full.seconds, times),
    ]
  })
}

function memory(growth: readonly Growth[], updates: readonly Update[]): Target[] {
  const most = (pick: (growth: Growth) => number) => Math.max(...growth.map(pick))
  const real = updates.map(({ rows }) => rowOf(rows, 'psyblob')?.memory ?? 0)
  const limit = 128 * 2 ** 20
  return [
    atMost(
      'memory of publish, any size',
      limit,
      most(({ publish }) => publish.memory),
      mebibytes,
    ),
    atMost(
      'memory of sync, any size',
      limit,
      Math.max(
        ...real,
        most(({ sync }) => sync.memory),
      ),
      mebibytes,
    ),
    atMost(
      'memory of verify, any size',
      limit,
      most(({ verify }) => verify.memory),
      mebibytes,
    ),
  ]
}

function growing(growth: readonly Growth[]): Target[] {
  const small = growth[0]
  const before = growth.at(-2)
  const large = growth.at(-1)
  if (small === undefined || before === undefined || large === undefined) return []
  const scale = large.size / before.size
  const label = `${before.size / 1e9} → ${large.size / 1e9} GB`
  const commands = ['publish', 'sync', 'verify'] as const
  return [
    ...commands.map((name) => atMost(`${name}: time a byte, ${label}`, slack, large[name].seconds / before[name].seconds / scale, times)),
    atMost(`sync: bytes fetched a byte, ${label}`, slack, large.sync.bytes / before.sync.bytes / scale, times),
    ...commands.map((name) =>
      atMost(`${name}: memory, ${small.size / 1e9} → ${large.size / 1e9} GB`, slack, large[name].memory / small[name].memory, times),
    ),
  ]
}

/** All targets that the results say something about. */
export function compareTargets(results: Results | undefined, links: readonly (readonly [string, Results])[]): readonly Target[] {
  const rows: Target[] = []
  if (results !== undefined) {
    rows.push(...bytesAndRequests(results.updates), atMost('requests, sync with nothing to do', 1, results.idle.requests, count))
    rows.push(...wallTime(results.updates))
    const { publish, growth, start, trust, trees } = results
    const ours = publish && rowOf(publish.rows, 'psyblob')
    const casync = publish?.rows.filter(({ tool }) => tool.startsWith('casync')).toSorted((a, b) => a.seconds - b.seconds)[0]
    if (ours !== undefined && casync !== undefined) rows.push(atLeast('publish ÷ casync make, rate', 2, casync.seconds / ours.seconds))
    const giga = growth?.find(({ size }) => size === 1e9)
    if (giga !== undefined) rows.push(atLeast('verify ÷ b3sum, one thread, 1 GB, rate', 0.8, giga.b3sum.seconds / giga.verify.seconds))
    if (start !== undefined) rows.push(atMost('start, above bare node', 0.04, start.psyblob.seconds - start.node.seconds, seconds))
    if (growth !== undefined) rows.push(...memory(growth, results.updates), ...growing(growth))
    if (trees !== undefined) {
      const { real, large } = trees
      rows.push(atMost('check of a Debian tree ÷ b3sum, files on disk', 1.3, real.coldCheck.seconds / real.coldB3sum.seconds, times))
      rows.push(atMost('check of a Debian tree ÷ b3sum, files in memory', 1.3, real.check.seconds / real.b3sum.seconds, times))
      rows.push(atMost('apply of a Debian tree, nothing to do', 1, real.idle.seconds, seconds))
      for (const name of ['publish', 'apply', 'update', 'check'] as const)
        rows.push(atMost(`memory of ${name}, 99,000 entries`, 256 * 2 ** 20, large[name].memory, mebibytes))
    }
    if (trust !== undefined) {
      rows.push(atMost(`catching up with ${trust.roots.count} roots`, 5, trust.roots.seconds, seconds))
      rows.push(atMost('all signatures of a sync, each role of two keys', 0.02, trust.signatures.seconds, seconds))
    }
  }
  for (const [label, over] of links) rows.push(...overLink(over, label))
  return rows
}

/** Those of patches, which are measured apart. */
export function comparePatches({ updates = [], deltas, release, choice = {} }: Patches): readonly Target[] {
  const rows: Target[] = []
  for (const one of updates) {
    const { update, packing, making } = one
    const patch = rowOf(one.rows, 'psyblob patch')
    if (making === undefined || patch === undefined) continue
    const delta = deltas?.[update]
    if (update === 'month') rows.push(atMost(`bytes by patch, ${caption(one)}`, 10.5e6, patch.bytes, megabytes))
    else if (delta !== undefined && packing === 'default')
      // one file beside the other: what a node asks for besides is in the transfers
      rows.push(atMost(`bytes of the patch itself, ${caption(one)}: OSTree's delta`, delta.bytes, making.bytes, count))
    rows.push(
      atMost(`making a patch, ${caption(one)}`, 120, making.seconds, seconds),
      atMost(`memory of making, ${caption(one)}`, 2 ** 30, making.memory, mebibytes),
      atMost(`applying a patch, ${caption(one)}`, 45, patch.seconds, seconds),
      atMost(`memory of applying, ${caption(one)}`, 192 * 2 ** 20, patch.memory, mebibytes),
    )
  }
  if (release !== undefined) rows.push(atMost('bytes by patch, a whole Debian release', 16e6, release.bytes, megabytes))
  for (const [label, { updates: chosen }] of byRate(choice))
    for (const one of chosen) rows.push(atMost(`chosen ÷ best way, ${one.update}, ${label}`, 1.15, one.seconds / bestSeconds(one), times))
  return rows
}

/** The slowest link first. */
export function byRate(choice: NonNullable<Patches['choice']>): readonly (readonly [string, Choice])[] {
  return Object.entries(choice).toSorted(([, one], [, other]) => one.link.rate - other.link.rate)
}

export function bestSeconds({ ways }: Choice['updates'][number]): number {
  return Math.min(...ways.map((way) => way.seconds))
}
