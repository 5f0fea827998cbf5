// What has to be done so that a tree is a release: compared path by path, nothing changed yet (spec/tree.md 3).
import { readdirSync, type Stats } from 'node:fs'
import { setImmediate as turn } from 'node:timers/promises'
import { type CID, type Entry, kindOf, type Manifest, PsyblobError, pathFault, visible } from '../../core/mod.ts'
import { cidAt, kindOfState, linkTarget, looksWrong, wrongState } from './inspection.ts'
import { mountFor, type Step } from './journal.ts'
import { blockedError, type TreeRoot } from './tree-root.ts'

export type TreePlan = {
  readonly steps: readonly Step[]
  /** What is staged under the number that is its place here. */
  readonly staged: readonly Entry[]
  /** What is there now of what will be replaced or removed: nobody may change it meanwhile. */
  readonly looked: readonly { readonly path: string; readonly ino: number; readonly ctimeMs: number }[]
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
  readonly #puts: Extract<Step, { do: 'put' | 'swap' }>[] = []
  readonly #looked: { path: string; ino: number; ctimeMs: number }[] = []
  /** Names that somebody has or will have. */
  readonly #taken: Set<string>
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
    this.#taken = new Set(options.after.records.map(({ path }) => path))
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
      looked: this.#looked,
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
    const to = state === undefined ? undefined : this.#clear(record, state, old)
    this.#makeWay(path)
    const { mod, uid, gid } = record
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
    this.#look(path, state)
    this.#removes.push({ do: 'remove', path })
  }

  #look(path: string, { ino, ctimeMs }: Stats): void {
    this.#looked.push({ path, ino, ctimeMs })
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
      // whoever has it open, or another name of it, must not get these rights over bytes of his own
      this.#keepBlob(path, bin)
      this.#look(path, state)
      this.#put(record)
      this.#size.kept -= bin.size
    }
    return true
  }

  /** Plans what becomes of the thing in the way of `record`; where a folder goes when that has to be the moment before. */
  #clear(record: Entry, state: Stats, old: Entry | undefined): string | null | undefined {
    const { mends } = this.#options
    const { path } = record
    const found = kindOfState(state)
    const isOurs = old !== undefined && this.#isPristine(old, state)
    if (found !== 'directory') this.#look(path, state)
    this.#refuseMount(path, found)
    if (found === 'directory') {
      this.#gone.add(path)
      if (this.#isOursAlone(path)) {
        this.#keepBelow(path)
        return null
      }
      return this.#savedAs(path)
    }
    if (isOurs && old !== undefined) this.#keepBlob(path, old.bin)
    if (kindOf(record) === 'directory') {
      if (isOurs) this.#clearing.push({ do: 'drop', path, kind: found })
      else this.#setAside(path)
      this.#gone.add(path)
      return undefined
    }
    // a rename replaces it, without a moment in which nothing lies there
    if (isOurs || (mends && found !== 'other')) return undefined
    if (found === 'file') this.#clearing.push({ do: 'save', path, to: this.#savedAs(path) })
    else this.#setAside(path)
    return undefined
  }

  /** A file may be mounted, too: no rename replaces that. */
  #refuseMount(path: string, found: ReturnType<typeof kindOfState>): void {
    if (found !== 'other' && found !== 'link' && this.#options.root.isMount(path))
      throw new PsyblobError('conflict', `something is mounted on ${visible(path)}, which is to be replaced`, { hint: 'unmount it' })
  }

  #setAside(path: string): void {
    this.#clearing.push({ do: 'aside', path, to: this.#savedAs(path) })
  }

  #savedAs(path: string): string {
    for (let number = 1; ; number++) {
      const to = `${path}${savedEnding}${number === 1 ? '' : `.${number}`}`
      if (pathFault(to) !== undefined)
        throw new PsyblobError(
          'conflict',
          `${visible(path)} is not as a release left it, and its name is too long to be kept beside the new one`,
          {
            hint: 'move it away',
          },
        )
      if (this.#taken.has(to) || this.#options.root.stateOf(to) !== undefined) continue
      this.#taken.add(to)
      this.#saved.push({ path, to })
      return to
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
    return readdirSync(root.at(path)).every((name) => {
      const child = `${path}/${name}`
      const old = this.#before.get(child)
      const state = root.stateOf(child)
      if (old === undefined || state === undefined || 'why' in state || !this.#isPristine(old, state)) return false
      return !state.isDirectory() || (!root.isMount(child) && this.#isOursAlone(child))
    })
  }

  /** The blobs of what lies in a folder that is ours alone. */
  #keepBelow(path: string): void {
    for (const name of readdirSync(this.#options.root.at(path))) {
      const child = `${path}/${name}`
      const old = this.#before.get(child)
      if (old !== undefined && kindOf(old) === 'directory') this.#keepBelow(child)
      else this.#keepBlob(child, old?.bin ?? null)
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
