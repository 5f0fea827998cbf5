// What lies where an entry is to go, and what becomes of it: ours is replaced, somebody else's is kept beside (spec/tree.md 3).
import { readdirSync, type Stats } from 'node:fs'
import { type CID, type Entry, kindOf, PsyblobError, pathFault, type SortedEntries, visible } from '../../core/mod.ts'
import { cidAt, kindOfState, linkTarget } from './inspection.ts'
import type { Step } from './journal.ts'
import { blockedError, type TreeRoot } from './tree-root.ts'

/** What lies at a path; null: nothing. */
export type Looked = { readonly path: string; readonly ino: number | null; readonly ctimeMs: number }

export type ObstacleOptions = {
  readonly root: TreeRoot
  readonly before: SortedEntries
  readonly after: SortedEntries
  /** What somebody changed is put in order, not kept. */
  readonly mends: boolean
  readonly onBytes?: ((bytes: number) => void) | undefined
}

const savedEnding = '.psyblob-saved'

export class Obstacles {
  /** What takes them away before anything is put in place. */
  readonly steps: Step[] = []
  readonly looked: Looked[] = []
  readonly former: { path: string; cid: CID; size: number }[] = []
  readonly saved: { path: string; to: string }[] = []
  readonly #options: ObstacleOptions
  /** Paths that a step takes away: what lies below them is as good as absent. */
  readonly #gone = new Set<string>()
  /** Names of what is kept beside. */
  readonly #taken = new Set<string>()

  constructor(options: ObstacleOptions) {
    this.#options = options
  }

  /** Nobody may change it until it is replaced. */
  look(path: string, { ino, ctimeMs }: Stats): void {
    this.looked.push({ path, ino, ctimeMs })
  }

  /** Nobody may put anything there until we do. */
  expectNothing(path: string): void {
    if (!this.isGone(path)) this.looked.push({ path, ino: null, ctimeMs: 0 })
  }

  /** Plans what becomes of the thing in the way of `record`; where a folder goes when that has to be the moment before. */
  clear(record: Entry, state: Stats, old: Entry | undefined): string | null | undefined {
    const { mends } = this.#options
    const { path } = record
    const found = kindOfState(state)
    const isOurs = old !== undefined && this.isPristine(old, state)
    if (found !== 'directory') this.look(path, state)
    this.#refuseMount(path, found)
    if (found === 'directory') {
      this.#gone.add(path)
      if (this.#isOursAlone(path)) {
        // it goes with all that is in it then
        this.look(path, state)
        this.#keepBelow(path)
        return null
      }
      return this.#savedAs(path)
    }
    if (isOurs && old !== undefined) this.keepBlob(path, old.bin)
    if (kindOf(record) === 'directory') {
      if (isOurs) this.steps.push({ do: 'drop', path, kind: found })
      else this.#setAside(path)
      this.#gone.add(path)
      return undefined
    }
    // a rename replaces it, without a moment in which nothing lies there
    if (isOurs || (mends && found !== 'other')) return undefined
    if (found === 'file') this.steps.push({ do: 'save', path, to: this.#savedAs(path) })
    else this.#setAside(path)
    return undefined
  }

  /** A file may be mounted, too: no rename replaces that. */
  #refuseMount(path: string, found: ReturnType<typeof kindOfState>): void {
    if (found !== 'other' && found !== 'link' && this.#options.root.isMount(path))
      throw new PsyblobError('conflict', `something is mounted on ${visible(path)}, which is to be replaced`, { hint: 'unmount it' })
  }

  #setAside(path: string): void {
    this.steps.push({ do: 'aside', path, to: this.#savedAs(path) })
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
      if (this.#taken.has(to) || this.#options.after.has(to) || this.#options.root.stateOf(to) !== undefined) continue
      this.#taken.add(to)
      this.looked.push({ path: to, ino: null, ctimeMs: 0 })
      this.saved.push({ path, to })
      return to
    }
  }

  /** What lies at `path` when the steps so far were done. Throws `conflict` when there is no way to it. */
  stateOf(path: string): Stats | undefined {
    if (this.isGone(path)) return undefined
    const state = this.#options.root.stateOf(path)
    if (state === undefined || !('why' in state)) return state
    if (this.#gone.has(state.at)) return undefined
    throw blockedError(path, state)
  }

  /** True of what lies in something that a step takes away. */
  isGone(path: string): boolean {
    for (let end = path.indexOf('/', 1); end > 0; end = path.indexOf('/', end + 1)) if (this.#gone.has(path.slice(0, end))) return true
    return false
  }

  /** True when it is what the release before put there. */
  isPristine(old: Entry, state: Stats): boolean {
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
      const old = this.#options.before.get(child)
      const state = root.stateOf(child)
      if (old === undefined || state === undefined || 'why' in state || !this.isPristine(old, state)) return false
      return !state.isDirectory() || (!root.isMount(child) && this.#isOursAlone(child))
    })
  }

  /** The blobs of what lies in a folder that is ours alone. */
  #keepBelow(path: string): void {
    for (const name of readdirSync(this.#options.root.at(path))) {
      const child = `${path}/${name}`
      const old = this.#options.before.get(child)
      const state = this.#options.root.stateOf(child)
      if (state !== undefined && !('why' in state)) this.look(child, state)
      if (old !== undefined && kindOf(old) === 'directory') this.#keepBelow(child)
      else this.keepBlob(child, old?.bin ?? null)
    }
  }

  /** A rollback needs its bytes. */
  keepBlob(path: string, bin: Entry['bin']): void {
    if (bin !== null) this.former.push({ path, cid: bin.cid, size: bin.size })
  }
}
