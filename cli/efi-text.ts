// How an update of the EFI partition, and what lies there, is told.
import { visible } from '../core/mod.ts'
import type { EfiResult, EfiStatus } from '../images/mod.ts'
import { bytesText, countText, secondsText } from './ui/sizes.ts'

export function efiText(result: EfiResult, isDryRun: boolean): string {
  const { product, serial, version, changed, onTrial, bytes, requests, seconds, held } = result
  const name = `${product} ${serial} (${visible(version)})`
  if (held !== undefined) return `${name} is not installed: ${held}\n`
  const next = onTrial ? `; its boot loader ${isDryRun && changed ? 'would be' : 'is'} tried at the next boot` : ''
  if (!changed)
    return `${name} is on the EFI partition${next}: nothing to do (${countText(requests, 'request')}, ${secondsText(seconds)})\n`
  const verb = isDryRun ? 'would be written to' : 'is on'
  const moved = `${bytesText(bytes.fetched)} fetched in ${countText(requests, 'request')}, ${bytesText(bytes.reused)} reused, ${bytesText(bytes.written)} written`
  return `${name} ${verb} the EFI partition${next}: ${moved}, ${secondsText(seconds)}\n`
}

export function printableEfi({ held, ...result }: EfiResult, dryRun: boolean) {
  return { ...result, dryRun, held: held ?? null }
}

export function efiStatusText({ place, state, serial, version, why, trial }: EfiStatus): string {
  const held = serial === null ? '' : `${serial} (${visible(version ?? '')})`
  const text =
    state === 'refused'
      ? `not believed: ${visible(why ?? '')}`
      : state === 'unfinished'
        ? `an installation that was cut short${held === '' ? '' : `, over ${held}`}`
        : state === 'empty'
          ? 'no release'
          : held
  const pending =
    trial === null
      ? ''
      : `; the boot loader of ${trial.serial} (${visible(trial.version)}) ${trial.begun ? 'was tried, and what became of it is not settled' : 'is tried at the next boot'}`
  return `  EFI partition: ${text}${pending}  ${visible(place)}\n`
}
