// Makes a tree a release: fetch, keep, stage, journal, commit, settle. Whenever it is cut short, the old files are all there, or the next run finishes (spec/tree.md 4).
import { type CID, type Component, isPsyblobError, type Manifest, PsyblobError, parseTime, visible } from '../../core/mod.ts'
import { fetchBlobs, type Release } from '../../store/mod.ts'
import type { Node, Source } from '../node.ts'
import { freeBytes } from '../space.ts'
import { commit } from './commit.ts'
import { type JournalHeader, readJournal, writeJournal } from './journal.ts'
import { settle } from './settle.ts'
import { dropStage, keepBytes, keepFormer, stage } from './staging.ts'
import { checkAdmissible, installedTree, treeTarget } from './tree.ts'
import { planTree, type TreePlan } from './tree-plan.ts'
import type { TreeRoot } from './tree-root.ts'

export type ChangeOptions = {
  readonly release: Release
  readonly source: Source
  /** What is installed, when it is known already. */
  readonly installed?: Release | undefined
  /** As in the plan. */
  readonly mends: boolean
  readonly only?: readonly string[] | undefined
  readonly dryRun: boolean
}

export type TreeChange = {
  readonly changed: boolean
  /** What was installed before; null when that is not known. */
  readonly previousSerial: number | null
  readonly bytes: { readonly total: number; readonly fetched: number; readonly reused: number; readonly written: number }
  readonly requests: number
  readonly entries: { readonly written: number; readonly changed: number; readonly removed: number }
  readonly saved: TreePlan['saved']
  readonly kept: readonly string[]
  readonly local: readonly string[]
}

/** The root is held. Throws `command-failed` when all is in place and the release's own program failed. */
export async function changeTree(node: Node, component: Component, root: TreeRoot, options: ChangeOptions): Promise<TreeChange> {
  const { release, source, mends, only, dryRun } = options
  const { manifest } = release
  const { mounts: named = [] } = treeTarget(component)
  // what is not mounted now is a folder like any other
  const mounts = named.filter((mount) => root.isMount(mount))
  const { store, report, signal, run } = node
  if ((await readJournal(root.dir, component.name)) !== undefined) {
    if (!dryRun)
      throw new PsyblobError(
        'conflict',
        `another psyblob has begun to change ${component.name} in ${visible(root.dir)} and was cut short`,
        {
          hint: 'run the same command again: it finishes that first',
        },
      )
    report({
      type: 'warning',
      text: 'an apply was cut short and would be finished first: this is what would be done if nothing came of that',
    })
  }
  // a release that is repaired is the one that is installed
  const before = only === undefined ? await beforeOf(node, component, options) : undefined
  const { isClaimed } = await checkAdmissible(node, component, { root, manifest })
  report({ type: 'step', step: 'plan' })
  let looked = 0
  const onBytes = (bytes: number) => {
    looked += bytes
    report({ type: 'bytes', done: looked, total: Math.max(looked, manifest.size) })
  }
  const plan = await planTree({ root, mounts, before: before?.manifest, after: manifest, mends, only, isClaimed, onBytes, signal })
  const wanted = new Map(plan.staged.flatMap(({ bin }) => (bin === null ? [] : [[bin.cid, bin.size] as const])))
  const isNews = only === undefined && before?.cid !== release.cid
  const isNothing = plan.steps.length === 0 && !isNews
  // a run that was killed when all was done may have left its folder
  if (isNothing && !dryRun) dropStage({ root, product: component.name, mounts: named })
  if (dryRun || isNothing) return outcome(plan, { before, options, fetched: dryRun ? await missingBytes(node, wanted) : 0 })
  try {
    dropStage({ root, product: component.name, mounts: named })
    await keepFormer(plan, { root, store, signal })
    await takeMoved(node, root, wanted, before?.manifest)
    await requireRoom(node, wanted)
    report({ type: 'step', step: 'fetch', about: `${component.name} ${manifest.serial}` })
    const fetched = await fetchBlobs(wanted, { store, mirrors: source.mirrors, report, signal })
    report({ type: 'step', step: 'write' })
    const time = parseTime(manifest.created) / 1000
    await stage(plan, { root, product: component.name, mounts, run, store, time, signal })
    signal?.throwIfAborted()
    const previous = isNews ? (before?.manifest.serial ?? null) : ((await store.link(component.name, 'previous')) ?? null)
    const header: JournalHeader = {
      product: component.name,
      serial: manifest.serial,
      manifest: release.cid,
      previous,
      postExec: isNews ? manifest['post-exec'] : null,
      mounts: mounts.filter((mount) => plan.steps.some(({ path }) => path.startsWith(`${mount}/`))),
    }
    refuseChanged(plan, root)
    await writeJournal(root.dir, { header, steps: plan.steps })
    report({ type: 'step', step: 'put in place' })
    await commit({ header, steps: plan.steps }, { root, mounts: named, run })
    await settle(node, component, { root, header })
    return outcome(plan, { before, options, fetched })
  } catch (error) {
    if ((await readJournal(root.dir, component.name).catch(() => 'damaged')) === undefined)
      dropStage({ root, product: component.name, mounts: named })
    throw error
  }
}

/** Finishes what a run that was cut short began; true when there was something. */
export async function finish(node: Node, component: Component, root: TreeRoot): Promise<boolean> {
  const journal = await readJournal(root.dir, component.name)
  if (journal === undefined) return false
  const { mounts = [] } = treeTarget(component)
  node.report({ type: 'warning', text: `${component.name} ${journal.header.serial}: an apply was cut short, and is finished first` })
  await commit(journal, { root, mounts, run: node.run })
  await settle(node, component, { root, header: journal.header })
  return true
}

/** What was installed. With `mends` every byte is looked at anyway, so that it may be unknown. */
async function beforeOf(node: Node, component: Component, { release, installed, mends }: ChangeOptions): Promise<Release | undefined> {
  return installedTree(node, component, release, installed).catch((error: unknown) => {
    if (!mends || !isPsyblobError(error, 'corrupt')) throw error
    node.report({ type: 'warning', text: `${error.message}; what it had and the new release has not is left where it is` })
    return undefined
  })
}

/** Blobs that lie in the root under another name, as files that were moved do, are taken from there. */
async function takeMoved({ store }: Node, root: TreeRoot, wanted: ReadonlyMap<CID, number>, before: Manifest | undefined): Promise<void> {
  for (const { path, bin } of before?.records ?? []) {
    if (bin === null || !wanted.has(bin.cid) || (await store.hasBlob(bin.cid, bin.size))) continue
    const way = root.way(path)
    if (typeof way === 'string') await store.adoptBlob(bin.cid, (temporary) => keepBytes(way, temporary, bin.cid))
  }
}

/** Somebody may have changed a file while others were fetched: what he did must not be lost. */
function refuseChanged({ looked }: TreePlan, root: TreeRoot): void {
  for (const { path, ino, ctimeMs } of looked) {
    const state = root.stateOf(path)
    if (state === undefined && ino === null) continue
    if (state !== undefined && !('why' in state) && state.ino === ino && state.ctimeMs === ctimeMs) continue
    throw new PsyblobError('conflict', `${visible(path)} was changed meanwhile; nothing was changed by psyblob`, {
      hint: 'run the same command again: what was fetched stays',
    })
  }
}

async function missingBytes({ store }: Node, wanted: ReadonlyMap<CID, number>): Promise<number> {
  let bytes = 0
  for (const [cid, size] of wanted) if (!(await store.hasBlob(cid, size))) bytes += size
  return bytes
}

async function requireRoom(node: Node, wanted: ReadonlyMap<CID, number>): Promise<void> {
  const needed = await missingBytes(node, wanted)
  const free = await freeBytes(node.store.dir)
  if (needed <= free) return
  throw new PsyblobError(
    'no-space',
    `the store ${visible(node.store.dir)} has room for ${free} bytes, ${needed} are needed; nothing was changed`,
    {
      hint: 'psyblob gc drops what no release here needs; or name a larger place with --store',
    },
  )
}

function outcome(
  plan: TreePlan,
  { before, options, fetched }: { readonly before: Release | undefined; readonly options: ChangeOptions; readonly fetched: number },
): TreeChange {
  const { manifest, cid } = options.release
  const count = (...kinds: readonly string[]) => plan.steps.filter((step) => kinds.includes(step.do)).length
  return {
    changed: plan.steps.length > 0 || (options.only === undefined && before?.cid !== cid),
    previousSerial: before?.manifest.serial ?? null,
    bytes: { total: manifest.size, fetched, reused: manifest.size - Math.min(fetched, manifest.size), written: plan.size.written },
    requests: options.source.meter.requests,
    entries: { written: count('put'), changed: count('folder', 'rights'), removed: count('remove') },
    saved: plan.saved,
    kept: plan.kept,
    local: plan.local,
  }
}
