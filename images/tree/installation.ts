// One run over a tree: the locks, what was cut short, the source, the release that is accepted, the change, and what is remembered of it.
import { type Component, checkRootFloor, isPsyblobError } from '../../core/mod.ts'
import {
  checkManifestHeader,
  keepManifest,
  knownOf,
  type ProductState,
  type Release,
  spareMemory,
  type VerifiedManifest,
} from '../../store/mod.ts'
import { checkKnown } from '../fetching.ts'
import { changeKnown } from '../known.ts'
import {
  learnLink,
  type Node,
  openSource,
  prepareStore,
  recordAttempt,
  recordFailure,
  recordResult,
  type Source,
  trustOf,
  withStore,
} from '../node.ts'
import { type ChangeOptions, changeTree, finish, type TreeChange } from './change.ts'
import { treeTarget, withoutBytes, withTree } from './tree.ts'

export type TreeResult = TreeChange & {
  readonly product: string
  readonly root: string
  readonly serial: number
  readonly version: string
  /** Why nothing was done although the tree is not that release. */
  readonly held: string | undefined
  readonly seconds: number
}

type Wish = Pick<ChangeOptions, 'installed' | 'mends' | 'only' | 'dryRun'>

/** To be done before any link is read: what was begun decides what is installed. The store is held. */
export async function finishBegun(node: Node, component: Component): Promise<void> {
  await withTree(component, (root) => finish(node, component, root))
}

/** Does `work` with the store held, after what an earlier run began; how it ended is recorded under the name of `command`. */
export async function working(
  node: Node,
  component: Component,
  { command, dryRun, path }: { readonly command: string; readonly dryRun: boolean; readonly path: string | undefined },
  work: (source: Source) => Promise<Omit<TreeResult, 'seconds'>>,
): Promise<TreeResult> {
  treeTarget(component)
  spareMemory()
  const started = performance.now()
  if (!dryRun) await prepareStore(node)
  return withStore(node, async () => {
    if (!dryRun) await finishBegun(node, component)
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

type Installation = { readonly release: Release; readonly source: Source; readonly wish: Wish }

export async function install(
  node: Node,
  component: Component,
  { release, source, wish }: Installation,
): Promise<Omit<TreeResult, 'seconds'>> {
  const { serial, version } = release.manifest
  return withTree(component, async (root) => {
    const change = await changeTree(node, component, root, { release, source, ...wish })
    if (!wish.dryRun) {
      await learnLink(node, source)
      if (change.changed && wish.only === undefined)
        await recordAttempt(node, { what: 'sync', result: 'installed', product: component.name, serial })
    }
    return { ...change, product: component.name, root: root.dir, serial, version, held: undefined }
  })
}

type Acceptance = { readonly isInstalled?: boolean; readonly known?: ProductState | undefined; readonly dryRun: boolean }

/** A release that may be installed here. It is kept first: a journal names it, and whoever finishes what was cut short finds it in the store. */
export async function accepted(
  node: Node,
  component: Component,
  release: VerifiedManifest,
  { isInstalled = false, known, dryRun }: Acceptance,
): Promise<Release> {
  checkAcceptable(node, component, release, { isInstalled })
  checkKnown(component, release, known)
  if (!dryRun) {
    await keepManifest(node.store, component.name, release, trustOf(node, component).authority)
    await changeKnown(node, component, release, (before) => before)
  }
  return withoutBytes(release)
}

/** Throws what `refresh` throws of a release that the pointer names: product, repository, kind of machine, the root's floor. */
function checkAcceptable(
  node: Node,
  component: Component,
  { manifest }: Release,
  { isInstalled }: { readonly isInstalled: boolean },
): void {
  const trust = trustOf(node, component)
  const repo = trust.repo ?? knownOf(node.trusted.state, trust)?.repo
  checkManifestHeader(manifest, { name: component.name, repo, compat: trust.compat }, `manifest ${component.name}/${manifest.serial}`)
  if (!isInstalled) checkRootFloor(trust.authority.root, component.name, manifest.serial)
}
