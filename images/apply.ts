// Writes a release into a slot: plan, write, read back, seal, flip. Whenever the power goes, the machine boots the old release or the new one.
import { join } from 'node:path'
import { isPsyblobError, type Manifest, type Preference, PsyblobError, parseManifest, type Report } from '../core/mod.ts'
import {
  type Authority,
  assemble,
  costOf,
  dropParts,
  type EntryPlan,
  type LocalStore,
  type Meter,
  type Mirrors,
  partsOf,
  planRelease,
  readBack,
  type SeedFolder,
  type VerifiedManifest,
  type Way,
} from '../store/mod.ts'
import type { Machine } from './machine.ts'
import { type OpenSlot, otherSlot, type SlotName } from './slot.ts'
import {
  beginWriting,
  checkSlotEntries,
  formerManifest,
  hasMode,
  missingFiles,
  placeFile,
  readSlot,
  refuseForeign,
  removeStrays,
  seal,
  setMode,
  strayFiles,
  workFolder,
} from './slot-files.ts'
import { bytesOf, freeBytes, neededBytes, noSpace, stalePartBytes } from './space.ts'

export type ApplyOptions = {
  readonly product: string
  readonly authority: Authority
  readonly release: VerifiedManifest
  readonly machine: Machine
  readonly target: SlotName
  readonly store: LocalStore
  readonly mirrors: Mirrors
  readonly meter: Meter
  /** Write even when the slot holds the release; take over a slot with foreign files. */
  readonly force: boolean
  /** Go through the whole of it even when the slot says that it holds the release, keeping what is right. */
  readonly repair?: boolean
  readonly activate: boolean
  readonly prefer: Preference
  readonly dryRun: boolean
  readonly report: Report
  readonly signal?: AbortSignal | undefined
}

/** One entry of the plan as it is printed: bytes, requests. */
export type PlanLine = {
  readonly path: string
  readonly how: EntryPlan['how'] | 'patch'
  readonly size: number
  readonly fetch: number
  readonly reuse: number
  readonly write: number
  readonly requests: number
  /** The ways to what is missing, with the seconds they would take; the one that is taken first. */
  readonly ways: readonly Way[]
}

export type Applied = {
  readonly slot: SlotName
  /** The slot was written, or would be. */
  readonly changed: boolean
  /** The boot loader was told to try the slot first, or would be. */
  readonly activated: boolean
  readonly bytes: { readonly total: number; readonly fetched: number; readonly reused: number; readonly written: number }
  readonly requests: number
  readonly plan: readonly PlanLine[]
}

/** Errors: `conflict` (the booted slot, foreign files), `no-space`, `unavailable`, `corrupt`, and those of opening slots. */
export async function apply(options: ApplyOptions): Promise<Applied> {
  const { machine, target, release, force, product, authority } = options
  refuseBooted(machine, target)
  checkSlotEntries(release.manifest)
  const other = await openSeed(machine, otherSlot(target), options.report)
  try {
    const slot = await openIfThere(machine, target)
    try {
      const content = slot === undefined ? undefined : await readSlot(slot.dir, { product, authority })
      const holds =
        content?.state === 'release' &&
        content.release.cid === release.cid &&
        (await missingFiles((slot as OpenSlot).dir, release.manifest)).length === 0
      if (holds && !force && options.repair !== true) {
        const { meter } = options
        const bytes = { total: release.manifest.size, fetched: meter.bytes, reused: release.manifest.size, written: 0 }
        return { slot: target, changed: false, activated: await flip(options, false), bytes, requests: meter.requests, plan: [] }
      }
      return await install(options, { slot, other, holds })
    } finally {
      await slot?.close()
    }
  } finally {
    await other?.close()
  }
}

/** Throws `conflict` when the machine runs from that slot. */
export function refuseBooted(machine: Machine, slot: SlotName): void {
  if (machine.booted !== slot) return
  throw new PsyblobError('conflict', `slot ${slot} is the one this machine runs from`, {
    hint: `write slot ${otherSlot(slot)} instead, and boot it; the running one is never written`,
  })
}

async function openIfThere(machine: Machine, name: SlotName): Promise<OpenSlot | undefined> {
  try {
    return await machine.slots[name].open({ write: false })
  } catch (error) {
    if (isPsyblobError(error, 'not-found')) return undefined
    throw error
  }
}

/** The slot that is not written only lends what it has: one that cannot be mounted has nothing. */
async function openSeed(machine: Machine, name: SlotName, report: Report): Promise<OpenSlot | undefined> {
  try {
    return await openIfThere(machine, name)
  } catch (error) {
    if (!isPsyblobError(error, 'command-failed', 'corrupt')) throw error
    report({ type: 'warning', text: `slot ${name} lends nothing: ${error.message}` })
    return undefined
  }
}

async function seedFolder(slot: OpenSlot | undefined): Promise<SeedFolder | undefined> {
  if (slot === undefined) return undefined
  const body = await formerManifest(slot.dir)
  return { dir: slot.dir, manifest: body === undefined ? undefined : hintOf(body) }
}

function hintOf(body: Uint8Array): Manifest | undefined {
  try {
    return parseManifest(body, 'former manifest')
  } catch (error) {
    if (isPsyblobError(error)) return undefined
    throw error
  }
}

type Planned = {
  readonly plans: readonly EntryPlan[] /** Old files to remove before the new ones are written, for want of room. */
  readonly removeFirst: readonly string[]
}

async function plan(options: ApplyOptions, slot: OpenSlot | undefined, other: OpenSlot | undefined): Promise<Planned> {
  const { release, machine, target, store, mirrors, meter, report, signal } = options
  const own = await seedFolder(slot)
  const seeds = await seedFolder(other)
  const dir = slot?.dir ?? machine.slots[target].label
  const parts = join(dir, workFolder)
  const make = ({ frugal = false, patches = true } = {}) =>
    planRelease({
      manifest: release.manifest,
      target: own,
      others: seeds === undefined ? [] : [seeds],
      parts,
      store,
      mirrors,
      meter,
      force: options.force,
      keepIndexes: !options.dryRun,
      frugal,
      // a repair leaves the slot what it says it is until it has everything, if there is room for that
      adopt: frugal || options.repair !== true,
      prefer: options.prefer,
      patches,
      report,
      signal,
    })
  let plans = await make()
  let free = (await freeBytes(dir)) + (await stalePartBytes(parts, partsOf(plans)))
  let needed = await neededBytes(plans, parts)
  const patched = plans.filter((one) => one.how === 'chunks' && one.patch !== undefined)
  if (needed > free && patched.length > 0) {
    plans = await make({ patches: false })
    needed = await neededBytes(plans, parts)
    free = (await freeBytes(dir)) + (await stalePartBytes(parts, partsOf(plans)))
    if (needed <= free) {
      const paths = patched.map(({ entry }) => entry.path).join(', ')
      report({ type: 'warning', text: `slot ${target} has no room for a patch of ${paths} besides it: chunks are fetched instead` })
    }
  }
  if (needed <= free) return { plans, removeFirst: [] }
  if (own === undefined) throw noSpace(machine.slots[target].label, needed - free, needed)

  // both releases do not fit beside each other: the old files make room, and are no seeds then
  const frugal = await make({ frugal: true, patches: false })
  const kept = new Set(
    frugal.filter((one) => one.how === 'keep' || (one.how === 'chunks' && one.adopt !== undefined)).map((one) => one.entry.path),
  )
  const removeFirst = [
    ...(await strayFiles(dir, release.manifest)),
    ...release.manifest.records.map((record) => record.path).filter((path) => !kept.has(path)),
  ]
  const room = free + (await bytesOf(dir, removeFirst))
  const least = await neededBytes(frugal, parts)
  if (least > room) throw noSpace(machine.slots[target].label, least - room, least)
  report({
    type: 'warning',
    text: `slot ${machine.slots[target].label} has no room for two releases: its old files go first, and more has to be fetched`,
  })
  return { plans: frugal, removeFirst }
}

type Slots = {
  readonly slot: OpenSlot | undefined
  readonly other: OpenSlot | undefined
  /** The slot says that it holds the release, and every file is there with the right size. */
  readonly holds: boolean
}

async function install(options: ApplyOptions, { slot, other, holds }: Slots): Promise<Applied> {
  const { machine, target, release, meter, report, signal, dryRun } = options
  const { manifest } = release
  if (slot !== undefined && !options.force) await refuseForeign(slot.dir, options.product, machine.slots[target].label)
  report({ type: 'step', step: 'plan' })
  const planned = await plan(options, slot, other)
  const lines = planned.plans.map(lineOf)
  const sum = (pick: (line: PlanLine) => number) => lines.reduce((total, line) => total + pick(line), 0)
  const strays = slot === undefined ? [] : await strayFiles(slot.dir, manifest)
  await tellForeign(options, slot, strays)
  const isRight = holds && strays.length === 0 && planned.plans.every((one) => one.how === 'keep') && (await modesHold(slot, manifest))
  const outcome = { slot: target, changed: !isRight, plan: lines }
  const moved = { total: manifest.size, reused: sum((line) => line.reuse), written: sum((line) => line.write) }
  if (dryRun) {
    const bytes = { ...moved, fetched: meter.bytes + sum((line) => line.fetch) }
    const activated = isRight ? await flip(options, false) : options.activate
    return { ...outcome, activated, bytes, requests: meter.requests + sum((line) => line.requests) }
  }
  if (isRight)
    return { ...outcome, activated: await flip(options, false), bytes: { ...moved, fetched: meter.bytes }, requests: meter.requests }
  signal?.throwIfAborted()
  // everything is known now: from here on the slot is written
  const { dir } = await machine.slots[target].open({ write: true })
  const parts = join(dir, workFolder)

  report({ type: 'step', step: 'write', about: `slot ${target}` })
  // what replaces nothing before it is complete may fail, or be cut short, and the slot still is what it was
  const isBeside =
    options.repair === true && planned.removeFirst.length === 0 && !planned.plans.some((one) => one.how === 'chunks' && one.adopt)
  const begin = async () => {
    await unmarkGood(options)
    await beginWriting(dir)
  }
  if (!isBeside) await begin()
  await dropParts(parts, partsOf(planned.plans))
  await removeStrays(dir, planned.removeFirst)
  const assembled = await assemble({ plans: planned.plans, parts, mirrors: options.mirrors, report, signal })

  report({ type: 'step', step: 'read back' })
  let done = 0
  const onBytes = (bytes: number) => {
    done += bytes
    report({ type: 'bytes', done, total: manifest.size })
  }
  for (const { plan: one, part, following } of assembled) {
    const { entry } = one
    const before = done
    const { cid, size } = await (following?.finish({ onBytes, signal }) ?? readBack(part ?? join(dir, entry.path), { onBytes, signal }))
    // part of it was read back while the rest was written
    if (done < before + size) onBytes(before + size - done)
    if (cid === entry.bin.cid && size === entry.bin.size) continue
    if (part !== undefined) await removeStrays(parts, [part.slice(parts.length)])
    throw new PsyblobError('corrupt', `reading back ${entry.path} in slot ${target}: expected ${entry.bin.cid}, got ${cid}`, {
      hint: 'the slot is not used. Run the same command again; if it happens twice, the disk is failing or the release was published with a wrong index',
    })
  }

  report({ type: 'step', step: 'seal' })
  if (isBeside) await begin()
  for (const { plan: one, part } of assembled) {
    if (part !== undefined) await placeFile(dir, one.entry.path, part, one.entry.mod)
    else await setMode(join(dir, one.entry.path), one.entry.mod)
  }
  await removeStrays(dir, await strayFiles(dir, manifest))
  await seal(dir, release)
  const activated = await flip(options, true)
  return { ...outcome, activated, bytes: { ...moved, fetched: meter.bytes }, requests: meter.requests }
}

/** What no release of ours put into the slot goes as well, but not without a word. */
async function tellForeign({ report, dryRun, target }: ApplyOptions, slot: OpenSlot | undefined, strays: readonly string[]): Promise<void> {
  const former = (await seedFolder(slot))?.manifest
  if (former === undefined) return
  const known = new Set(former.records.map((record) => record.path))
  const foreign = strays.filter((path) => !known.has(path) && !former.records.some((record) => record.path.startsWith(`${path}/`)))
  if (foreign.length > 0)
    report({
      type: 'warning',
      text: `slot ${target}: ${foreign.join(', ')} ${dryRun ? 'would be removed' : 'is removed'}: no release put it there`,
    })
}

async function modesHold(slot: OpenSlot | undefined, manifest: Manifest): Promise<boolean> {
  for (const { path, mod } of manifest.records) if (slot === undefined || !(await hasMode(join(slot.dir, path), mod))) return false
  return true
}

export function lineOf(one: EntryPlan): PlanLine {
  const cost = costOf(one)
  return {
    path: one.entry.path,
    how: one.how === 'chunks' && one.patch !== undefined ? 'patch' : one.how,
    size: one.entry.bin.size,
    fetch: cost.fetched,
    reuse: cost.reused,
    write: cost.written,
    requests: cost.requests,
    ways: one.how === 'chunks' ? one.ways : [],
  }
}

/**
 * A slot that is about to be written is not known to boot any more, and the boot loader hears of it before the first byte. If it stands
 * first, the tries counted so far are those of the old content: with a new seq none of them is laid to the new one.
 */
async function unmarkGood({ machine, target }: ApplyOptions): Promise<void> {
  await machine.bootloader.prepare(machine.booted)
  const { order, good, tries } = await machine.bootloader.read()
  if (good.includes(target) || (order[0] === target && tries !== 0))
    await machine.bootloader.write({ order, good: good.filter((slot) => slot !== target) })
}

/** Tells the boot loader to try the slot first. True when it had to be told. */
async function flip({ machine, target, activate, dryRun, report }: ApplyOptions, written: boolean): Promise<boolean> {
  if (!activate) return false
  const state = await machine.bootloader.read()
  // new content gets a new seq even where the order stays: the tries that the old content used up are not its own
  const isTried = state.tries !== 3 || state.good.includes(target)
  if (!written && state.seq !== undefined && state.order[0] === target && isTried) return false
  if (dryRun) return true
  report({ type: 'step', step: 'flip', about: `slot ${target} first` })
  await machine.bootloader.prepare(machine.booted)
  await machine.bootloader.write({ order: [target, otherSlot(target)], good: state.good })
  return true
}
