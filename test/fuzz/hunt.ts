// Looks for findings in one parser: mutated seeds, and mutated inputs that went a way that none had gone before.

import { mutated } from './mutator.ts'
import { Random, seedOf } from './random.ts'
import { type Budget, judge, type Target } from './target.ts'

export type Finding = { readonly parser: string; readonly kind: string; readonly what: string; readonly input: Uint8Array }

/** Inputs kept because they were new, besides the seeds. */
const mostKept = 300
/** Longer ones make everything after them slow. */
const keptBytes = 16 * 1024

export type HuntOptions = {
  readonly seed: number
  /** Hears of each input before it is tried. */
  readonly before?: (input: Uint8Array) => void
  readonly budget?: Budget
}

/** Where it goes depends on nothing but the target, its seeds and one number. */
export class Hunt {
  executions = 0
  readonly target: Target
  readonly #random: Random
  readonly #options: HuntOptions
  readonly #seeds: readonly Uint8Array[]
  readonly #kept: Uint8Array[] = []
  /** What was accepted: a change of it gets furthest. */
  readonly #read: Uint8Array[] = []
  readonly #kinds = new Set<string>()
  #waiting: Uint8Array[]

  private constructor(target: Target, seeds: readonly Uint8Array[], options: HuntOptions) {
    this.target = target
    this.#random = new Random(seedOf(options.seed, target.name))
    this.#options = options
    this.#seeds = seeds
    this.#waiting = [...seeds]
  }

  static async of(target: Target, options: HuntOptions): Promise<Hunt> {
    return new Hunt(target, await target.seeds(), options)
  }

  /** False when all that was tried was refused: then nothing much was tried. */
  get isAnyRead(): boolean {
    return this.#read.length > 0
  }

  /** Ways that inputs went. */
  get kinds(): number {
    return this.#kinds.size
  }

  /** Tries one input, the seeds themselves first. */
  async step(): Promise<Finding | undefined> {
    const input = this.#waiting.shift() ?? this.#made()
    this.#options.before?.(input)
    this.executions++
    const { kind, finding } = await judge(this.target, input, this.#options.budget)
    const isSeed = this.executions <= this.#seeds.length
    const list = kind.startsWith('read: ') ? this.#read : this.#kept
    if ((isSeed || !this.#kinds.has(kind)) && list.length < mostKept && input.length <= keptBytes) list.push(input)
    this.#kinds.add(kind)
    return finding === undefined ? undefined : { parser: this.target.name, kind, what: finding, input }
  }

  #made(): Uint8Array {
    const random = this.#random
    const from = () =>
      random.pick(random.pick([this.#read, this.#read, this.#kept, this.#seeds])) ?? random.pick(this.#seeds) ?? new Uint8Array()
    const input = mutated(from(), from(), { material: this.target.material, random })
    return this.target.seal === undefined || random.once(5) ? input : this.target.seal(input)
  }
}
