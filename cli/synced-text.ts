// How the outcome of a sync is told.
import { visible } from '../core/mod.ts'
import type { Synced } from '../images/mod.ts'
import { bytesText, countText, secondsText } from './ui/sizes.ts'

export function syncedText(result: Synced, isDryRun: boolean): string {
  const { product, serial, version, slot, changed, activated, bytes, requests, seconds, held } = result
  const name = `${product} ${serial} (${visible(version)})`
  if (held !== undefined) return `${name} is not installed: ${visible(held)}\n`
  if (!changed && !activated)
    return `${name} is in slot ${slot}: nothing to do (${countText(requests, 'request')}, ${secondsText(seconds)})\n`
  const verb = isDryRun ? 'would be written to' : changed ? 'is in' : 'was already in'
  const next = activated ? `, which ${isDryRun ? 'would boot' : 'boots'} next` : ''
  return `${name} ${verb} slot ${slot}${next}: ${bytesText(bytes.fetched)} fetched in ${countText(requests, 'request')}, ${bytesText(bytes.reused)} reused, ${bytesText(bytes.written)} written, ${secondsText(seconds)}\n`
}

/** The same for programs. */
export function syncedJson({ held, pending: _, ...result }: Synced, dryRun: boolean) {
  return { ...result, dryRun, held: held ?? null }
}
