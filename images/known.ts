// What this machine learnt of a product by running it: the floor, and serials that are not wanted (spec/store.md 2).
import type { Component } from '../core/mod.ts'
import {
  firstKnown,
  isInForce,
  knownOf,
  type ProductState,
  type Release,
  readState,
  type VerifiedManifest,
  writeState,
} from '../store/mod.ts'
import { type Node, reloadTrust, trustOf } from './node.ts'

/** Changes what is known of a product. `release`, which is verified, says which repository it is from when nothing is known yet. */
export async function changeKnown(
  node: Node,
  component: Component,
  release: Release,
  change: (known: ProductState) => ProductState,
): Promise<void> {
  const trust = trustOf(node, component)
  const state = await readState(node.store.dir)
  const known = knownOf(state, trust)
  const changed = change(known ?? firstKnown(state, trust, release.manifest.repo))
  if (changed !== known) await writeState(node.store.dir, { ...state, products: { ...state.products, [component.name]: changed } })
}

/** Nothing older is installed again, for this release booted well. What would not be accepted anew raises nothing: a thief may have numbered it (spec/root.md 4.6). */
export async function raiseFloor(node: Node, component: Component, release: VerifiedManifest): Promise<void> {
  const { serial } = release.manifest
  await reloadTrust(node)
  const { authority } = trustOf(node, component)
  if (!isInForce(release, { authority, product: component.name })) return
  await changeKnown(node, component, release, (known) => ((known.floor ?? 0) >= serial ? known : { ...known, floor: serial }))
}

/** The last ones: what was avoided long ago is not the newest any more. */
const mostAvoided = 256

/** Remembers, or forgets, that a serial is not to be installed again by itself. */
export async function avoidRelease(node: Node, component: Component, release: Release, wanted: boolean): Promise<void> {
  const { serial } = release.manifest
  await changeKnown(node, component, release, (known) => {
    const avoided = known.avoided ?? []
    if (avoided.includes(serial) === wanted) return known
    return { ...known, avoided: wanted ? [...avoided, serial].slice(-mostAvoided) : avoided.filter((other) => other !== serial) }
  })
}
