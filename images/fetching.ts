// The parts of sync one by one: refresh, download, apply by name or by file.
import { type Component, type Preference, PsyblobError } from '../core/mod.ts'
import {
  checkManifestHeader,
  type Downloaded,
  download,
  findRelease,
  keepManifest,
  knownOf,
  openWriter,
  type Release,
  readState,
  releaseAt,
  type VerifiedManifest,
} from '../store/mod.ts'
import { type Applied, apply } from './apply.ts'
import { contents, followSlots, runningSlot } from './current.ts'
import { changeKnown } from './known.ts'
import { readTrusted } from './learnt.ts'
import {
  learnLink,
  type Node,
  openSource,
  prepareStore,
  recordResult,
  refreshTrusted,
  slotsTarget,
  trustOf,
  withMachine,
  withStore,
} from './node.ts'
import { otherSlot, type SlotName } from './slot.ts'

export type RefreshedProduct = {
  readonly product: string
  readonly serial: number
  readonly version: string
  readonly news: boolean
  readonly expires: string
  readonly requests: number
}

/** Pointer and manifest only. */
export async function refreshProduct(node: Node, component: Component): Promise<RefreshedProduct> {
  await prepareStore(node)
  return withStore(node, async () => {
    const source = await openSource(node, component)
    try {
      node.report({ type: 'step', step: 'verify', about: `${component.name} from ${source.mirrors.label}` })
      const state = await readTrusted(node, component, { keep: true })
      const refreshed = await refreshTrusted(node, component, { source, state, keep: true })
      const { serial, version } = refreshed.release.manifest
      return { product: component.name, serial, version, news: refreshed.news, expires: refreshed.expires, requests: source.meter.requests }
    } catch (error) {
      await recordResult(node, component.name, 'refresh', error)
      throw error
    } finally {
      await source.close()
    }
  })
}

export type DownloadedProduct = Downloaded & {
  readonly product: string
  readonly serial: number
  readonly version: string
  readonly dir: string
  readonly requests: number
}

/** The newest release as a repository folder of its own. Needs no store. */
export async function downloadProduct(node: Node, component: Component, dir: string): Promise<DownloadedProduct> {
  const source = await openSource(node, component)
  try {
    node.report({ type: 'step', step: 'verify', about: `${component.name} from ${source.mirrors.label}` })
    const state = await readState(node.store.dir)
    const { release, pointer } = await refreshTrusted(node, component, { source, state, keep: false })
    const downloaded = await download({
      trust: trustOf(node, component),
      release,
      pointer,
      mirrors: source.mirrors,
      to: openWriter(dir),
      report: node.report,
      signal: node.signal,
    })
    const { serial, version } = release.manifest
    return { ...downloaded, product: component.name, serial, version, dir, requests: source.meter.requests }
  } finally {
    await source.close()
  }
}

export type ApplyRequest = {
  readonly slot: SlotName | undefined
  /** Serial, version label, `latest`, `current`, `previous`. */
  readonly version: string | undefined
  /** A manifest file in a repository folder or a slot. */
  readonly path: string | undefined
  readonly force: boolean
  readonly activate: boolean
  /** As in `sync`. */
  readonly prefer?: Preference | undefined
  readonly dryRun: boolean
}

export type AppliedProduct = Applied & { readonly product: string; readonly serial: number; readonly version: string }

/** Installs a release that somebody names. Never one older than what has proved to boot here: `rollback`. */
export async function applyProduct(node: Node, component: Component, request: ApplyRequest): Promise<AppliedProduct> {
  slotsTarget(component)
  if (!request.dryRun) await prepareStore(node)
  return withStore(node, async () => {
    const trust = trustOf(node, component)
    const state = await readTrusted(node, component, { keep: !request.dryRun })
    const known = knownOf(state, trust)
    const named = request.path === undefined ? undefined : await releaseAt(request.path, trust)
    const source = await openSource(node, component, named?.repository)
    try {
      const query = { trust, store: node.store, mirrors: source.mirrors, signal: node.signal }
      const release =
        named?.release ??
        (request.version === undefined ? await newest(node, component, source, request.dryRun) : await findRelease(query, request.version))
      const { serial, version } = release.manifest
      checkManifestHeader(
        release.manifest,
        { name: component.name, repo: trust.repo ?? known?.repo, compat: trust.compat },
        `manifest ${component.name}/${serial}`,
      )
      checkKnown(component, release, known)
      return await withMachine(node, component, async (machine) => {
        const slots = await contents(machine, component.name, trust.authority)
        const running = await runningSlot(machine, slots)
        const target = request.slot ?? (running === undefined ? 'a' : otherSlot(running))
        const { force, activate, prefer, dryRun } = request
        const applied = await apply({
          product: component.name,
          authority: trust.authority,
          release,
          machine,
          target,
          store: node.store,
          mirrors: source.mirrors,
          meter: source.meter,
          force,
          activate,
          prefer: prefer ?? component.prefer ?? 'time',
          dryRun,
          report: node.report,
          signal: node.signal,
        })
        if (!dryRun) {
          await learnLink(node, source)
          await keepManifest(node.store, component.name, release, trust.authority)
          await changeKnown(node, component, release, (before) => before)
          await followSlots(node, component.name, trust.authority, machine)
          await recordResult(node, component.name, 'apply', undefined)
        }
        return { ...applied, product: component.name, serial, version }
      })
    } catch (error) {
      if (!request.dryRun) await recordResult(node, component.name, 'apply', error)
      throw error
    } finally {
      await source.close()
    }
  })
}

/** The newest release that the remotes have; what was learnt of them is kept. */
export async function newest(
  node: Node,
  component: Component,
  source: Awaited<ReturnType<typeof openSource>>,
  dryRun: boolean,
): Promise<VerifiedManifest> {
  const state = await readState(node.store.dir)
  const refreshed = await refreshTrusted(node, component, { source, state, keep: !dryRun })
  return refreshed.release
}

/** Throws `rollback` or `untrusted` for what this machine knows better. */
export function checkKnown(component: Component, { manifest, cid }: Release, known: ReturnType<typeof knownOf>): void {
  const { serial } = manifest
  if (known?.floor !== undefined && serial < known.floor) {
    throw new PsyblobError('rollback', `${component.name} ${serial} is older than ${known.floor}, which has proved to boot here`, {
      hint: 'to go back on purpose, the publisher publishes the old content again; this machine can go back by psyblob rollback',
    })
  }
  if (known?.seen?.serial === serial && known.seen.manifest !== cid) {
    throw new PsyblobError('untrusted', `${component.name} ${serial} was ${known.seen.manifest} before and is ${cid} now`, {
      hint: 'two releases were signed with one serial; ask the publisher before anything else',
    })
  }
}
