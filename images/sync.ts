// Sync: choose the slot, apply. The one command an unattended node runs (spec/sync.md).
import { type Component, isPsyblobError, type Preference } from '../core/mod.ts'
import { holdOf, knownOf, readState, type State, type VerifiedManifest } from '../store/mod.ts'
import { type Applied, apply, refuseBooted } from './apply.ts'
import { contents, fellBackFrom, follow, followSlots, hasFiles, runningSlot, slotContent } from './current.ts'
import { avoidRelease } from './known.ts'
import { readTrusted } from './learnt.ts'
import type { Machine } from './machine.ts'
import {
  learnLink,
  type Node,
  openSource,
  prepareStore,
  recordAttempt,
  recordFailure,
  recordResult,
  refreshTrusted,
  slotsTarget,
  trustOf,
  withMachine,
  withStore,
} from './node.ts'
import { isPending } from './pending.ts'
import { otherSlot, type SlotName } from './slot.ts'
import type { SlotContent } from './slot-files.ts'

export type SyncOptions = {
  readonly dryRun: boolean
  readonly force: boolean
  readonly activate: boolean
  /** A folder made by `download`, instead of the remotes. */
  readonly path: string | undefined
  /** What decides; undefined: what the composition says, else the time. */
  readonly prefer?: Preference | undefined
  /** Somebody wants to know whether a reboot is due. */
  readonly reboot: boolean
}

export type Synced = Applied & {
  readonly product: string
  readonly serial: number
  readonly version: string
  /** What the machine ran, or was to boot, before; null when there was nothing. */
  readonly previousSerial: number | null
  readonly seconds: number
  /** True when another slot than the booted one boots next, by this run or an earlier one, and nothing is known against it. */
  readonly pending: boolean
  /** Why nothing was done although the release is not in use; undefined otherwise. */
  readonly held: string | undefined
}

/** Brings one product up to date. Errors: those of `refresh` and `apply`, and `locked`. */
export async function sync(node: Node, component: Component, options: SyncOptions): Promise<Synced> {
  slotsTarget(component)
  if (!options.dryRun) await prepareStore(node)
  return withStore(node, async () => {
    try {
      const synced = await synchronise(node, component, options)
      if (!options.dryRun) {
        await recordResult(node, component.name, 'sync', undefined)
        await recordSync(node, synced)
      }
      return synced
    } catch (error) {
      if (!options.dryRun && !isPsyblobError(error, 'interrupted')) {
        await recordResult(node, component.name, 'sync', error)
        await recordFailure(node, component.name, 'sync', error)
      }
      throw error
    }
  })
}

/** Nothing to do is nothing to tell. */
async function recordSync(node: Node, { product, slot, serial, changed, activated, held }: Synced): Promise<void> {
  if (held !== undefined) await recordAttempt(node, { what: 'sync', result: 'held', product, serial, message: held })
  else if (changed || activated) await recordAttempt(node, { what: 'sync', result: 'installed', product, slot, serial })
}

async function synchronise(
  node: Node,
  component: Component,
  { dryRun, force, activate, prefer, path, reboot }: SyncOptions,
): Promise<Synced> {
  const started = performance.now()
  const { store, report, signal } = node
  const source = await openSource(node, component, path)
  try {
    report({ type: 'step', step: 'verify', about: `${component.name} from ${source.mirrors.label}` })
    const state = await readTrusted(node, component, { keep: !dryRun })
    // persisted once all checks held, and before the first byte: what was seen stays seen whatever happens next
    const refreshed = await refreshTrusted(node, component, { source, state, keep: !dryRun })
    const trust = trustOf(node, component)
    const { release } = refreshed
    const hold = force ? undefined : holdOf(refreshed.state, component.name)
    return await withMachine(node, component, async (machine) => {
      const finished = async (applied: Applied, previousSerial: number | null, held?: string): Promise<Synced> => ({
        ...applied,
        // what is held stays with what runs
        pending:
          reboot &&
          hold === undefined &&
          (applied.activated || (await isPending(machine, { product: component.name, authority: trust.authority }))),
        product: component.name,
        serial: release.manifest.serial,
        version: release.manifest.version,
        previousSerial,
        seconds: Math.round(performance.now() - started) / 1000,
        held,
      })
      const nothing = (slot: SlotName): Applied => {
        const { bytes, requests } = source.meter
        return {
          slot,
          changed: false,
          activated: false,
          bytes: { total: release.manifest.size, fetched: bytes, reused: release.manifest.size, written: 0 },
          requests,
          plan: [],
        }
      }
      const current = async (slot: SlotName, before: VerifiedManifest): Promise<Synced> => {
        if (!dryRun) await follow(node, component.name, before, trust.authority)
        return finished(nothing(slot), before.manifest.serial)
      }
      // the common case, looked at before anything else is: the booted slot has it
      const { booted } = machine
      if (booted !== undefined && !force) {
        const content = await slotContent(machine, booted, { product: component.name, authority: trust.authority })
        if (content.state === 'release' && (await holds(machine, booted, content, release))) return current(booted, content.release)
      }
      const slots = await contents(machine, component.name, trust.authority)
      const running = await runningSlot(machine, slots)
      const before = running === undefined ? undefined : slots[running]
      const previousSerial = before?.state === 'release' ? before.release.manifest.serial : null
      const target = chooseTarget(machine, running)
      if (!force && running !== undefined && before?.state === 'release' && (await holds(machine, running, before, release)))
        return current(running, before.release)
      const failed = fellBackFrom(machine, slots, await machine.bootloader.read())
      if (failed !== undefined && !force) {
        const text = `${component.name} ${failed.manifest.serial} did not boot in three tries; this machine went back to slot ${machine.booted}`
        report({ type: 'warning', text })
        if (!dryRun) await rememberFailed(node, component, machine, failed)
      }
      if (hold !== undefined) {
        const why = hold.why === '' ? '' : ` (${hold.why})`
        return finished(
          nothing(target),
          previousSerial,
          `${component.name} is held since ${hold.at}${why}; psyblob unhold ${component.name} lets it go on`,
        )
      }
      const avoided = [
        ...avoidedSerials(refreshed.state, component.name),
        ...(failed === undefined || force ? [] : [failed.manifest.serial]),
      ]
      if (!force && avoided.includes(release.manifest.serial)) {
        return finished(
          nothing(target),
          previousSerial,
          `serial ${release.manifest.serial} did not boot, was rolled back or marked bad on this machine; psyblob sync --force takes it all the same`,
        )
      }
      refuseBooted(machine, target)
      const applied = await apply({
        product: component.name,
        authority: trust.authority,
        release,
        machine,
        target,
        store,
        mirrors: source.mirrors,
        meter: source.meter,
        force,
        activate,
        prefer: prefer ?? component.prefer ?? 'time',
        dryRun,
        report,
        signal,
      })
      if (!dryRun) {
        await learnLink(node, source)
        await followSlots(node, component.name, trust.authority, machine)
        if (force) await avoidRelease(node, component, release, false)
      }
      return finished(applied, previousSerial)
    })
  } finally {
    await source.close()
  }
}

/** Once: the boot loader says so until something else is installed. */
async function rememberFailed(node: Node, component: Component, machine: Machine, failed: VerifiedManifest): Promise<void> {
  const { serial } = failed.manifest
  const known = knownOf(await readState(node.store.dir), trustOf(node, component))
  if (known?.avoided?.includes(serial)) return
  await avoidRelease(node, component, failed, true)
  const slot = machine.booted === undefined ? {} : { slot: otherSlot(machine.booted) }
  await recordAttempt(node, { what: 'fallback', result: 'failed', product: component.name, serial, ...slot })
}

async function holds(machine: Machine, name: SlotName, content: SlotContent, release: VerifiedManifest): Promise<boolean> {
  return content.state === 'release' && content.release.cid === release.cid && (await hasFiles(machine, name, release))
}

/** Never the booted slot. When no slot counts as booted, the one that is not in use; a fresh machine begins with a. */
function chooseTarget(machine: Machine, running: SlotName | undefined): SlotName {
  if (machine.booted !== undefined) return otherSlot(machine.booted)
  return running === undefined ? 'a' : otherSlot(running)
}

function avoidedSerials(state: State, product: string): readonly number[] {
  return Object.hasOwn(state.products, product) ? (state.products[product]?.avoided ?? []) : []
}
