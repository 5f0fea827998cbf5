// A tree as a product: sync, apply, rollback.
import { type Component, isPsyblobError } from '../../core/mod.ts'
import { findRelease, holdOf, knownOf, type Release, readState, releaseAt } from '../../store/mod.ts'
import { newest } from '../fetching.ts'
import { avoidRelease } from '../known.ts'
import { readTrusted } from '../learnt.ts'
import { type Node, recordAttempt, refreshTrusted, type Source, trustOf } from '../node.ts'
import { accepted, install, type TreeResult, working } from './installation.ts'
import { installedTree, treeTarget, withoutBytes } from './tree.ts'

/** Brings a tree up to date. Errors: those of `refresh` and `changeTree`, and `locked`. */
export async function syncTree(
  node: Node,
  component: Component,
  { dryRun, force, path }: { readonly dryRun: boolean; readonly force: boolean; readonly path: string | undefined },
): Promise<TreeResult> {
  return working(node, component, { command: 'sync', dryRun, path }, async (source) => {
    node.report({ type: 'step', step: 'verify', about: `${component.name} from ${source.mirrors.label}` })
    const state = await readTrusted(node, component, { keep: !dryRun })
    const release = withoutBytes((await refreshTrusted(node, component, { source, state, keep: !dryRun })).release)
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
    const release = await accepted(
      node,
      component,
      named?.release ?? (version === undefined ? await newest(node, component, source, dryRun) : await findRelease(query, version)),
      { known, dryRun },
    )
    if (!dryRun) await avoidRelease(node, component, release, false)
    return install(node, component, { release, source, wish: { mends: force, dryRun } })
  })
}

/** Goes back to the release that was installed before; the one that is left is not installed again by itself. */
export async function rollbackTree(node: Node, component: Component): Promise<TreeResult> {
  return working(node, component, { command: 'rollback', dryRun: false, path: undefined }, async (source) => {
    const left = await installedTree(node, component)
    const query = { trust: trustOf(node, component), store: node.store, mirrors: source.mirrors, signal: node.signal }
    const release = await accepted(node, component, await findRelease(query, 'previous'), { dryRun: false })
    // first: whatever comes of the rest, it is not to be installed again by itself
    if (left !== undefined && left.cid !== release.cid) await avoidRelease(node, component, left, true)
    const result = await install(node, component, { release, source, wish: { installed: left, mends: false, dryRun: false } })
    await recordAttempt(node, { what: 'rollback', result: 'ok', product: component.name, serial: left?.manifest.serial ?? 0 })
    return result
  })
}

/** Why a sync installs nothing: somebody holds the product, or went back from that release. */
async function reasonToWait(node: Node, component: Component, release: Release): Promise<string | undefined> {
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
  { release, source, held }: { release: Release; source: Source; held: string },
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
