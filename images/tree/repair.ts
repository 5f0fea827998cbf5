// Repair: entries that are not as the installed release says are put in order.
import { type Component, type Entry, isPsyblobError, PsyblobError, visible } from '../../core/mod.ts'
import { fetchManifest, type VerifiedManifest } from '../../store/mod.ts'
import { type Node, prepareStore, type Source, trustOf, withStore } from '../node.ts'
import { accepted, finishBegun, install, type TreeResult, working } from './installation.ts'
import { installedTree } from './tree.ts'

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
  if (!options.dryRun) {
    await prepareStore(node)
    await withStore(node, async () => {
      for (const component of trees) await finishBegun(node, component)
    })
  }
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
    const release = await accepted(node, component, await installedOrFetched(node, component, source), { isInstalled: true, dryRun })
    return install(node, component, { release, source, wish: { mends: true, only, dryRun } })
  })
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
