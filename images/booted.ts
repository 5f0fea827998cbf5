// What runs here of a product, and what the boot loader would do after a reboot: what the agent has to know before it says or does anything.
import type { Component } from '../core/mod.ts'
import { knownOf, readState } from '../store/mod.ts'
import { isComplete, slotContent } from './current.ts'
import { type Node, openMachineOf, trustOf } from './node.ts'
import { otherSlot, type SlotName } from './slot.ts'

export type Booted = {
  readonly slot: SlotName
  /** Undefined when the slot holds no release that is believed. */
  readonly serial: number | undefined
  readonly isGood: boolean
  /** Rolled back, marked bad, or fallen back from: people have the say. */
  readonly isAvoided: boolean
  /** A reboot uses one more of its tries, or leads to the other slot. Where it does neither, it would go on for ever. */
  readonly isLeftByReboot: boolean
  /** Another slot stands first, and this one was booted all the same. Undefined where that is not so. */
  readonly passedOver:
    | {
        readonly seq: number /** What the boot loader counts of it; undefined for a good slot, whose tries nobody counts. */
        readonly tries: number | undefined
      }
    | undefined
}

/** Undefined when this system was started from no slot of the product. */
export async function bootedOf(node: Node, component: Component): Promise<Booted | undefined> {
  const trust = trustOf(node, component)
  const { name: product } = component
  const machine = await openMachineOf(node, component)
  try {
    const { booted: slot, bootloader } = machine
    if (slot === undefined) return undefined
    const content = await slotContent(machine, slot, { product, authority: trust.authority })
    const serial = content.state === 'release' ? content.release.manifest.serial : undefined
    const { seq, order, good, tries } = await bootloader.read()
    const other = otherSlot(slot)
    const isFirst = order[0] === slot
    const isGood = good.includes(slot)
    const known = knownOf(await readState(node.store.dir), trust)
    // a boot of a slot on trial is counted before it begins: where nothing was counted, nothing will be
    const isCounted = tries !== undefined && tries > 0
    return {
      slot,
      serial,
      isGood,
      isAvoided: serial !== undefined && (known?.avoided?.includes(serial) ?? false),
      isLeftByReboot:
        !isGood &&
        isFirst &&
        (good.includes(other) || (isCounted && (tries < 3 || (await isComplete(machine, other, { product, authority: trust.authority }))))),
      passedOver: isFirst || seq === undefined ? undefined : { seq, tries: good.includes(order[0]) ? undefined : (tries ?? 0) },
    }
  } finally {
    await machine.close()
  }
}
