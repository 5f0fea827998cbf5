// Hold: a product stays as it is until somebody lets it go on (spec/store.md 2).
import { type Component, formatTime, PsyblobError } from '../core/mod.ts'
import { type Authority, firstKnown, knownOf, readState, writeState } from '../store/mod.ts'
import { contents } from './current.ts'
import { type Node, openMachineOf, prepareStore, recordAttempt, trustOf, withStore } from './node.ts'
import { slotNames } from './slot.ts'

export type Held = {
  readonly product: string
  readonly hold: { readonly at: string; readonly why: string } | null
  readonly changed: boolean
}

/** A second hold gives another reason; since when stays. Throws `not-found` when nothing is known of the product at all. */
export async function hold(node: Node, component: Component, why: string): Promise<Held> {
  await prepareStore(node)
  return withStore(node, async () => {
    const { name: product } = component
    const trust = trustOf(node, component)
    const state = await readState(node.store.dir)
    const known = knownOf(state, trust) ?? firstKnown(state, trust, await repositoryOf(node, component, trust.authority))
    if (known.hold?.why === why) return { product, hold: known.hold, changed: false }
    const next = { at: known.hold?.at ?? formatTime(node.clock()), why }
    await writeState(node.store.dir, { ...state, products: { ...state.products, [product]: { ...known, hold: next } } })
    await recordAttempt(node, { what: 'hold', result: 'ok', product, message: why })
    return { product, hold: next, changed: true }
  })
}

export async function unhold(node: Node, component: Component): Promise<Held> {
  await prepareStore(node)
  return withStore(node, async () => {
    const { name: product } = component
    const state = await readState(node.store.dir)
    const known = Object.hasOwn(state.products, product) ? state.products[product] : undefined
    if (known?.hold === undefined) return { product, hold: null, changed: false }
    const { hold: _, ...rest } = known
    await writeState(node.store.dir, { ...state, products: { ...state.products, [product]: rest } })
    await recordAttempt(node, { what: 'unhold', result: 'ok', product })
    return { product, hold: null, changed: true }
  })
}

/** Facts are kept by repository: the one stated, or that of a release in a slot. */
async function repositoryOf(node: Node, component: Component, authority: Authority): Promise<string> {
  if (component.repo !== undefined) return component.repo
  if (component.target.kind === 'slots') {
    const machine = await openMachineOf(node, component)
    try {
      const slots = await contents(machine, component.name, authority)
      for (const name of slotNames) {
        const content = slots[name]
        if (content.state === 'release') return content.release.manifest.repo
      }
    } finally {
      await machine.close()
    }
  }
  throw new PsyblobError('not-found', `nothing is known of ${component.name} here yet`, {
    hint: `psyblob refresh ${component.name} first, or state "repo" in the composition`,
  })
}
