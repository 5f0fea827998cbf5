// What slots and the EFI partition teach a node that has lost its trusted state, as one with its store in memory does at every boot (spec/trust.md 3).
import { type Component, isPsyblobError } from '../core/mod.ts'
import { firstKnown, isInForce, knownOf, readState, type State, type VerifiedManifest, writeState } from '../store/mod.ts'
import { slotContent } from './current.ts'
import { readEfi } from './efi-content.ts'
import { type Node, openEfi, openMachineOf, trustOf } from './node.ts'
import { signedTree } from './tree/tree.ts'

/**
 * The trusted state, with what a good slot says when nothing was ever accepted from a remote. To be asked before a pointer or a manifest
 * is accepted. With `keep` what was learnt is persisted at once, for the next step may be to write over that slot.
 */
export async function readTrusted(node: Node, component: Component, { keep }: { readonly keep: boolean }): Promise<State> {
  const state = await readState(node.store.dir)
  // a root that another product's refusal left behind counts here, too
  node.trusted.state = state
  const trust = trustOf(node, component)
  const known = knownOf(state, trust)
  if (known?.seen !== undefined) return state
  const { kind } = component.target
  const release = await (kind === 'slots' ? newestGood : kind === 'esp' ? sealedEfi : knownTree)(node, component)
  const repo = known?.repo ?? trust.repo
  if (release === undefined || (repo !== undefined && repo !== release.manifest.repo)) return state
  // what was forgotten with a key must not come back by what that key had signed
  if (!isInForce(release, { authority: trust.authority, product: component.name })) return state
  const { serial } = release.manifest
  node.report({ type: 'trace', text: `${component.name}: serial ${serial}, which boots here, is what nothing older replaces` })
  const learnt = {
    ...(known ?? firstKnown(state, trust, release.manifest.repo)),
    seen: { serial, manifest: release.cid },
    // what boots is never replaced by something older; a tree is gone back from by rollback
    ...(kind === 'tree' ? {} : { floor: Math.max(serial, known?.floor ?? 0) }),
  }
  const next = { ...state, products: { ...state.products, [component.name]: learnt } }
  if (keep) await writeState(node.store.dir, next)
  return next
}

/** The release with the highest serial in a slot that is known to boot. A machine that cannot be looked at teaches nothing. */
async function newestGood(node: Node, component: Component): Promise<VerifiedManifest | undefined> {
  const { authority } = trustOf(node, component)
  try {
    const machine = await openMachineOf(node, component)
    try {
      let newest: VerifiedManifest | undefined
      for (const name of (await machine.bootloader.read()).good) {
        const content = await slotContent(machine, name, { product: component.name, authority })
        if (content.state !== 'release') continue
        if (newest === undefined || content.release.manifest.serial > newest.manifest.serial) newest = content.release
      }
      return newest
    } finally {
      await machine.close()
    }
  } catch (error) {
    if (!isPsyblobError(error) || error.code === 'interrupted') throw error
    node.report({ type: 'trace', text: `nothing is learnt from the slots of ${component.name}: ${error.message}` })
    return undefined
  }
}

/** What the store says is installed of a tree. */
async function knownTree(node: Node, component: Component): Promise<VerifiedManifest | undefined> {
  return signedTree(node, component).catch((error: unknown) => {
    if (isPsyblobError(error, 'corrupt')) return undefined
    throw error
  })
}

/** The release on the EFI partition, whose boot loader has brought a system up. */
async function sealedEfi(node: Node, component: Component): Promise<VerifiedManifest | undefined> {
  const { authority } = trustOf(node, component)
  try {
    const partition = await openEfi(node, component)
    try {
      const { sealed } = await readEfi(partition, { product: component.name, authority })
      return sealed.state === 'release' ? sealed.release : undefined
    } finally {
      await partition.close()
    }
  } catch (error) {
    if (!isPsyblobError(error) || error.code === 'interrupted') throw error
    node.report({ type: 'trace', text: `nothing is learnt from the EFI partition: ${error.message}` })
    return undefined
  }
}
