// The real thing: a node of psyblob with its store on disk, asked to refresh from remotes in memory.
import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Component, type ErrorCode, isPsyblobError } from '../../core/mod.ts'
import { raiseFloor } from '../../images/known.ts'
import { type Node, openNode, refreshTrusted, trustOf } from '../../images/node.ts'
import { Meter } from '../../store/meter.ts'
import { Mirrors } from '../../store/mirrors.ts'
import { type Refreshed, refresh } from '../../store/refresh.ts'
import type { VerifiedManifest } from '../../store/signed.ts'
import { readState, type State } from '../../store/state.ts'
import type { RefreshStep } from './history.ts'
import { compat, products } from './lineage.ts'
import { type Offer, remoteOf } from './offers.ts'

export type Outcome = {
  readonly code: ErrorCode | 'none'
  readonly message: string
  readonly accepted: Pick<Refreshed, 'pointer' | 'release' | 'fork' | 'news'> | undefined
}

const report = () => undefined

export class ModelNode {
  readonly dir: string
  readonly #key: string
  readonly #repo: string | undefined
  #node: Node | undefined
  #clock = 0
  readonly #installed = new Map<string, VerifiedManifest>()

  constructor(dir: string, { key, repo }: { readonly key: string; readonly repo: string | undefined }) {
    this.dir = dir
    this.#key = key
    this.#repo = repo
  }

  component(name: string, channel: string): Component {
    const stated = this.#repo === undefined ? {} : { repo: this.#repo }
    return { name, key: this.#key, uris: ['memory'], channel, compat, target: { kind: 'slots' }, ...stated }
  }

  /** Whatever was in memory is gone. */
  restart(): void {
    this.#node = undefined
  }

  /** As after a power cut in the middle of writing. */
  async leaveUnfinished(): Promise<void> {
    await mkdir(this.dir, { recursive: true })
    await writeFile(join(this.dir, '.state.json.1.1.tmp'), '{"psyblob":"state/1","prod')
    for (const product of products) {
      if (existsSync(join(this.dir, product))) await writeFile(join(this.dir, product, '.9.1.2.tmp'), '{"psy')
    }
  }

  async #open(): Promise<Node> {
    this.#node ??= await openNode({
      storeDir: this.dir,
      components: products.map((name) => this.component(name, 'stable')),
      disk: undefined,
      booted: undefined,
      stallSeconds: 1,
      run: () => Promise.reject(new Error('a refresh needs no other program')),
      report,
      clock: () => this.#clock,
    })
    return this.#node
  }

  state(): Promise<State> {
    return readState(this.dir)
  }

  async refresh(
    { product, channel, how }: Pick<RefreshStep, 'product' | 'channel' | 'how'>,
    offers: readonly Offer[],
    clock: number,
  ): Promise<Outcome> {
    this.#clock = clock
    const node = await this.#open()
    const component = this.component(product, channel)
    const mirrors = new Mirrors(offers.map(remoteOf), { report, pauses: [0, 0] })
    const state = await this.state()
    try {
      const accepted =
        how === 'cut'
          ? await refresh({ trust: trustOf(node, component), mirrors, store: node.store, state, clock, keep: true })
          : await refreshTrusted(node, component, {
              source: { mirrors, meter: new Meter(), close: async () => undefined },
              state,
              keep: how === 'whole',
            })
      if (how === 'whole') this.#installed.set(product, accepted.release)
      return { code: 'none', message: '', accepted }
    } catch (error) {
      if (!isPsyblobError(error)) throw error
      return { code: error.code, message: error.message, accepted: undefined }
    } finally {
      if (how !== 'whole') this.restart()
    }
  }

  /** What was accepted last has booted well. */
  async boot(product: string): Promise<void> {
    const release = this.#installed.get(product)
    if (release === undefined) return
    this.restart()
    await raiseFloor(await this.#open(), this.component(product, 'stable'), release)
  }

  /** The serial that the store calls the latest. */
  async latest(product: string): Promise<number | undefined> {
    return (await this.#open()).store.link(product, 'latest')
  }
}
