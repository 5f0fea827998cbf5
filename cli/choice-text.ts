// How a change of the boot order is told.
import { visible } from '../core/mod.ts'
import type { Choice } from '../images/mod.ts'

export function choiceText({ product, slot, serial, version, order, good, changed }: Choice): string {
  const what = serial === null ? 'no release' : `${product} ${serial} (${visible(version ?? '')})`
  return `slot ${slot} holds ${what}; boot order ${order.join(', then ')}; known to boot: ${good.join(', ') || 'none'}${changed ? '' : '; nothing changed'}\n`
}
