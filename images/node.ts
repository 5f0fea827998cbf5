// One node: its store, its products, its slots, and the locks that keep two psyblobs from working on them at once.
import { realpath } from 'node:fs/promises'
import { resolve } from 'node:path'
import {
  type Component,
  type EspTarget,
  formatTime,
  isPsyblobError,
  PsyblobError,
  parsePublicKey,
  type Report,
  type SlotsTarget,
  visible,
} from '../core/mod.ts'
import {
  type Attempt,
  addAttempt,
  authorityOf,
  knownOf,
  type LastResult,
  Link,
  LocalStore,
  type Lock,
  lock,
  Meter,
  Mirrors,
  makeFolder,
  openRemote,
  type Refreshed,
  readState,
  refresh,
  rememberedLink,
  rememberLink,
  type State,
  type Trust,
  writeState,
} from '../store/mod.ts'
import { type EfiPartition, openEfiPartition } from './efi-partition.ts'
import { type Machine, openMachine } from './machine.ts'
import type { Run } from './run.ts'
import type { SlotName } from './slot.ts'

export type NodeOptions = {
  /** Folder of the local store. */
  readonly storeDir: string
  readonly components: readonly Component[]
  /** Image file or disk whose partitions stand for all slots. */
  readonly disk: string | undefined
  readonly booted: SlotName | undefined
  /** The kernel's command line. Default: that of this system. */
  readonly cmdline?: string | undefined
  /** Seconds without a byte after which a remote is given up. */
  readonly stallSeconds: number
  /** Address of the gateway that repositories in IPFS are read through. Default: the local one. */
  readonly ipfsGateway?: string | undefined
  readonly run: Run
  readonly report: Report
  readonly signal?: AbortSignal | undefined
  /** Milliseconds since 1970. */
  readonly clock: () => number
}

export type Node = NodeOptions & {
  readonly store: LocalStore
  /** What the store said of roots when it was read last; `reloadTrust` reads it again. */
  readonly trusted: { state: State }
}

/** Throws `corrupt` when the trusted state is damaged. */
export async function openNode(options: NodeOptions): Promise<Node> {
  const store = new LocalStore(resolve(options.storeDir))
  return { ...options, store, trusted: { state: await readState(store.dir) } }
}

/** As the store's `refresh`; what it learnt is persisted with `keep`, and counts from now on. */
export async function refreshTrusted(
  node: Node,
  component: Component,
  { source, state, keep }: { readonly source: Source; readonly state: State; readonly keep: boolean },
): Promise<Refreshed> {
  const { store, signal, clock } = node
  const { mirrors } = source
  const refreshed = await refresh({ trust: trustOf(node, component), mirrors, store, state, clock: clock(), signal, keep }).catch(
    async (error: unknown) => {
      // roots that were followed before something was refused are in the store
      if (keep) await reloadTrust(node)
      throw error
    },
  )
  if (refreshed.news && keep) await writeState(store.dir, refreshed.state)
  node.trusted.state = refreshed.state
  if (refreshed.fork !== undefined) node.report({ type: 'warning', text: refreshed.fork })
  return refreshed
}

/** For those that run long, and after a root was followed. */
export async function reloadTrust({ store, trusted }: Node): Promise<void> {
  trusted.state = await readState(store.dir)
}

/** The product called `name`. Throws `not-found` with the ones there are. */
export function componentOf(node: Node, name: string): Component {
  const found = node.components.find((component) => component.name === name)
  if (found !== undefined) return found
  throw new PsyblobError('not-found', `no product ${visible(name)} in the composition`, {
    hint: `it has: ${node.components.map((component) => component.name).join(', ')}. Add a line for it, or give --key and --remote`,
  })
}

/** The products called `names`, or all when there are none. */
export function componentsOf(node: Node, names: readonly string[]): readonly Component[] {
  return names.length === 0 ? node.components : names.map((name) => componentOf(node, name))
}

const machines: Readonly<Record<string, string>> = { x64: 'x86_64-uefi', arm64: 'aarch64-uefi', riscv64: 'riscv64-uefi', ia32: 'x86-uefi' }

/** The kind of machine this is, as publisher and node both name it when nobody says otherwise. */
export function defaultCompat(): string {
  return machines[process.arch] ?? `${process.arch}-uefi`
}

export function trustOf({ trusted }: Pick<Node, 'trusted'>, component: Component): Trust {
  const key = parsePublicKey(component.key)
  const repo = component.repo ?? knownOf(trusted.state, { product: component.name, key, repo: component.repo })?.repo
  return {
    product: component.name,
    key,
    authority: authorityOf(trusted.state, { key, repo }),
    channel: component.channel,
    repo: component.repo,
    compat: component.compat ?? defaultCompat(),
  }
}

/** True while a product has no root, as far as this node has followed. */
export function isOfOneKey(node: Pick<Node, 'trusted'>, component: Component): boolean {
  return trustOf(node, component).authority.root === undefined
}

/** The slots of a product. Throws `unsupported` for kinds that this version cannot write. */
export function slotsTarget(component: Component): SlotsTarget {
  if (component.target.kind === 'slots') return component.target
  throw new PsyblobError(
    'unsupported',
    `product ${component.name} has a target of kind ${component.target.kind}, which this version cannot handle`,
    {
      hint: 'this command is for products of kind slots; name such a product, or leave the other one out of the composition',
    },
  )
}

export type Source = { readonly mirrors: Mirrors; readonly meter: Meter; close(): Promise<void> }

/** The remotes of a product, or the folder or stick at `path` instead of them. */
export async function openSource(node: Node, component: Component, path?: string): Promise<Source> {
  const meter = new Meter()
  const uris = path === undefined ? component.uris : [resolve(path)]
  const { stallSeconds, ipfsGateway, report } = node
  const remotes = await Promise.all(uris.map((uri) => openRemote(uri, { stallSeconds, ipfsGateway, report })))
  const before = await rememberedLink(node.store.dir, remotes.map(({ label }) => label).join(', '))
  const mirrors = new Mirrors(
    remotes.map((remote) => meter.measure(remote)),
    { report: node.report, link: new Link(undefined, before) },
  )
  return {
    meter,
    mirrors,
    close: async () => {
      for (const remote of remotes) await remote.close()
    },
  }
}

/** Keeps what a transfer taught of the link to its remotes. */
export async function learnLink(node: Node, { mirrors }: Source): Promise<void> {
  const { learnt } = mirrors.link
  if (learnt !== undefined) await rememberLink(node.store.dir, mirrors.label, learnt)
}

/** Holds the store while `work` runs: `locked` when another psyblob has it. */
export async function withStore<Result>(node: Node, work: () => Promise<Result>): Promise<Result> {
  const dir = await realpath(node.store.dir).catch(() => node.store.dir)
  const held = await lock(`store:${dir}`, { what: `the store ${dir}` })
  try {
    return await work()
  } finally {
    await held.release()
  }
}

/** Makes the store's folder, for commands that are about to write there. */
export async function prepareStore(node: Node): Promise<void> {
  await makeFolder(node.store.dir).catch((told: unknown) => {
    throw isPsyblobError(told)
      ? new PsyblobError(told.code, told.message, { cause: told, hint: 'name a folder that can be written with --store, or run as root' })
      : told
  })
}

/** The machine a product is installed on, without a lock: for looking only. */
export async function openMachineOf(node: Node, component: Component): Promise<Machine> {
  return openMachine(slotsTarget(component), {
    disk: node.disk,
    booted: node.booted,
    cmdline: node.cmdline,
    run: node.run,
    report: node.report,
    store: node.store.dir,
  })
}

/** Throws `conflict` when another product of the composition has the same slots: each sync would wipe out the other's. */
function refuseShared(node: Node, component: Component): void {
  const placesOf = (one: Component) => {
    const target = slotsTarget(one)
    return [target.a ?? 'label a', target.b ?? 'label b'].map((place) => JSON.stringify(place))
  }
  const own = placesOf(component)
  for (const other of node.components) {
    if (other.name === component.name || other.target.kind !== 'slots') continue
    if (node.disk === undefined && !placesOf(other).some((place) => own.includes(place))) continue
    throw new PsyblobError('conflict', `products ${component.name} and ${other.name} have the same slots`, {
      hint: 'give each its own slots in the composition, or name a composition with one of them by --composition',
    })
  }
}

/** Opens the machine and holds it while `work` runs: two stores may share one disk. */
export async function withMachine<Result>(node: Node, component: Component, work: (machine: Machine) => Promise<Result>): Promise<Result> {
  refuseShared(node, component)
  const machine = await openMachineOf(node, component)
  const held: Lock[] = []
  try {
    for (const identity of machine.identities) held.push(await lock(`slot:${identity}`, { what: 'a slot of this machine' }))
    return await work(machine)
  } finally {
    await machine.close().finally(async () => {
      for (const one of held) await one.release()
    })
  }
}

/** Adds to the diary that `why` reads; false when it was there already. Keeps silent when it cannot be written: what was done is done. */
export async function recordAttempt(node: Node, attempt: Omit<Attempt, 'at'>): Promise<boolean> {
  try {
    const dir = await realpath(node.store.dir).catch(() => node.store.dir)
    const { isNew, wasDamaged } = await addAttempt(dir, { at: formatTime(node.clock()), ...attempt })
    if (wasDamaged) node.report({ type: 'warning', text: `parts of the diary ${dir}/attempts could not be read and are gone` })
    return isNew
  } catch (problem) {
    node.report({ type: 'trace', text: `the attempt was not recorded: ${problem instanceof Error ? problem.message : String(problem)}` })
    return true
  }
}

const refusals = ['untrusted', 'rollback', 'expired', 'corrupt', 'malformed', 'conflict'] as const

/** Records that something was refused or failed. */
export async function recordFailure(node: Node, product: string, what: Attempt['what'], error: unknown): Promise<void> {
  const result = isPsyblobError(error, ...refusals) ? 'refused' : 'failed'
  const message = isPsyblobError(error) ? `${error.code}: ${error.message}` : String(error)
  await recordAttempt(node, { what, result, product, message })
}

/** The EFI partition of a product, without a lock: for looking only. Throws `unsupported` for products of another kind. */
export async function openEfi(node: Node, component: Component): Promise<EfiPartition> {
  const { disk, run, report } = node
  return openEfiPartition(efiTarget(component), { disk, run, report })
}

function efiTarget({ name, target }: Component): EspTarget {
  if (target.kind === 'esp') return target
  throw new PsyblobError('unsupported', `product ${name} has a target of kind ${target.kind}, and not the EFI partition`, {
    hint: 'give it "target":{"kind":"esp"} in the composition',
  })
}

/** Opens the EFI partition and holds it while `work` runs. Throws `conflict` when two products have one partition. */
export async function withEfi<Result>(
  node: Node,
  component: Component,
  work: (partition: EfiPartition) => Promise<Result>,
): Promise<Result> {
  const place = JSON.stringify(efiTarget(component).esp)
  const twin = node.components.find(
    ({ name, target }) =>
      name !== component.name && target.kind === 'esp' && (node.disk !== undefined || JSON.stringify(target.esp) === place),
  )
  if (twin !== undefined) {
    throw new PsyblobError('conflict', `products ${component.name} and ${twin.name} have the same EFI partition`, {
      hint: 'name a composition with one of them by --composition',
    })
  }
  const partition = await openEfi(node, component)
  try {
    const held = await lock(`esp:${partition.identity}`, { what: 'the EFI partition' })
    try {
      return await work(partition)
    } finally {
      await held.release()
    }
  } finally {
    await partition.close()
  }
}

/** Records what a command came to, so that `status` can tell. Keeps silent when that is known already or cannot be written. */
export async function recordResult(node: Node, product: string, command: string, error: unknown): Promise<void> {
  try {
    const state = await readState(node.store.dir)
    const result: LastResult['result'] = error === undefined ? 'ok' : isPsyblobError(error) ? error.code : 'bug'
    const message = error === undefined ? '' : error instanceof Error ? error.message : String(error)
    const last = Object.hasOwn(state.last, product) ? state.last[product] : undefined
    if (last?.command === command && last.result === result && last.message === message) return
    await writeState(node.store.dir, {
      ...state,
      last: { ...state.last, [product]: { at: formatTime(node.clock()), command, result, message } },
    })
  } catch (problem) {
    node.report({ type: 'trace', text: `the result was not recorded: ${problem instanceof Error ? problem.message : String(problem)}` })
  }
}
