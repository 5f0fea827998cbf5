// An EFI partition as a product: sync, apply, check, verify, status.
import { type Component, isPsyblobError, PsyblobError, visible } from '../core/mod.ts'
import {
  checkManifestHeader,
  findRelease,
  holdOf,
  keepManifest,
  knownOf,
  readState,
  releaseAt,
  type VerifiedManifest,
} from '../store/mod.ts'
import { type Checked, wantedRelease } from './check.ts'
import { follow } from './current.ts'
import { auditEfi, type EfiContent, readEfi } from './efi-content.ts'
import type { EfiPartition } from './efi-partition.ts'
import { finishTrial } from './efi-trial.ts'
import { applyEfi, type EfiApplied } from './efisys.ts'
import { checkKnown, newest } from './fetching.ts'
import { avoidRelease, changeKnown } from './known.ts'
import { readTrusted } from './learnt.ts'
import {
  learnLink,
  type Node,
  openEfi,
  openSource,
  prepareStore,
  recordResult,
  refreshTrusted,
  type Source,
  trustOf,
  withEfi,
  withStore,
} from './node.ts'
import { isRebootDue } from './pending.ts'
import type { Audit } from './verify.ts'

export type EfiResult = EfiApplied & {
  readonly product: string
  readonly serial: number
  readonly version: string
  /** What the partition held before; null when it held nothing that can be believed. */
  readonly previousSerial: number | null
  /** Why nothing was done although the partition does not hold the release. */
  readonly held: string | undefined
  readonly seconds: number
}

/** Brings the EFI partition up to date. Errors: those of `refresh` and `applyEfi`, and `locked`. */
export async function syncEfi(
  node: Node,
  component: Component,
  { dryRun, force, path }: { readonly dryRun: boolean; readonly force: boolean; readonly path: string | undefined },
): Promise<EfiResult> {
  return working(node, component, { command: 'sync', dryRun }, async () => {
    const source = await openSource(node, component, path)
    try {
      node.report({ type: 'step', step: 'verify', about: `${component.name} from ${source.mirrors.label}` })
      const state = await readTrusted(node, component, { keep: !dryRun })
      const refreshed = await refreshTrusted(node, component, { source, state, keep: !dryRun })
      return await installEfi(node, component, { release: refreshed.release, source, force, dryRun, minds: true })
    } finally {
      await source.close()
    }
  })
}

export type EfiRequest = {
  readonly version: string | undefined
  readonly path: string | undefined
  readonly force: boolean
  readonly dryRun: boolean
}

/** Installs a release that somebody names. Never one older than what has proved to boot here: `rollback`. */
export async function applyEfiProduct(node: Node, component: Component, { version, path, force, dryRun }: EfiRequest): Promise<EfiResult> {
  return working(node, component, { command: 'apply', dryRun }, async () => {
    const trust = trustOf(node, component)
    const known = knownOf(await readTrusted(node, component, { keep: !dryRun }), trust)
    const named = path === undefined ? undefined : await releaseAt(path, trust)
    const source = await openSource(node, component, named?.repository)
    try {
      const query = { trust, store: node.store, mirrors: source.mirrors, signal: node.signal }
      const release =
        named?.release ?? (version === undefined ? await newest(node, component, source, dryRun) : await findRelease(query, version))
      const what = `manifest ${component.name}/${release.manifest.serial}`
      checkManifestHeader(release.manifest, { name: component.name, repo: trust.repo ?? known?.repo, compat: trust.compat }, what)
      checkKnown(component, release, known)
      const result = await installEfi(node, component, { release, source, force, dryRun, minds: false })
      if (!dryRun) await changeKnown(node, component, release, (before) => before)
      return result
    } finally {
      await source.close()
    }
  })
}

/** The store is held while `work` runs, and what it came to is recorded. */
async function working<Result>(
  node: Node,
  component: Component,
  { command, dryRun }: { readonly command: string; readonly dryRun: boolean },
  work: () => Promise<Omit<Result, 'seconds'>>,
): Promise<Result> {
  const started = performance.now()
  if (!dryRun) await prepareStore(node)
  return withStore(node, async () => {
    try {
      const result = await work()
      if (!dryRun) await recordResult(node, component.name, command, undefined)
      return { ...result, seconds: Math.round(performance.now() - started) / 1000 } as Result
    } catch (error) {
      if (!dryRun && !isPsyblobError(error, 'interrupted')) await recordResult(node, component.name, command, error)
      throw error
    }
  })
}

type Installation = {
  readonly release: VerifiedManifest
  readonly source: Source
  readonly force: boolean
  readonly dryRun: boolean
  /** What did not boot, or is not wanted here, is not installed by itself. */
  readonly minds: boolean
}

async function installEfi(
  node: Node,
  component: Component,
  { release, source, force, dryRun, minds }: Installation,
): Promise<Omit<EfiResult, 'seconds'>> {
  const { authority } = trustOf(node, component)
  const { serial, version } = release.manifest
  return withEfi(node, component, async (partition) => {
    if (!dryRun) await finishTrial(node, component, partition)
    const { sealed } = await readEfi(partition, { product: component.name, authority })
    const before = sealed.state === 'release' ? sealed.release : undefined
    const apply = (wanted: VerifiedManifest) =>
      applyEfi({
        product: component.name,
        authority,
        release: wanted,
        partition,
        store: node.store,
        mirrors: source.mirrors,
        meter: source.meter,
        force,
        dryRun,
        report: node.report,
        signal: node.signal,
      })
    const answer = { product: component.name, serial, version, previousSerial: before?.manifest.serial ?? null, held: undefined }
    const state = await readState(node.store.dir)
    const hold = minds && !force ? holdOf(state, component.name) : undefined
    const nothing = {
      changed: false,
      onTrial: false,
      bytes: { total: release.manifest.size, fetched: source.meter.bytes, reused: 0, written: 0 },
      requests: source.meter.requests,
      plan: [],
    }
    if (hold !== undefined && before?.cid !== release.cid) {
      const reason = hold.why === '' ? '' : ` (${hold.why})`
      return { ...answer, ...nothing, held: `held since ${hold.at}${reason}; psyblob unhold ${component.name} lets it go on` }
    }
    // a system that does not come up must not be held against the boot loader that started it
    const waiting = minds && !force && before?.cid !== release.cid ? await productOnTrial(node) : undefined
    if (waiting !== undefined) return { ...answer, ...nothing, held: `it waits until what is new of ${waiting} has been booted` }
    const known = knownOf(state, trustOf(node, component))
    if (minds && !force && before?.cid !== release.cid && known?.avoided?.includes(serial) === true) {
      const held = `serial ${serial} did not boot or was marked bad on this machine; psyblob sync --force takes it all the same`
      // what is damaged of the release in force is mended meanwhile
      const kept = before === undefined ? undefined : await apply(before)
      const { bytes, requests } = {
        bytes: { total: release.manifest.size, fetched: source.meter.bytes, reused: 0, written: 0 },
        requests: source.meter.requests,
        ...kept,
      }
      return { ...answer, changed: false, onTrial: false, bytes, requests, plan: [], held }
    }
    const applied = await apply(release)
    if (!dryRun) {
      await learnLink(node, source)
      await keepManifest(node.store, component.name, release, authority)
      if (!applied.onTrial) await follow(node, component.name, release, authority)
      if (force) await avoidRelease(node, component, release, false)
    }
    return { ...answer, ...applied }
  })
}

/** A product with a slot that waits to be booted for the first time. */
async function productOnTrial(node: Node): Promise<string | undefined> {
  for (const component of node.components) {
    if (component.target.kind !== 'slots') continue
    const isDue = await isRebootDue(node, component, undefined).catch((error: unknown) => {
      if (!isPsyblobError(error) || error.code === 'interrupted') throw error
      return false
    })
    if (isDue) return component.name
  }
  return undefined
}

/** Is it that release, byte for byte? */
export async function checkEfi(
  node: Node,
  component: Component,
  wanted: { readonly release: string } | { readonly path: string },
): Promise<Checked> {
  const { authority } = trustOf(node, component)
  const expected = await wantedRelease(node, component, wanted)
  const { serial, version } = expected.manifest
  return looking(node, component, async (partition) => {
    const { sealed, next, loader } = await readEfi(partition, { product: component.name, authority })
    const found = sealed.state === 'release' ? { serial: sealed.release.manifest.serial, version: sealed.release.manifest.version } : null
    const answer = { product: component.name, slot: null, expected: { serial, version }, found, findings: [] }
    const no = (...reasons: readonly string[]): Checked => ({ ...answer, matches: false, reasons })
    const pending = pendingText({ next, loader })
    if (pending !== undefined && next?.cid === expected.cid) return no(pending)
    if (sealed.state === 'refused') return no(sealed.error.message)
    if (sealed.state === 'empty')
      return no(sealed.unfinished ? 'an installation there was cut short' : 'the EFI partition holds no release')
    if (sealed.release.cid !== expected.cid) return no(`expected serial ${serial} (${version}), got ${found?.serial} (${found?.version})`)
    if (next !== undefined && pending === undefined) return no('an installation there was cut short')
    if (pending !== undefined) return no(pending)
    const findings = await auditEfi(partition, expected.manifest, { onTrial: false, signal: node.signal })
    return { ...answer, matches: findings.length === 0, findings, reasons: findings.map(({ path, problem }) => `${path}: ${problem}`) }
  })
}

function pendingText({ next, loader }: Pick<EfiContent, 'next' | 'loader'>): string | undefined {
  if (next === undefined || loader.asked === undefined) return undefined
  const { name, serial, version } = next.manifest
  const when = loader.begun === loader.asked.trial ? 'was tried, and what became of it is not settled' : 'is tried at the next boot'
  return `the boot loader of ${name} ${serial} (${version}) ${when}`
}

/** Audits the partition: what it says that it holds, or, while a boot loader waits for its trial, that release. */
export async function verifyEfi(node: Node, component: Component): Promise<Audit> {
  const { name } = component
  return looking(node, component, async (partition) => {
    node.report({ type: 'step', step: 'verify', about: visible(partition.label) })
    const { sealed, next, loader } = await readEfi(partition, { product: name, authority: trustOf(node, component).authority })
    const empty = { product: name, place: 'the EFI partition', serial: null, version: null, bytes: 0, findings: [], error: undefined }
    const onTrial = next !== undefined && loader.asked !== undefined
    if (next !== undefined && !onTrial)
      return {
        ...empty,
        error: new PsyblobError('corrupt', 'an installation there was cut short', { hint: `psyblob sync ${name} finishes it` }),
      }
    if (!onTrial && sealed.state === 'refused') return { ...empty, error: sealed.error }
    const release = onTrial ? next : sealed.state === 'release' ? sealed.release : undefined
    if (release === undefined)
      throw new PsyblobError('not-found', `the EFI partition holds no release of ${name}`, { hint: `psyblob sync ${name} installs one` })
    const { manifest } = release
    let bytes = 0
    const onBytes = (more: number) => {
      bytes += more
      node.report({ type: 'bytes', done: bytes, total: manifest.size })
    }
    const findings = await auditEfi(partition, manifest, { onTrial, onBytes, signal: node.signal })
    const pending = pendingText({ next, loader })
    return {
      ...empty,
      place: pending === undefined ? empty.place : `${empty.place} (${pending})`,
      serial: manifest.serial,
      version: manifest.version,
      bytes,
      findings,
    }
  })
}

export type EfiStatus = {
  readonly place: string
  readonly state: 'release' | 'empty' | 'unfinished' | 'refused'
  readonly serial: number | null
  readonly version: string | null
  readonly manifest: string | null
  /** Why the manifest there is not believed. */
  readonly why: string | null
  /** The release whose boot loader is to be tried. */
  readonly trial: { readonly serial: number; readonly version: string; readonly id: string; readonly begun: boolean } | null
}

/** A partition that is not there, or no FAT, is told as well: status is what somebody asks who wonders why. */
export async function efiStatus(node: Node, component: Component): Promise<EfiStatus> {
  return readStatus(node, component).catch((error: unknown) => {
    if (!isPsyblobError(error, 'not-found', 'unsupported', 'corrupt')) throw error
    const nothing = { serial: null, version: null, manifest: null, trial: null }
    return { ...nothing, place: '', state: 'refused', why: error.message }
  })
}

async function readStatus(node: Node, component: Component): Promise<EfiStatus> {
  return looking(node, component, async (partition) => {
    const { sealed, next, loader } = await readEfi(partition, { product: component.name, authority: trustOf(node, component).authority })
    const { asked, begun } = loader
    const release = sealed.state === 'release' ? sealed.release : undefined
    const isUnfinished = next !== undefined && asked === undefined
    return {
      place: partition.label,
      state: isUnfinished ? 'unfinished' : sealed.state,
      serial: release?.manifest.serial ?? null,
      version: release?.manifest.version ?? null,
      manifest: release?.cid ?? null,
      why: sealed.state === 'refused' ? sealed.error.message : null,
      trial:
        next === undefined || asked === undefined
          ? null
          : { serial: next.manifest.serial, version: next.manifest.version, id: asked.id, begun: begun === asked.trial },
    }
  })
}

async function looking<Result>(node: Node, component: Component, work: (partition: EfiPartition) => Promise<Result>): Promise<Result> {
  const partition = await openEfi(node, component)
  try {
    return await work(partition)
  } finally {
    await partition.close()
  }
}

/** The number of the trial that a boot loader waits for, which takes a reboot. */
export async function dueTrial(node: Node, component: Component): Promise<number | undefined> {
  if (holdOf(await readState(node.store.dir), component.name) !== undefined) return undefined
  const partition = await openEfi(node, component)
  try {
    const { loader } = await readEfi(partition, { product: component.name, authority: trustOf(node, component).authority })
    return loader.asked !== undefined && loader.begun !== loader.asked.trial ? loader.asked.trial : undefined
  } finally {
    await partition.close()
  }
}
