// One history tried: the real node and the law side by side, step after step, and at the end a good mirror that must be believed.
import { rm } from 'node:fs/promises'
import { formatTime } from '../../core/mod.ts'
import type { State } from '../../store/state.ts'
import type { History, RefreshStep, Step } from './history.ts'
import { type Knowledge, nothing, readText, stateText } from './knowledge.ts'
import { checkRelease, judge, type Verdict } from './law.ts'
import type { Signed } from './ledger.ts'
import { repo } from './lineage.ts'
import { type Moment, offerOf } from './mirrors.ts'
import { ModelNode, type Outcome } from './node.ts'
import { type Offer, Refusal } from './offers.ts'
import { brokenPromises } from './promises.ts'
import { readRoot, rootLines, takenFrom } from './reading.ts'
import type { World } from './world.ts'

export type Counts = { refreshes: number; codes: Record<string, number> }

/** What was expected and what came, with the whole story so far. */
export class Broken extends Error {
  readonly story: readonly string[]

  constructor(message: string, story: readonly string[]) {
    super(message)
    this.story = story
  }
}

export class Trial {
  readonly #world: World
  readonly #history: History
  readonly #node: ModelNode
  readonly #counts: Counts
  readonly #story: string[] = []
  #at = 0
  #offset = 0
  #known: Knowledge = nothing
  readonly #installed = new Map<string, { readonly serial: number; readonly signed: Pick<Signed, 'body' | 'signatures'> }>()
  readonly #roots: readonly string[]

  constructor(world: World, history: History, dir: string, counts: Counts) {
    this.#world = world
    this.#history = history
    this.#counts = counts
    this.#node = new ModelNode(dir, { key: world.anchorKey, repo: history.isStated ? repo : undefined })
    this.#roots = rootLines(world)
  }

  get #end(): number {
    const { last, recovered } = this.#world
    return this.#history.hasThief ? (recovered ?? last) : last
  }

  get #moment(): Moment {
    const { recovered } = this.#world
    // where one key signs everything a thief of it is the publisher
    return { world: this.#world, at: this.#at, history: { ...this.#history, hasThief: this.#history.hasThief && recovered !== undefined } }
  }

  /** Throws `Broken`. */
  async run(): Promise<void> {
    const { steps } = this.#history
    try {
      for (const step of steps) await this.#step(step)
      await this.#finale()
    } finally {
      await rm(this.#node.dir, { recursive: true, force: true })
    }
  }

  async #step(step: Step): Promise<void> {
    switch (step.kind) {
      case 'publisher':
        this.#at = Math.min(this.#end, this.#at + step.events)
        return this.#say(`The publisher goes on: ${this.#world.snapshots[this.#at]?.what} (${this.#time()}).`)
      case 'clock':
        this.#offset = step.offset
        return this.#say(`The clock of the node ${step.what}.`)
      case 'restart':
        this.#node.restart()
        if (step.isCut) await this.#node.leaveUnfinished()
        return this.#say(`The node starts anew${step.isCut ? ' after a power cut in the middle of writing' : ''}.`)
      case 'boot':
        return this.#boot(step.product)
      case 'refresh': {
        const offers = step.mirrors.map((plan) => offerOf(plan, this.#moment))
        await this.#refresh(step, offers)
      }
    }
  }

  #time(after = 0): string {
    return formatTime((this.#world.snapshots[this.#at]?.at ?? 0) + after)
  }

  #say(sentence: string): void {
    this.#story.push(sentence)
  }

  #fail(message: string): never {
    throw new Broken(message, this.#story)
  }

  async #boot(product: string): Promise<void> {
    const facts = this.#known.products[product]
    const installed = this.#installed.get(product)
    if (facts === undefined || installed === undefined) return
    await this.#node.boot(product)
    // what would not be accepted now raises nothing
    if (this.#refusalOf(product, installed.signed) === undefined) {
      const floor = Math.max(facts.floor ?? 0, installed.serial)
      this.#known = { ...this.#known, products: { ...this.#known.products, [product]: { ...facts, floor } } }
    }
    this.#say(`${product} ${installed.serial} boots well.`)
    await this.#compareState()
  }

  #refusalOf(product: string, signed: Pick<Signed, 'body' | 'signatures'>): string | undefined {
    try {
      checkRelease({ ledger: this.#world.ledger, known: this.#known, product }, signed)
      return undefined
    } catch (error) {
      if (error instanceof Refusal) return error.code
      throw error
    }
  }

  async #refresh(step: Omit<RefreshStep, 'kind' | 'mirrors'>, offers: readonly Offer[]): Promise<Outcome> {
    const { product, channel, how, after } = step
    const { ledger } = this.#world
    const clock = Math.max(0, (this.#world.snapshots[this.#at]?.at ?? 0) + after + this.#offset)
    const before = this.#known
    const stated = this.#history.isStated ? repo : undefined
    const verdict = judge({ ledger, known: before, offers, product, channel, repo: stated, clock })
    const outcome = await this.#node.refresh(step, offers, clock)
    this.#count(outcome)
    const manner = how === 'whole' ? '' : how === 'cut' ? ', and is killed before it has written' : ', and keeps nothing'
    const came =
      outcome.accepted === undefined ? `${outcome.code}: ${outcome.message}` : `${product} ${outcome.accepted.release.manifest.serial}`
    this.#say(
      `At ${formatTime(clock)} it asks for ${product} of ${channel}${manner}: ${offers.map(({ what }) => what).join('; ')}. → ${came}`,
    )
    this.#known = how === 'whole' ? verdict.known : how === 'dry' ? before : { ...verdict.followed, kept: verdict.known.kept }
    this.#compare(verdict, outcome)
    if (verdict.accepted !== undefined && how === 'whole')
      this.#installed.set(product, { serial: verdict.accepted.release.serial, signed: verdict.accepted.signed })
    const state = await this.#compareState()
    this.#keepPromises(before, state, { product, channel, clock, offers }, outcome, how)
    if (outcome.accepted !== undefined && how === 'whole') await this.#checkLatest(product)
    return outcome
  }

  #count({ code }: Outcome): void {
    this.#counts.refreshes++
    this.#counts.codes[code] = (this.#counts.codes[code] ?? 0) + 1
  }

  #compare({ code, accepted }: Verdict, outcome: Outcome): void {
    if (outcome.code !== code) this.#fail(`expected ${code}, got ${outcome.code} ${outcome.message}`)
    if (accepted === undefined || outcome.accepted === undefined) return
    const { pointer, release, fork } = outcome.accepted
    const same = (one: Uint8Array, two: Uint8Array) => Buffer.compare(one, two) === 0
    if (!same(pointer, accepted.pointerFile)) this.#fail(`expected pointer ${accepted.pointer.version} of another remote`)
    if (release.cid !== accepted.releaseCid) this.#fail(`expected release ${accepted.releaseCid}, got ${release.cid}`)
    if (!same(release.signed.signatures, accepted.signed.signatures)) this.#fail('expected other signatures of the release')
    if ((fork !== undefined) !== accepted.isFork) this.#fail(`expected ${accepted.isFork ? 'a fork to be told' : 'no fork'}, got ${fork}`)
  }

  async #compareState(): Promise<State> {
    const state = await this.#node.state()
    const [wanted, got] = [stateText(this.#known), readText(state, this.#world.anchorKey)]
    if (wanted !== got) this.#fail(`expected another trusted state:\n${wanted}\ngot:\n${got}`)
    return state
  }

  /** The state as it was read, not as the law has it. */
  #keepPromises(
    before: Knowledge,
    state: State,
    asked: { readonly product: string; readonly channel: string; readonly clock: number; readonly offers: readonly Offer[] },
    { accepted }: Outcome,
    how: RefreshStep['how'],
  ): void {
    const { ledger } = this.#world
    const after: Knowledge = how === 'whole' ? { ...this.#known, root: readRoot(state, this.#world) } : this.#known
    const run = { ledger, roots: this.#roots, before, after, ...asked }
    const taken = accepted === undefined || how !== 'whole' ? undefined : takenFrom(accepted, this.#world)
    if (taken === 'unknown') this.#fail('accepted what nobody signed')
    if (how === 'dry' || (accepted !== undefined && taken === undefined)) return
    const broken = brokenPromises(run, taken)
    if (broken.length > 0) this.#fail(`not kept: ${broken.join('; ')}`)
  }

  /** `latest` is a release that could be installed by that name. */
  async #checkLatest(product: string): Promise<void> {
    const serial = await this.#node.latest(product)
    const kept = this.#known.kept.get(`${product}/${serial}`)
    if (kept === undefined) this.#fail(`latest names ${product} ${serial}, which nobody gave`)
    const refusal = this.#refusalOf(product, kept)
    if (refusal !== undefined) this.#fail(`latest names ${product} ${serial}, which is ${refusal}`)
  }

  /** Whatever was before: a good mirror and a right clock give the newest release. */
  async #finale(): Promise<void> {
    const { strangers, place, finale } = this.#history
    this.#at = this.#end
    this.#offset = 0
    this.#node.restart()
    this.#say(`At last the clock is right and the publisher has done: ${this.#world.snapshots[this.#at]?.what}.`)
    const good = offerOf({ base: 0, bends: [] }, this.#moment)
    const around = strangers.map((plan) => offerOf(plan, this.#moment, { isHarmless: true }))
    const step = { ...finale, how: 'whole' as const, after: 60_000 }
    const wanted = this.#world.snapshots[this.#at]?.pointers[finale.channel]?.products[finale.product]
    const first = await this.#refresh(step, around.toSpliced(place, 0, good))
    if (first.accepted?.release.cid !== wanted?.manifest) this.#fail(`expected the newest release, got ${first.code} ${first.message}`)
    const second = await this.#refresh(step, [good])
    if (second.accepted?.release.cid !== wanted?.manifest) this.#fail(`expected the newest release again, got ${second.code}`)
    if (second.accepted?.news !== false) this.#fail('expected no news, got some')
  }
}
