// Status: what runs where, what boots next, what is known, what the last command came to.
import { type Component, formatTime, isPsyblobError, parseTime, type Root } from '../core/mod.ts'
import { holdOf, knownOf, type LinkName, links, readState } from '../store/mod.ts'
import type { BootState } from './bootloader.ts'
import { contents, fellBackFrom, runningSlot } from './current.ts'
import { type EfiStatus, efiStatus } from './efi-product.ts'
import { type Node, openMachineOf, trustOf } from './node.ts'
import { type SlotName, slotNames } from './slot.ts'
import { type TreeStatus, treeStatus } from './tree/tree-audit.ts'

export type SlotStatus = {
  readonly slot: SlotName
  readonly place: string
  readonly state: 'release' | 'empty' | 'unfinished' | 'refused'
  readonly serial: number | null
  readonly version: string | null
  readonly manifest: string | null
  /** Why the manifest there is not believed. */
  readonly why: string | null
  readonly booted: boolean
  /** Tried first by the boot loader. */
  readonly next: boolean
  readonly good: boolean
}

export type Status = {
  readonly product: string
  readonly channel: string
  readonly repo: string | null
  readonly compat: string
  readonly booted: SlotName | null
  /** The slot whose release counts as the one in use. */
  readonly running: SlotName | null
  readonly slots: readonly SlotStatus[]
  readonly boot: BootState | null
  /** The EFI partition, for a product that lies there. */
  readonly efi: EfiStatus | null
  /** What is installed of a product that is files of a system. */
  readonly tree: TreeStatus | null
  readonly known: Readonly<Record<LinkName, number | null>>
  /** The highest serial that booted well: nothing older is installed. */
  readonly floor: number | null
  readonly avoided: readonly number[]
  /** Somebody wants nothing to be installed by itself. */
  readonly hold: { readonly at: string; readonly why: string } | null
  /** The serial that did not boot in three tries, so that the other slot runs. */
  readonly fellBackFrom: number | null
  readonly pointer: {
    readonly version: number
    readonly issued: string
    readonly expires: string
    readonly freshness: 'fresh' | 'stale' | 'expired'
  } | null
  /** Null while one key signs everything. */
  readonly root: { readonly version: number; readonly expires: string; readonly isExpired: boolean } | null
  readonly upToDate: boolean | null
  readonly last: { readonly at: string; readonly command: string; readonly result: string; readonly message: string } | null
}

export async function status(node: Node, component: Component): Promise<Status> {
  const { store, clock } = node
  const trust = trustOf(node, component)
  const state = await readState(store.dir)
  const known = knownOf(state, trust)
  const pointer = known !== undefined && Object.hasOwn(known.channels, component.channel) ? known.channels[component.channel] : undefined
  const latest = (await store.link(component.name, 'latest')) ?? null
  const machine = component.target.kind === 'slots' ? await openMachineOf(node, component) : undefined
  try {
    const slots = machine === undefined ? undefined : await contents(machine, component.name, trust.authority)
    const boot =
      machine === undefined
        ? null
        : await machine.bootloader.read().catch((error: unknown) => (isPsyblobError(error, 'not-found') ? null : Promise.reject(error)))
    const running = machine === undefined || slots === undefined || boot === null ? undefined : await runningSlot(machine, slots)
    const lines =
      machine === undefined || slots === undefined
        ? []
        : slotNames.map((slot): SlotStatus => {
            const content = slots[slot]
            const release = content.state === 'release' ? content.release : undefined
            return {
              slot,
              place: machine.slots[slot].label,
              state: content.state === 'empty' && content.unfinished ? 'unfinished' : content.state,
              serial: release?.manifest.serial ?? null,
              version: release?.manifest.version ?? null,
              manifest: release?.cid ?? null,
              why: content.state === 'refused' ? content.error.message : null,
              booted: machine.booted === slot,
              next: boot?.seq !== undefined && boot.order[0] === slot,
              good: boot?.good.includes(slot) ?? false,
            }
          })
    const efi = component.target.kind === 'esp' ? await efiStatus(node, component) : null
    const tree = component.target.kind === 'tree' ? await treeStatus(node, component) : null
    const inUse = tree?.serial ?? efi?.serial ?? lines.find((line) => line.slot === running)?.serial ?? null
    const links_ = Object.fromEntries(
      await Promise.all(links.map(async (name) => [name, (await store.link(component.name, name)) ?? null])),
    ) as Status['known']
    const now = clock()
    return {
      product: component.name,
      channel: component.channel,
      repo: known?.repo ?? trust.repo ?? null,
      compat: trust.compat,
      booted: machine?.booted ?? null,
      running: running ?? null,
      slots: lines,
      boot,
      efi,
      tree,
      known: links_,
      floor: known?.floor ?? null,
      avoided: known?.avoided ?? [],
      hold: holdOf(state, component.name) ?? null,
      fellBackFrom:
        machine === undefined || slots === undefined || boot === null
          ? null
          : (fellBackFrom(machine, slots, boot)?.manifest.serial ?? null),
      pointer:
        pointer === undefined
          ? null
          : { version: pointer.version, issued: pointer.issued, expires: pointer.expires, freshness: freshness(pointer, now) },
      root: rootStatus(trust.authority.root, now),
      upToDate: latest === null || inUse === null ? null : inUse >= latest,
      last: Object.hasOwn(state.last, component.name) ? (state.last[component.name] ?? null) : null,
    }
  } finally {
    await machine?.close()
  }
}

function rootStatus(root: Root | undefined, now: number): Status['root'] {
  return root === undefined ? null : { version: root.version, expires: root.expires, isExpired: formatTime(now) >= root.expires }
}

/** Stale: past the middle of its life, so that somebody should have signed a newer one. */
function freshness({ issued, expires }: { readonly issued: string; readonly expires: string }, now: number): 'fresh' | 'stale' | 'expired' {
  if (formatTime(now) >= expires) return 'expired'
  return now - parseTime(issued) > (parseTime(expires) - parseTime(issued)) / 2 ? 'stale' : 'fresh'
}
