// Which slot the machine runs from, and the links of the store that follow it (spec/store.md).
import { isPsyblobError } from '../core/mod.ts'
import { type Authority, keepManifest, type VerifiedManifest } from '../store/mod.ts'
import type { BootState } from './bootloader.ts'
import type { Machine } from './machine.ts'
import type { Node } from './node.ts'
import { type SlotName, slotNames } from './slot.ts'
import { missingFiles, readSlot, type SlotContent } from './slot-files.ts'

export type SlotContents = Readonly<Record<SlotName, SlotContent>>

/** What one slot holds; a folder that is not there is an empty slot. */
export async function slotContent(
  machine: Machine,
  name: SlotName,
  expected: { readonly product: string; readonly authority: Authority },
): Promise<SlotContent> {
  try {
    const slot = await machine.slots[name].open({ write: false })
    try {
      return await readSlot(slot.dir, expected)
    } finally {
      await slot.close()
    }
  } catch (error) {
    if (isPsyblobError(error, 'not-found')) return { state: 'empty', unfinished: false }
    // a file system that cannot be mounted or read is no reason to say nothing of the other slot, or to leave it untended
    if (isPsyblobError(error, 'command-failed', 'corrupt')) return { state: 'refused', error }
    throw error
  }
}

/** True when a slot holds a release of the product with all its files, by their sizes: what a boot loader would find there. */
export async function isComplete(
  machine: Machine,
  name: SlotName,
  expected: { readonly product: string; readonly authority: Authority },
): Promise<boolean> {
  const content = await slotContent(machine, name, expected)
  return content.state === 'release' && (await hasFiles(machine, name, content.release))
}

/** True when every file of `release`, which the slot says it holds, is there with the right size. */
export async function hasFiles(machine: Machine, name: SlotName, release: VerifiedManifest): Promise<boolean> {
  const slot = await machine.slots[name].open({ write: false })
  try {
    return (await missingFiles(slot.dir, release.manifest)).length === 0
  } finally {
    await slot.close()
  }
}

/** What both slots hold. */
export async function contents(machine: Machine, product: string, authority: Authority): Promise<SlotContents> {
  return { a: await slotContent(machine, 'a', { product, authority }), b: await slotContent(machine, 'b', { product, authority }) }
}

/**
 * The slot in use: the booted one. When none counts as booted (a disk image on another machine), the only one known to boot, else the
 * one the boot loader tries first, if it holds a release at all.
 */
export async function runningSlot(machine: Machine, slots: SlotContents): Promise<SlotName | undefined> {
  if (machine.booted !== undefined) return machine.booted
  const { seq, order, good } = await machine.bootloader.read()
  const filled = slotNames.filter((name) => slots[name].state === 'release')
  const proven = good.filter((name) => filled.includes(name))
  if (proven.length === 1) return proven[0]
  const primary = seq === undefined ? undefined : order.find((name) => filled.includes(name))
  return primary ?? filled[0]
}

/**
 * The release that the boot loader was told to try first, tried three times, and left for the other slot, which runs now. Undefined when
 * that did not happen (spec/boot-state.md 6).
 */
export function fellBackFrom(machine: Machine, slots: SlotContents, { order, good, tries }: BootState): VerifiedManifest | undefined {
  const [first] = order
  if (machine.booted === undefined || first === machine.booted || good.includes(first) || tries !== 3) return undefined
  const content = slots[first]
  return content.state === 'release' ? content.release : undefined
}

/** Points `current` at what the machine runs, or boots next when that is not known, and `previous` at what it was before. */
export async function followSlots(node: Node, product: string, authority: Authority, machine: Machine): Promise<void> {
  const { booted, bootloader } = machine
  for (const name of booted === undefined ? (await bootloader.read()).order : [booted]) {
    const content = await slotContent(machine, name, { product, authority })
    if (content.state === 'release') return follow(node, product, content.release, authority)
  }
}

/** The same when it is known what runs. */
export async function follow({ store }: Node, product: string, release: VerifiedManifest, authority: Authority): Promise<void> {
  const { serial } = release.manifest
  const current = await store.link(product, 'current')
  if (current === serial) return
  await keepManifest(store, product, release, authority)
  if (current !== undefined) await store.setLink(product, 'previous', current)
  await store.setLink(product, 'current', serial)
}
