// Whether a reboot would bring this machine into another slot: asked before each one, for a machine that asks in vain reboots for ever.
import type { Component } from '../core/mod.ts'
import { type Authority, holdOf, readState } from '../store/mod.ts'
import { isComplete } from './current.ts'
import type { Machine } from './machine.ts'
import { type Node, openMachineOf, trustOf, withMachine, withStore } from './node.ts'

/**
 * A boot loader that used up its tries and came back has nothing pending, and one whose first slot is half written or empty goes past it:
 * both would be asked for the same for ever.
 */
export async function isPending(
  machine: Machine,
  expected: { readonly product: string; readonly authority: Authority },
  passedOver?: number,
): Promise<boolean> {
  const { booted, bootloader } = machine
  const { seq, order, good, tries } = await bootloader.read()
  const [first] = order
  if (booted === undefined || seq === undefined || seq === passedOver || first === booted) return false
  return (good.includes(first) || tries !== 3) && isComplete(machine, first, expected)
}

/**
 * True when another slot than the booted one boots next, nothing is known against it, and nobody holds the product. `passedOver` is the
 * boot state that the boot loader has had already, and came here all the same.
 */
export async function isRebootDue(node: Node, component: Component, passedOver: number | undefined): Promise<boolean> {
  if (holdOf(await readState(node.store.dir), component.name) !== undefined) return false
  const due = async (machine: Machine) =>
    isPending(machine, { product: component.name, authority: trustOf(node, component).authority }, passedOver)
  const machine = await openMachineOf(node, component)
  try {
    if (!(await due(machine))) return false
    if ((await machine.bootloader.read()).tries !== undefined) return true
  } finally {
    await machine.close()
  }
  // where tries cannot be counted the boot loader tries nothing new: that is mended before it is asked
  // with the store held, for an update of the EFI partition makes files there, too
  return withStore(node, () =>
    withMachine(node, component, async (locked) => {
      await locked.bootloader.prepare(locked.booted)
      return due(locked)
    }),
  )
}
