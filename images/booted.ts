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
  /** Of the boot state, in which another slot that is good stands first. Undefined where that is not so. */
  readonly passedOver: number | undefined
}

/** Undefined when this system was started from no slot of the product. */
export async function bootedOf(node: Node, component: Component): Promise<Booted | undefined> {
  const trust = trustOf(component)
  const { name: product } = component
  const machine = await openMachineOf(node, component)
  try {
    const { booted: slot, bootloader } = machine
    if (slot === undefined) return undefined
    const content = await slotContent(machine, slot, { product, key: trust.key })
    const serial = content.state === 'release' ? content.release.manifest.serial : undefined
    const { seq, order, good, tries } = await bootloader.read()
    const other = otherSlot(slot)
    const isFirst = order[0] === slot
    const isGood = good.includes(slot)
    const known = knownOf(await readState(node.store.dir), trust)
    const hasTries = tries !== undefined && tries < 3
    return {
      slot,
      serial,
      isGood,
      isAvoided: serial !== undefined && (known?.avoided?.includes(serial) ?? false),
      isLeftByReboot:
        !isGood && isFirst && (hasTries || good.includes(other) || (await isComplete(machine, other, { product, key: trust.key }))),
      passedOver: !isFirst && good.includes(order[0]) ? seq : undefined,
    }
  } finally {
    await machine.close()
  }
}
