// Which slot boots next, and which are known to boot: activate, mark, rollback (spec/boot-state.md 7).
import { type Component, PsyblobError } from '../core/mod.ts'
import { knownOf, readState } from '../store/mod.ts'
import type { BootOrder } from './bootloader.ts'
import { contents, followSlots, runningSlot, type SlotContents } from './current.ts'
import { finishTrials } from './efi-trial.ts'
import { avoidRelease, raiseFloor } from './known.ts'
import type { Machine } from './machine.ts'
import { type Node, prepareStore, recordAttempt, recordFailure, recordResult, trustOf, withMachine, withStore } from './node.ts'
import { otherSlot, type SlotName } from './slot.ts'
import { missingFiles } from './slot-files.ts'

export type Choice = {
  readonly product: string
  readonly slot: SlotName
  readonly serial: number | null
  readonly version: string | null
  /** First to try first, and those known to boot, as they are now. */
  readonly order: readonly SlotName[]
  readonly good: readonly SlotName[]
  readonly changed: boolean
}

type Command = 'activate' | 'rollback' | 'mark good' | 'mark bad'
type Work = { readonly node: Node; readonly component: Component; readonly machine: Machine; readonly slots: SlotContents }

async function choosing(node: Node, component: Component, command: Command, work: (of: Work) => Promise<Choice>): Promise<Choice> {
  await prepareStore(node)
  return withStore(node, async () => {
    try {
      const choice = await withMachine(node, component, async (machine) => {
        const { authority } = trustOf(node, component)
        const slots = await contents(machine, component.name, authority)
        const chosen = await work({ node, component, machine, slots })
        await followSlots(node, component.name, authority, machine)
        // to say once more that a slot is good, or first, is nothing to tell
        if (chosen.changed || command === 'mark bad') await recordChoice(node, command, chosen, slots)
        return chosen
      })
      await recordResult(node, component.name, command, undefined)
      return choice
    } catch (error) {
      await recordResult(node, component.name, command, error)
      await recordFailure(node, component.name, command, error)
      throw error
    }
  })
}

/** What is recorded of a rollback is the release that was left. */
async function recordChoice(node: Node, what: Command, { product, slot }: Choice, slots: SlotContents): Promise<void> {
  const about = what === 'rollback' ? otherSlot(slot) : slot
  const content = slots[about]
  const serial = content.state === 'release' ? { serial: content.release.manifest.serial } : {}
  await recordAttempt(node, { what, result: 'ok', product, slot: about, ...serial })
}

/** Makes `slot` the first to be tried. Throws `corrupt` or `not-found` when it holds no complete release. */
export async function activate(node: Node, component: Component, slot: SlotName): Promise<Choice> {
  return choosing(node, component, 'activate', async (of) => {
    await requireRelease(of, slot)
    await avoid(of, slot, false)
    const { good, tries } = await of.machine.bootloader.read()
    // a slot whose tries are used up gets new ones: that takes a new seq, also where it stands first already
    return write(of, slot, { order: [slot, otherSlot(slot)], good, renew: !good.includes(slot) && tries !== 0 })
  })
}

/** The slot that is not in use boots next; what runs now is not installed again by itself. */
export async function rollback(node: Node, component: Component): Promise<Choice> {
  return choosing(node, component, 'rollback', async (of) => {
    const running = await runningSlot(of.machine, of.slots)
    if (running === undefined) throw new PsyblobError('not-found', 'no slot holds a release', { hint: 'psyblob sync installs one' })
    const { order, good } = await of.machine.bootloader.read()
    // asked for already, and not booted yet: another time does not mean forward again
    const content = of.slots[running]
    if (of.machine.booted !== undefined && order[0] !== running && content.state === 'release') {
      const known = knownOf(await readState(node.store.dir), trustOf(node, component))
      if (known?.avoided?.includes(content.release.manifest.serial)) return write(of, order[0], { order, good })
    }
    // flipped but not booted yet: going back means staying where the machine is
    const leave = of.machine.booted !== undefined && order[0] !== running ? order[0] : running
    const to = otherSlot(leave)
    await requireRelease(of, to)
    await avoid(of, leave, true)
    return write(of, to, { order: [to, leave], good })
  })
}

/** What the system says of a slot after its health checks: the booted one unless named. */
export async function mark(node: Node, component: Component, verdict: 'good' | 'bad', named: SlotName | undefined): Promise<Choice> {
  return choosing(node, component, `mark ${verdict}`, async (of) => {
    const slot = named ?? (await runningSlot(of.machine, of.slots))
    if (slot === undefined)
      throw new PsyblobError('usage', 'it is not known which slot runs', { hint: `name it: psyblob mark ${verdict} a` })
    const { seq, good, ...state } = await of.machine.bootloader.read()
    // with the boot state lost, the slot that somebody vouches for is the one to try first
    const first = of.machine.booted ?? slot
    const order = seq === undefined ? ([first, otherSlot(first)] as const) : state.order
    if (verdict === 'good') {
      await requireRelease(of, slot)
      await avoid(of, slot, false)
      const choice = await write(of, slot, { order, good: [...new Set([...good, slot])].sort() })
      // the floor follows the boot loader's state, never the other way round: a release that booted well is what nothing older replaces
      const content = of.slots[slot]
      if (content.state === 'release') await raiseFloor(node, component, content.release)
      await finishTrials(node)
      return choice
    }
    await avoid(of, slot, true)
    const other = otherSlot(slot)
    const next = order[0] === slot && of.slots[other].state === 'release' ? ([other, slot] as const) : order
    return write(of, slot, { order: next, good: good.filter((name) => name !== slot) })
  })
}

async function requireRelease({ machine, slots }: Work, slot: SlotName): Promise<void> {
  const content = slots[slot]
  if (content.state === 'refused') throw content.error
  if (content.state === 'empty') {
    throw new PsyblobError(
      'not-found',
      `slot ${slot} holds no release${content.unfinished ? ': an installation there was cut short' : ''}`,
      { hint: 'psyblob sync writes it' },
    )
  }
  const opened = await machine.slots[slot].open({ write: false })
  try {
    const missing = await missingFiles(opened.dir, content.release.manifest)
    if (missing.length > 0) {
      throw new PsyblobError('corrupt', `slot ${slot} is not complete: ${missing.join(', ')}`, {
        hint: `psyblob repair --slot ${slot} mends it; psyblob verify --slot ${slot} says more`,
      })
    }
  } finally {
    await opened.close()
  }
}

async function write(
  { component, machine, slots }: Work,
  slot: SlotName,
  { order, good, renew = false }: { readonly order: BootOrder; readonly good: readonly SlotName[]; readonly renew?: boolean },
): Promise<Choice> {
  const before = await machine.bootloader.read()
  const same =
    !renew &&
    before.seq !== undefined &&
    before.order[0] === order[0] &&
    before.good.length === good.length &&
    good.every((name) => before.good.includes(name))
  if (!same) {
    await machine.bootloader.prepare(machine.booted)
    await machine.bootloader.write({ order, good })
  }
  const content = slots[slot]
  const release = content.state === 'release' ? content.release.manifest : undefined
  return { product: component.name, slot, serial: release?.serial ?? null, version: release?.version ?? null, order, good, changed: !same }
}

/** Remembers, or forgets, that what lies in a slot is not wanted here. */
async function avoid({ node, component, slots }: Work, slot: SlotName, wanted: boolean): Promise<void> {
  const content = slots[slot]
  if (content.state === 'release') await avoidRelease(node, component, content.release, wanted)
}
