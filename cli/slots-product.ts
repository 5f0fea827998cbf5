// Which product the slots of this machine belong to, for commands that name a slot and no product.
import { type Component, PsyblobError } from '../core/mod.ts'

/** The only product with slots. Throws `usage` when there are several, `not-found` when there is none. */
export function slotsProduct(components: readonly Component[]): Component {
  const [found, second] = components.filter((component) => component.target.kind === 'slots')
  if (found === undefined)
    throw new PsyblobError('not-found', 'no product of the composition has slots', { hint: 'a product with "target":{"kind":"slots"} has' })
  if (second !== undefined)
    throw new PsyblobError('usage', `${found.name} and ${second.name} both have slots`, {
      hint: 'name another composition with --composition',
    })
  return found
}
