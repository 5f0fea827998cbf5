// The ranges of one blob that are still to be asked for. When the link turns out to be another than was planned for, the rest is joined anew.
import { joinRuns, type Run } from '../core/mod.ts'
import type { ChunkSources } from './seeds.ts'

export class RunQueue {
  readonly #sources: ChunkSources
  readonly #gap: () => number
  readonly #taken: Uint8Array
  #planned: number
  #runs: readonly Run[]
  #next = 0

  /** `runs` are those of the plan, joined across `planned` bytes; `gap` says across how many it pays now. */
  constructor(sources: ChunkSources, plan: { readonly runs: readonly Run[]; readonly planned: number; readonly gap: () => number }) {
    this.#sources = sources
    this.#runs = plan.runs
    this.#planned = plan.planned
    this.#gap = plan.gap
    this.#taken = new Uint8Array(sources.index.count)
  }

  /** The next range, which nobody else gets; undefined when there is none left. */
  take(): Run | undefined {
    const gap = this.#gap()
    // a plan is worth its exactness: it is made anew only when it is off by more than a factor of two
    if (gap > 2 * this.#planned || gap < this.#planned / 2) {
      this.#planned = gap
      this.#runs = joinRuns(this.#sources.index, (chunk) => this.#taken[chunk] === 0 && this.#sources.isMissing(chunk), { gap })
      this.#next = 0
    }
    const run = this.#runs[this.#next++]
    if (run !== undefined) this.#taken.fill(1, run.first, run.last + 1)
    return run
  }
}
