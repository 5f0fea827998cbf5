// Garbage collection of the local store: what no slot, link or half-done sync needs goes (spec/store.md 4).
import { type CID, isPsyblobError } from '../core/mod.ts'
import { blobsOf, links, verifyKept } from '../store/mod.ts'
import { contents } from './current.ts'
import { type Node, openMachineOf, trustOf, withStore } from './node.ts'
import { slotNames } from './slot.ts'
import { readJournal } from './tree/journal.ts'
import { lookAt } from './tree/tree.ts'

export type Collected = { readonly removed: readonly string[]; readonly bytes: number }

/** Removes, or with `dryRun` only lists. Throws `locked` while another psyblob works on the store. */
export async function collect(node: Node, { dryRun }: { readonly dryRun: boolean }): Promise<Collected> {
  return withStore(node, async () => {
    const blobs = new Set<CID>()
    const serials = new Map<string, ReadonlySet<number>>()
    for (const component of node.components) {
      const { authority } = trustOf(node, component)
      const kept = new Set<number>()
      for (const link of links) {
        const serial = await node.store.link(component.name, link)
        if (serial !== undefined) kept.add(serial)
      }
      // what was begun is finished by the next run, which has to know what it is
      if (component.target.kind === 'tree') {
        const begun = await lookAt(component, (root) => readJournal(root.dir, component.name)).catch((error: unknown) => {
          if (isPsyblobError(error, 'not-found')) return undefined
          throw error
        })
        if (begun !== undefined) kept.add(begun.header.serial)
      }
      if (component.target.kind === 'slots') {
        const machine = await openMachineOf(node, component)
        try {
          const slots = await contents(machine, component.name, authority)
          for (const name of slotNames) {
            const content = slots[name]
            if (content.state !== 'release') continue
            kept.add(content.release.manifest.serial)
            for (const cid of blobsOf(content.release).keys()) blobs.add(cid)
          }
        } finally {
          await machine.close()
        }
      }
      for (const serial of kept) {
        const signed = await node.store.manifest(component.name, serial)
        if (signed === undefined) continue
        try {
          for (const cid of blobsOf(
            verifyKept(signed, { authority, product: component.name }, `manifest ${component.name}/${serial}`),
          ).keys())
            blobs.add(cid)
        } catch (error) {
          // what it needs cannot be told: psyblob verify --store names it, and it is fetched again
          if (!isPsyblobError(error)) throw error
        }
      }
      serials.set(component.name, kept)
    }
    return node.store.sweep({ blobs, serials, dryRun })
  })
}
