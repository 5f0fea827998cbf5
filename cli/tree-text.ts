// How a change of system files, and what is installed of them, is told.
import { visible } from '../core/mod.ts'
import type { TreeResult, TreeStatus } from '../images/mod.ts'
import { bytesText, countText, secondsText } from './ui/sizes.ts'

/** So many paths are printed; `-v` and `--json` have all. */
const most = 20

export function treeText(result: TreeResult, isDryRun: boolean): string {
  const { product, root, serial, version, changed, bytes, requests, entries, seconds, held, saved, kept, local } = result
  const name = `${product} ${serial} (${visible(version)})`
  if (held !== undefined) return `${name} is not installed: ${visible(held)}\n`
  const would = isDryRun ? 'would be ' : ''
  const head = changed
    ? `${name} ${isDryRun ? 'would be' : 'is'} in ${visible(root)}: ${countText(entries.written, 'entry', 'entries')} written, ${entries.changed} changed, ${entries.removed} removed; ${bytesText(bytes.fetched)} fetched in ${countText(requests, 'request')}, ${secondsText(seconds)}\n`
    : `${name} is in ${visible(root)}: nothing to do (${countText(requests, 'request')}, ${secondsText(seconds)})\n`
  return [
    head,
    ...list(saved, ({ path, to }) => `  ${visible(path)} was somebody else's: ${would}kept as ${visible(to)}\n`),
    ...list(kept, (path) => `  ${visible(path)} is in the release no more, and was changed here: ${would}left\n`),
    local.length === 0
      ? ''
      : `  ${countText(local.length, 'entry was', 'entries were')} changed here and ${would}left so: psyblob check current ${product} names them\n`,
  ].join('')
}

function list<Item>(items: readonly Item[], line: (item: Item) => string): readonly string[] {
  const more = items.length > most ? [`  and ${items.length - most} more (--json has all)\n`] : []
  return [...items.slice(0, most).map(line), ...more]
}

export function printableTree({ held, ...result }: TreeResult, dryRun: boolean) {
  return { ...result, dryRun, held: held ?? null }
}

export function treeStatusText({ root, state, serial, version, entries, why }: TreeStatus): string {
  const held = serial === null ? 'no release' : `${serial} (${visible(version ?? '')}), ${entries} entries`
  const text =
    state === 'refused' ? `not known: ${visible(why ?? '')}` : state === 'unfinished' ? `an apply that was cut short, over ${held}` : held
  return `  ${visible(root)}: ${text}\n`
}
