// What has to be done so that a tree is a release: compared path by path, nothing changed yet (spec/tree.md 3).
import type { Stats } from 'node:fs'
import { setImmediate as turn } from 'node:timers/promises'
import { type CID, type Entry, kindOf, type Manifest, SortedEntries } from '../../core/mod.ts'
import { cidAt, looksWrong, wrongState } from './inspection.ts'
import { mountFor, type Step } from './journal.ts'
import { type Looked, Obstacles } from './obstacles.ts'
import { blockedError, type TreeRoot } from './tree-root.ts'

export type TreePlan = {
  readonly steps: readonly Step[]
  /** What is staged under the number that is its place here. */
  readonly staged: readonly Entry[]
  /** What is there now of what will be replaced or removed, and where nothing is: nobody may change it meanwhile. */
  readonly looked: readonly Looked[]
  /** Files whose blobs the release before has and that will be replaced or removed, or that only change their owner. */
  readonly former: readonly { readonly path: string; readonly cid: CID; readonly size: number }[]
  /** Other people's files, and where they are kept. */
  readonly saved: readonly { readonly path: string; readonly to: string }[]
  /** Entries of the release before that somebody changed: they are no part of any release now. */
  readonly kept: readonly string[]
  /** Entries that neither release changed and that are not as they say: left as they are. */
  readonly local: readonly string[]
  readonly size: { readonly kept: number; readonly written: number }
}

export type TreePlanOptions = {
  readonly root: TreeRoot
  /** Paths on which something is mounted that the composition names: what lies there is staged there. */
  readonly mounts: readonly string[]
  /** What was installed; undefined: nothing that is known. */
  readonly before: Manifest | undefined
  readonly after: Manifest
  /** Look at every byte, and put in order what somebody changed. */
  readonly mends: boolean
  /** With `mends`: only these, and what lies below them. */
  readonly only?: readonly string[] | undefined
  /** True of a folder that another product has. */
  readonly isClaimed?: (path: string) => boolean
  readonly onBytes?: (bytes: number) => void
  readonly signal?: AbortSignal | undefined
}

/** Throws `conflict` when there is no way to what has to be written. */
export async function planTree(options: TreePlanOptions): Promise<TreePlan> {
  const planner = new Planner(options)
  const { after, mends, signal } = options
  let count = 0
  const breathe = async () => {
    if (++count % 256 !== 0) return
    await turn()
    signal?.throwIfAborted()
  }
  for (const record of after.records) {
    await breathe()
    if (planner.isWanted(record.path)) planner.compare(record)
  }
  if (!mends || options.only === undefined) {
    for (const old of planner.left()) {
      await breathe()
      planner.leave(old)
    }
  }
  return planner.plan()
}

class Planner {
  readonly #options: TreePlanOptions
  readonly #before: SortedEntries
  readonly #after: SortedEntries
  readonly #obstacles: Obstacles
  readonly #made = new Set<string>()
  readonly #folders: Step[] = []
  readonly #puts: Extract<Step, { do: 'put' | 'swap' }>[] = []
  readonly #rights: Step[] = []
  readonly #removes: Step[] = []
  readonly #staged: Entry[] = []
  readonly #kept: string[] = []
  readonly #local: string[] = []
  #size = { kept: 0, written: 0 }

  constructor(options: TreePlanOptions) {
    const { root, before, after, mends, onBytes } = options
    this.#options = options
    this.#before = new SortedEntries(before?.records ?? [])
    this.#after = new SortedEntries(after.records)
    this.#obstacles = new Obstacles({ root, before: this.#before, after: this.#after, mends, onBytes })
  }

  isWanted(path: string): boolean {
    const { only } = this.#options
    return only === undefined || only.some((one) => path === one || path.startsWith(`${one}/`) || one === '/')
  }

  plan(): TreePlan {
    const { steps, looked, former, saved } = this.#obstacles
    const puts: Step[][] = [[], [], [], []]
    for (const step of this.#puts) puts[rankOf(this.#staged[step.from] as Entry)]?.push(step)
    return {
      steps: [...steps, ...this.#folders, ...puts.flat(), ...this.#rights, ...this.#removes],
      staged: this.#staged,
      looked,
      former,
      saved,
      kept: this.#kept,
      local: this.#local,
      size: this.#size,
    }
  }

  compare(record: Entry): void {
    const { root, mends } = this.#options
    const { path, bin } = record
    const old = this.#before.get(path)
    if (!mends && old !== undefined && sameRecord(old, record)) {
      if (looksWrong(root, record) === undefined) this.#size.kept += bin?.size ?? 0
      else this.#local.push(path)
      return
    }
    const state = this.#obstacles.stateOf(path)
    if (state !== undefined && this.#isRight(record, state, old)) {
      this.#size.kept += bin?.size ?? 0
      return
    }
    const to = state === undefined ? undefined : this.#obstacles.clear(record, state, old)
    this.#makeWay(path)
    const { mod, uid, gid } = record
    if (kindOf(record) !== 'directory' && state === undefined) this.#obstacles.expectNothing(path)
    if (kindOf(record) === 'directory') {
      this.#folders.push({ do: 'folder', path, mod, uid, gid })
      this.#made.add(path)
      return
    }
    this.#put(record, to)
  }

  /** `to` is where a folder in its place goes: null for one of ours, which goes with what was staged. */
  #put(record: Entry, to?: string | null): void {
    const { path, bin } = record
    const staged = { path, from: this.#staged.length, at: mountFor(path, this.#options.mounts) }
    this.#puts.push(to === undefined ? { do: 'put', ...staged } : { do: 'swap', ...staged, to })
    this.#staged.push(record)
    this.#size.written += bin?.size ?? 0
  }

  /** Entries of the release before that the next one has not; what lies in a folder comes before it. */
  left(): readonly Entry[] {
    return this.#before.without(this.#options.after.records).toReversed()
  }

  /** Plans what becomes of one of those. */
  leave(old: Entry): void {
    const { root, isClaimed } = this.#options
    const { path, bin } = old
    if (this.#obstacles.isGone(path)) return
    const state = root.stateOf(path)
    if (state === undefined) return
    if ('why' in state) {
      this.#kept.push(path)
      return
    }
    if (kindOf(old) === 'directory') {
      if (state.isDirectory() && isClaimed?.(path) !== true) this.#removes.push({ do: 'remove', path })
      return
    }
    if (!this.#obstacles.isPristine(old, state)) {
      this.#kept.push(path)
      return
    }
    this.#obstacles.keepBlob(path, bin)
    this.#obstacles.look(path, state)
    this.#removes.push({ do: 'remove', path })
  }

  /** True when the path is as its record says, or will be by setting its mode and owner, which is planned then. */
  #isRight(record: Entry, state: Stats, old: Entry | undefined): boolean {
    const { root, mends } = this.#options
    const { path, bin, mod, uid, gid } = record
    const problem = wrongState(root, record, state)
    if (problem !== undefined && problem !== 'wrong mode' && problem !== 'wrong owner') return false
    // the release before vouches for the bytes unless they are to be looked at
    const isKnown = !mends && old?.bin !== undefined && old.bin?.cid === bin?.cid
    if (bin !== null && !isKnown && cidAt(root, path, this.#options.onBytes) !== bin.cid) return false
    if (problem === undefined) return true
    if (kindOf(record) === 'directory') this.#folders.push({ do: 'folder', path, mod, uid, gid })
    else if (bin === null || (state.uid === uid && state.gid === gid && state.nlink === 1 && (mod & 0o6000) === 0))
      this.#rights.push({ do: 'rights', path, mod, uid, gid })
    else {
      // somebody's own bytes, as many as ours: they are kept beside
      if (isKnown && cidAt(root, path, this.#options.onBytes) !== bin.cid) return false
      // whoever has it open, or another name of it, must not get these rights over bytes of his own
      this.#obstacles.keepBlob(path, bin)
      this.#obstacles.look(path, state)
      this.#put(record)
      this.#size.kept -= bin.size
    }
    return true
  }

  /** Folders above `path` that no record makes and that are not there. */
  #makeWay(path: string): void {
    for (let end = path.indexOf('/', 1); end > 0; end = path.indexOf('/', end + 1)) {
      const above = path.slice(0, end)
      if (this.#made.has(above)) continue
      const state = this.#obstacles.stateOf(above)
      if (state?.isDirectory() === true) continue
      if (state !== undefined) throw blockedError(path, { why: state.isSymbolicLink() ? 'link' : 'no folder', at: above })
      const record = this.#after.get(above)
      const { mod, uid, gid } = record !== undefined && kindOf(record) === 'directory' ? record : { mod: 0o40755, uid: 0, gid: 0 }
      this.#folders.push({ do: 'folder', path: above, mod, uid, gid })
      this.#made.add(above)
    }
  }
}

function sameRecord(one: Entry, two: Entry): boolean {
  return one.mod === two.mod && one.uid === two.uid && one.gid === two.gid && one.target === two.target && one.bin?.cid === two.bin?.cid
}

/** What others need comes first: libraries, other files, links, programs. */
function rankOf({ path, target }: Entry): number {
  if (/\.so(\.[\w.-]+)?$/.test(path) && target === null) return 0
  if (target !== null) return 2
  return /\/s?bin\/[^/]+$/.test(path) ? 3 : 1
}
