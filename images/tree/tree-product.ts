// A tree as a product: sync, apply, repair, rollback.
import { type Component, checkRootFloor, type Entry, isPsyblobError, PsyblobError, visible } from '../../core/mod.ts'
import {
  checkManifestHeader,
  fetchManifest,
  findRelease,
  holdOf,
  keepManifest,
  knownOf,
  readState,
  releaseAt,
  type VerifiedManifest,
} from '../../store/mod.ts'
import { checkKnown, newest } from '../fetching.ts'
import { avoidRelease, changeKnown } from '../known.ts'
import { readTrusted } from '../learnt.ts'
import {
  learnLink,
  type Node,
  openSource,
  prepareStore,
  recordAttempt,
  recordFailure,
  recordResult,
  refreshTrusted,
  type Source,
  trustOf,
  withStore,
} from '../node.ts'
import { type ChangeOptions, changeTree, finish, type TreeChange } from './change.ts'
import { installedTree, treeTarget, withTree } from './tree.ts'

export type TreeResult = TreeChange & {
  readonly product: string
  readonly root: string
  readonly serial: number
  readonly version: string
  /** Why nothing was done although the tree is not that release. */
  readonly held: string | undefined
  readonly seconds: number
}

type Wish = Pick<ChangeOptions, 'mends' | 'only' | 'dryRun'>

/** Brings a tree up to date. Errors: those of `refresh` and `changeTree`, and `locked`. */
export async function syncTree(
  node: Node,
  component: Component,
  { dryRun, force, path }: { readonly dryRun: boolean; readonly force: boolean; readonly path: string | undefined },
): Promise<TreeResult> {
  return working(node, component, { command: 'sync', dryRun, path }, async (source) => {
    node.report({ type: 'step', step: 'verify', about: `${component.name} from ${source.mirrors.label}` })
    const state = await readTrusted(node, component, { keep: !dryRun })
    const { release } = await refreshTrusted(node, component, { source, state, keep: !dryRun })
    const held = force ? undefined : await reasonToWait(node, component, release)
    if (held !== undefined) return nothing(component, { release, source, held })
    const result = await install(node, component, { release, source, wish: { mends: force, dryRun } })
    if (!dryRun && force) await avoidRelease(node, component, release, false)
    return result
  })
}

export type TreeRequest = {
  readonly version: string | undefined
  readonly path: string | undefined
  readonly force: boolean
  readonly dryRun: boolean
}

/** Installs the newest release, or one that somebody names. */
export async function applyTree(node: Node, component: Component, { version, path, force, dryRun }: TreeRequest): Promise<TreeResult> {
  const named = path === undefined ? undefined : await releaseAt(path, trustOf(node, component))
  return working(node, component, { command: 'apply', dryRun, path: named?.repository }, async (source) => {
    const trust = trustOf(node, component)
    const known = knownOf(await readTrusted(node, component, { keep: !dryRun }), trust)
    const query = { trust, store: node.store, mirrors: source.mirrors, signal: node.signal }
    const release =
      named?.release ?? (version === undefined ? await newest(node, component, source, dryRun) : await findRelease(query, version))
    checkAcceptable(node, component, release)
    checkKnown(component, release, known)
    if (!dryRun) await avoidRelease(node, component, release, false)
    return install(node, component, { release, source, wish: { mends: force, dryRun } })
  })
}

/** Puts the entries at `paths` and below them, or all of the product, in order. Throws `not-found` for a path that no product here has. */
export async function repairTrees(
  node: Node,
  named: Component | undefined,
  { paths, ...options }: { readonly paths: readonly string[]; readonly dryRun: boolean; readonly path: string | undefined },
): Promise<readonly TreeResult[]> {
  const trees = named === undefined ? node.components.filter(({ target }) => target.kind === 'tree') : [named]
  if (trees.length === 0)
    throw new PsyblobError('not-found', 'no product of the composition is files of a system', {
      hint: 'a product with "target":{"kind":"tree","root":"/"} is',
    })
  if (paths.length === 0) return [await repairTree(node, trees[0] as Component, { only: ['/'], ...options })]
  const owned = new Map<Component, string[]>()
  const installed = await installedOf(node, trees)
  for (const path of paths) {
    const owners = [...installed]
      .filter(([, records]) => records.some((record) => isBelow(record.path, path)))
      .map(([component]) => component)
    if (owners.length === 0) {
      throw new PsyblobError('not-found', `no release that is installed here has ${visible(path)}`, {
        hint: `psyblob show ${trees[0]?.name ?? 'PRODUCT'} --version current lists what it has`,
      })
    }
    for (const owner of owners) owned.set(owner, [...(owned.get(owner) ?? []), path])
  }
  const results: TreeResult[] = []
  for (const [component, only] of owned) results.push(await repairTree(node, component, { only, ...options }))
  return results
}

async function installedOf(node: Node, trees: readonly Component[]): Promise<ReadonlyMap<Component, readonly Entry[]>> {
  const found = new Map<Component, readonly Entry[]>()
  for (const component of trees) {
    const installed = await installedTree(node, component).catch((error: unknown) =>
      isPsyblobError(error, 'corrupt') ? undefined : Promise.reject(error),
    )
    if (installed !== undefined) found.set(component, installed.manifest.records)
  }
  return found
}

function isBelow(path: string, above: string): boolean {
  return above === '/' || path === above || path.startsWith(`${above}/`)
}

async function repairTree(
  node: Node,
  component: Component,
  { only, dryRun, path }: { readonly only: readonly string[]; readonly dryRun: boolean; readonly path: string | undefined },
): Promise<TreeResult> {
  return working(node, component, { command: 'repair', dryRun, path }, async (source) => {
    const release = await installedOrFetched(node, component, source)
    checkAcceptable(node, component, release, { isInstalled: true })
    return install(node, component, { release, source, wish: { mends: true, only, dryRun } })
  })
}

/** Goes back to the release that was installed before; the one that is left is not installed again by itself. */
export async function rollbackTree(node: Node, component: Component): Promise<TreeResult> {
  return working(node, component, { command: 'rollback', dryRun: false, path: undefined }, async (source) => {
    const left = await installedTree(node, component)
    const query = { trust: trustOf(node, component), store: node.store, mirrors: source.mirrors, signal: node.signal }
    const release = await findRelease(query, 'previous')
    checkAcceptable(node, component, release)
    // first: whatever comes of the rest, it is not to be installed again by itself
    if (left !== undefined && left.cid !== release.cid) await avoidRelease(node, component, left, true)
    const result = await install(node, component, { release, source, wish: { mends: false, dryRun: false } })
    await recordAttempt(node, { what: 'rollback', result: 'ok', product: component.name, serial: left?.manifest.serial ?? 0 })
    return result
  })
}

async function working(
  node: Node,
  component: Component,
  { command, dryRun, path }: { readonly command: string; readonly dryRun: boolean; readonly path: string | undefined },
  work: (source: Source) => Promise<Omit<TreeResult, 'seconds'>>,
): Promise<TreeResult> {
  treeTarget(component)
  const started = performance.now()
  if (!dryRun) await prepareStore(node)
  return withStore(node, async () => {
    // before any link is read: what was begun decides what is installed
    if (!dryRun) await withTree(component, (root) => finish(node, component, root))
    const source = await openSource(node, component, path)
    try {
      const result = await work(source)
      if (!dryRun) await recordResult(node, component.name, command, undefined)
      return { ...result, seconds: Math.round(performance.now() - started) / 1000 }
    } catch (error) {
      if (!dryRun && !isPsyblobError(error, 'interrupted')) {
        await recordResult(node, component.name, command, error)
        if (command === 'sync') await recordFailure(node, component.name, 'sync', error)
      }
      throw error
    } finally {
      await source.close()
    }
  })
}

type Installation = { readonly release: VerifiedManifest; readonly source: Source; readonly wish: Wish }

async function install(node: Node, component: Component, { release, source, wish }: Installation): Promise<Omit<TreeResult, 'seconds'>> {
  const { serial, version } = release.manifest
  const { authority } = trustOf(node, component)
  return withTree(component, async (root) => {
    const keep = async () => {
      await keepManifest(node.store, component.name, release, authority)
      await changeKnown(node, component, release, (before) => before)
    }
    // the journal names it: whoever finishes what was cut short finds it here
    if (!wish.dryRun) await keep()
    const change = await changeTree(node, component, root, { release, source, ...wish })
    if (!wish.dryRun) {
      await learnLink(node, source)
      if (change.changed && wish.only === undefined)
        await recordAttempt(node, { what: 'sync', result: 'installed', product: component.name, serial })
    }
    return { ...change, product: component.name, root: root.dir, serial, version, held: undefined }
  })
}

/** Throws what `refresh` throws of a release that the pointer names: product, repository, kind of machine, the root's floor. */
function checkAcceptable(node: Node, component: Component, { manifest }: VerifiedManifest, { isInstalled = false } = {}): void {
  const trust = trustOf(node, component)
  const repo = trust.repo ?? knownOf(node.trusted.state, trust)?.repo
  checkManifestHeader(manifest, { name: component.name, repo, compat: trust.compat }, `manifest ${component.name}/${manifest.serial}`)
  if (!isInstalled) checkRootFloor(trust.authority.root, component.name, manifest.serial)
}

/** Why a sync installs nothing: somebody holds the product, or went back from that release. */
async function reasonToWait(node: Node, component: Component, release: VerifiedManifest): Promise<string | undefined> {
  const {
    cid,
    manifest: { serial },
  } = release
  const { name } = component
  const state = await readState(node.store.dir)
  const installed = await installedTree(node, component, release).catch((error: unknown) =>
    isPsyblobError(error, 'corrupt') ? undefined : Promise.reject(error),
  )
  if (installed?.cid === cid) return undefined
  const hold = holdOf(state, name)
  if (hold !== undefined) return `held since ${hold.at}${hold.why === '' ? '' : ` (${hold.why})`}; psyblob unhold ${name} lets it go on`
  const isAvoided = knownOf(state, trustOf(node, component))?.avoided?.includes(serial) === true
  return isAvoided ? `serial ${serial} was rolled back on this machine; psyblob sync --force takes it all the same` : undefined
}

function nothing(
  component: Component,
  { release, source, held }: { release: VerifiedManifest; source: Source; held: string },
): Omit<TreeResult, 'seconds'> {
  const { serial, version, size } = release.manifest
  return {
    product: component.name,
    root: treeTarget(component).root,
    serial,
    version,
    held,
    changed: false,
    previousSerial: null,
    bytes: { total: size, fetched: 0, reused: 0, written: 0 },
    requests: source.meter.requests,
    entries: { written: 0, changed: 0, removed: 0 },
    saved: [],
    kept: [],
    local: [],
  }
}

/** The installed release; one whose manifest was damaged in the store is fetched again. */
async function installedOrFetched(node: Node, component: Component, source: Source): Promise<VerifiedManifest> {
  const { name } = component
  const { authority } = trustOf(node, component)
  const serial = await node.store.link(name, 'current')
  if (serial === undefined)
    throw new PsyblobError('not-found', `no release of ${name} is installed here`, { hint: `psyblob apply ${name} installs the newest` })
  return fetchManifest({ product: name, serial, authority, mirrors: source.mirrors, store: node.store, signal: node.signal })
}
