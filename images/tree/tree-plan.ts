// What has to be done so that a tree is a release: compared path by path, nothing changed yet (spec/tree.md 3).
import { readdirSync, type Stats } from 'node:fs'
import { setImmediate as turn } from 'node:timers/promises'
import { type CID, type Entry, kindOf, type Manifest, PsyblobError, visible } from '../../core/mod.ts'
import { cidAt, kindOfState, linkTarget, looksWrong, wrongState } from './inspection.ts'
import type { Step } from './journal.ts'
import { blockedError, type TreeRoot } from './tree-root.ts'

export type TreePlan = {
  readonly steps: readonly Step[]
  /** What is staged under the number that is its place here. */
  readonly staged: readonly Entry[]
  /** Files whose blobs the release before has and that will be replaced or removed. */
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
  const { before, after, mends, signal } = options
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
    const names = new Set(after.records.map(({ path }) => path))
    for (const old of [...(before?.records ?? [])].reverse()) {
      await breathe()
      if (!names.has(old.path)) planner.leave(old)
    }
  }
  return planner.plan()
}

const savedEnding = '.psyblob-saved'

class Planner {
  readonly #options: TreePlanOptions
  readonly #before: ReadonlyMap<string, Entry>
  readonly #folderRecords: ReadonlyMap<string, Entry>
  /** Paths that an earlier step takes away: what lies below them is as good as absent. */
  readonly #gone = new Set<string>()
  readonly #made = new Set<string>()
  readonly #clearing: Step[] = []
  readonly #folders: Step[] = []
  readonly #puts: Extract<Step, { do: 'put' }>[] = []
  readonly #rights: Step[] = []
  readonly #removes: Step[] = []
  readonly #staged: Entry[] = []
  readonly #former: { path: string; cid: CID; size: number }[] = []
  readonly #saved: { path: string; to: string }[] = []
  readonly #kept: string[] = []
  readonly #local: string[] = []
  #size = { kept: 0, written: 0 }

  constructor(options: TreePlanOptions) {
    this.#options = options
    this.#before = new Map(options.before?.records.map((record) => [record.path, record]))
    const folders = options.after.records.filter((record) => kindOf(record) === 'directory')
    this.#folderRecords = new Map(folders.map((record) => [record.path, record]))
  }

  isWanted(path: string): boolean {
    const { only } = this.#options
    return only === undefined || only.some((one) => path === one || path.startsWith(`${one}/`) || one === '/')
  }

  plan(): TreePlan {
    const puts = this.#puts.map((step) => ({ step, rank: rankOf(this.#staged[step.from] as Entry) }))
    puts.sort((one, two) => one.rank - two.rank || one.step.from - two.step.from)
    return {
      steps: [...this.#clearing, ...this.#folders, ...puts.map(({ step }) => step), ...this.#rights, ...this.#removes],
      staged: this.#staged,
      former: this.#former,
      saved: this.#saved,
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
    const state = this.#stateOf(path)
    if (state !== undefined && this.#isRight(record, state, old)) {
      this.#size.kept += bin?.size ?? 0
      return
    }
    if (state !== undefined) this.#clear(record, state, old)
    this.#makeWay(path)
    const { mod, uid, gid } = record
    if (kindOf(record) === 'directory') {
      this.#folders.push({ do: 'folder', path, mod, uid, gid })
      this.#made.add(path)
      return
    }
    this.#puts.push({ do: 'put', path, from: this.#staged.length })
    this.#staged.push(record)
    this.#size.written += bin?.size ?? 0
  }

  /** An entry of the release before that the next one has not. */
  leave(old: Entry): void {
    const { root, isClaimed } = this.#options
    const { path, bin } = old
    if (this.#isGone(path)) return
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
    if (!this.#isPristine(old, state)) {
      this.#kept.push(path)
      return
    }
    this.#keepBlob(path, bin)
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
    else this.#rights.push({ do: 'rights', path, mod, uid, gid })
    return true
  }

  /** Plans what becomes of the thing in the way of `record`. */
  #clear(record: Entry, state: Stats, old: Entry | undefined): void {
    const { mends } = this.#options
    const { path } = record
    const found = kindOfState(state)
    const isOurs = old !== undefined && this.#isPristine(old, state)
    if (found === 'directory') {
      if (this.#isOursAlone(path)) {
        this.#empty(path)
        this.#clearing.push({ do: 'drop', path, kind: found })
      } else this.#setAside(path)
      this.#gone.add(path)
      return
    }
    if (isOurs && old !== undefined) this.#keepBlob(path, old.bin)
    if (kindOf(record) === 'directory') {
      if (isOurs) this.#clearing.push({ do: 'drop', path, kind: found })
      else this.#setAside(path)
      this.#gone.add(path)
      return
    }
    // a rename replaces it, without a moment in which nothing lies there
    if (isOurs || (mends && found !== 'other')) return
    if (found === 'file') {
      const to = this.#freeName(path)
      this.#clearing.push({ do: 'save', path, to })
      this.#saved.push({ path, to })
    } else this.#setAside(path)
  }

  #setAside(path: string): void {
    const to = this.#freeName(path)
    this.#clearing.push({ do: 'aside', path, to })
    this.#saved.push({ path, to })
  }

  #freeName(path: string): string {
    for (let number = 1; ; number++) {
      const name = `${path}${savedEnding}${number === 1 ? '' : `.${number}`}`
      if (this.#options.root.stateOf(name) === undefined && !this.#saved.some(({ to }) => to === name)) return name
    }
  }

  /** Folders above `path` that no record makes and that are not there. */
  #makeWay(path: string): void {
    for (let end = path.indexOf('/', 1); end > 0; end = path.indexOf('/', end + 1)) {
      const above = path.slice(0, end)
      if (this.#made.has(above)) continue
      const state = this.#stateOf(above)
      if (state?.isDirectory() === true) continue
      if (state !== undefined) throw blockedError(path, { why: state.isSymbolicLink() ? 'link' : 'no folder', at: above })
      const { mod, uid, gid } = this.#folderRecords.get(above) ?? { mod: 0o40755, uid: 0, gid: 0 }
      this.#folders.push({ do: 'folder', path: above, mod, uid, gid })
      this.#made.add(above)
    }
  }

  /** What lies at `path` when the steps so far were done. Throws `conflict` when there is no way to it. */
  #stateOf(path: string): Stats | undefined {
    if (this.#isGone(path)) return undefined
    const state = this.#options.root.stateOf(path)
    if (state === undefined || !('why' in state)) return state
    if (this.#gone.has(state.at)) return undefined
    throw blockedError(path, state)
  }

  #isGone(path: string): boolean {
    for (let end = path.indexOf('/', 1); end > 0; end = path.indexOf('/', end + 1)) if (this.#gone.has(path.slice(0, end))) return true
    return false
  }

  /** True when it is what the release before put there. */
  #isPristine(old: Entry, state: Stats): boolean {
    const { root, onBytes } = this.#options
    if (kindOf(old) !== kindOfState(state)) return false
    if (old.target !== null) return linkTarget(root, old.path) === old.target
    if (old.bin === null) return true
    return state.size === old.bin.size && cidAt(root, old.path, onBytes) === old.bin.cid
  }

  /** True of a folder with nothing in it but what the release before put there. */
  #isOursAlone(path: string): boolean {
    const { root } = this.#options
    if (root.isMount(path))
      throw new PsyblobError('conflict', `something is mounted on ${visible(path)}, which is to be replaced`, { hint: 'unmount it' })
    return readdirSync(root.at(path)).every((name) => {
      const child = `${path}/${name}`
      const old = this.#before.get(child)
      const state = root.stateOf(child)
      if (old === undefined || state === undefined || 'why' in state || !this.#isPristine(old, state)) return false
      return !state.isDirectory() || this.#isOursAlone(child)
    })
  }

  /** Plans the removal of what lies in a folder that is ours alone, the deepest first. */
  #empty(path: string): void {
    for (const name of readdirSync(this.#options.root.at(path))) {
      const child = `${path}/${name}`
      const old = this.#before.get(child)
      if (old === undefined) continue
      if (kindOf(old) === 'directory') this.#empty(child)
      else this.#keepBlob(child, old.bin)
      this.#clearing.push({ do: 'drop', path: child, kind: kindOf(old) })
    }
  }

  #keepBlob(path: string, bin: Entry['bin']): void {
    if (bin !== null) this.#former.push({ path, cid: bin.cid, size: bin.size })
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
