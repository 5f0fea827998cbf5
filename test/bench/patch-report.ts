// The section about patches, and its place in spec/performance.md.
import { formatLink } from './link-spec.ts'
import { mebibytes, megabytes, seconds, times } from './numbers.ts'
import { type Making, type Patches, type Release, rowOf, type Update } from './results.ts'
import { table } from './table.ts'
import { bestSeconds, byRate, caption, comparePatches } from './targets.ts'

const heading = '## Patches'

/** What making took, in words; nothing of what was not made. */
export function madeText(what: string, made: Pick<Making, 'bytes' | 'seconds'> & { readonly memory?: number }): string {
  const memory = made.memory === undefined ? '' : ` and ${mebibytes(made.memory)}`
  return `The ${what} has ${megabytes(made.bytes)} and took ${seconds(made.seconds)}${memory} to make.`
}

function making(updates: readonly Update[], deltas: Patches['deltas']): string {
  const head = ['update', 'by', 'bytes', 'making', 'memory', 'fetching and applying', 'memory']
  const lines = updates.flatMap((update) => {
    const ours = rowOf(update.rows, 'psyblob patch')
    const theirs = rowOf(update.rows, 'ostree delta')
    const delta = deltas?.[update.update]
    return [
      ...(ours === undefined || update.making === undefined ? [] : [['psyblob patch', update.making, ours] as const]),
      ...(theirs === undefined || delta === undefined ? [] : [['OSTree delta', delta, theirs] as const]),
    ].map(([by, made, applied]) => [
      caption(update),
      by,
      megabytes(made.bytes),
      seconds(made.seconds),
      made.memory === undefined ? '' : mebibytes(made.memory),
      seconds(applied.onDisk),
      mebibytes(applied.memory),
    ])
  })
  const told = 'Bytes are those of the patch or the delta itself; what was fetched in all, indexes and signed documents too, is below.'
  return `### Made and applied\n\n${table(head, lines)}\n\n${told}`
}

function transferred(updates: readonly Update[]): string {
  const tools = [...new Set(updates.flatMap(({ rows }) => rows.map(({ tool }) => tool)))]
  const named = (tool: string) => (tool === 'psyblob' ? 'psyblob chunks' : tool)
  const lines = tools.map((tool) => [
    named(tool),
    ...updates.map(({ rows }) => {
      const row = rowOf(rows, tool)
      return row === undefined ? '' : megabytes(row.bytes)
    }),
  ])
  return `### Bytes of an update\n\n${table(['tool', ...updates.map(caption)], lines)}`
}

function wholeRelease({ making: made, files, bytes, sync }: Release): string {
  const rows = files.map((file) => [file.path, megabytes(file.size), file.how, megabytes(file.bytes), megabytes(file.chunks)])
  const sum = (pick: (file: Release['files'][number]) => number) => megabytes(files.reduce((total, file) => total + pick(file), 0))
  const all = ['all files', sum(({ size }) => size), '', sum((file) => file.bytes), sum(({ chunks }) => chunks)]
  const text = [
    `With indexes and signed documents ${megabytes(bytes)}; applied in ${seconds(sync.onDisk)} and ${mebibytes(sync.memory)}.`,
    ...(made === undefined ? [] : [`Published with ${made.count} patches in ${seconds(made.seconds)} and ${mebibytes(made.memory)}.`]),
  ]
  return `### A whole release\n\n${table(['file', 'size', 'how', 'bytes', 'by chunks'], [...rows, all])}\n\n${text.join(' ')}`
}

function choosing(choice: NonNullable<Patches['choice']>): string {
  const names = ['patch', 'chunks', 'whole']
  const rows = byRate(choice).flatMap(([label, { updates }]) =>
    updates.map((one) => [
      label,
      one.update,
      ...names.map((name) => {
        const way = one.ways.find(({ how }) => how === name)
        if (way === undefined) return ''
        return way.reckoned === undefined ? seconds(way.seconds) : `${seconds(way.seconds)} (${seconds(way.reckoned)})`
      }),
      one.chosen,
      seconds(one.seconds),
      times(one.seconds / bestSeconds(one)),
    ]),
  )
  const links = byRate(choice).map(([, { link }]) => {
    const { roundTrip, rate } = link.measured
    return `${formatLink(link)}: ${(roundTrip * 1000).toFixed(1)} ms, ${(rate / 1e6).toFixed(1)} Mbit/s`
  })
  const head = ['link', 'update', ...names, 'chosen', 'seconds', 'chosen ÷ best']
  return `### What sync chooses

${table(head, rows)}

In brackets what the plan reckoned. *Whole* is a node without any seed; it learns the link for the others, and where it takes more than
a minute it is done for the first update only. The links as a handshake and a file of 20 MB found them: ${links.join('; ')}.`
}

/** All that was measured of patches. */
export function patchSection(patches: Patches): string {
  const { date, machine, updates = [], deltas, release, choice = {} } = patches
  const parts = [
    heading,
    `Made by \`npm run bench -- --patches\` on ${date.slice(0, 10)} with psyblob ${machine.psyblob}, Node.js ${machine.node}, ${machine.cpu}, ${machine.cores} cores. Making is all of \`publish\`, once; applying is all of \`sync --prefer bytes\`.`,
  ]
  if (updates.length > 0) parts.push(making(updates, deltas), transferred(updates))
  if (release !== undefined) parts.push(wholeRelease(release))
  if (Object.keys(choice).length > 0) parts.push(choosing(choice))
  const rows = comparePatches(patches).map(({ what, target, measured, met }) => [what, target, measured, met ? 'yes' : '**no**'])
  parts.push('### Targets of patches', table(['what', 'target', 'measured', 'met'], rows))
  return parts.join('\n\n')
}

/** The chapter with that section in place of the one before it, or before its targets; the rest is kept. */
export function replacePatchSection(chapter: string, section: string): string {
  const sections = chapter.split(/^(?=## )/m)
  const kept = sections.filter((text) => !text.startsWith(`${heading}\n`))
  const old = sections.findIndex((text) => text.startsWith(`${heading}\n`))
  const targets = kept.findIndex((text) => text.startsWith('## Targets\n'))
  const at = old >= 0 ? old : targets >= 0 ? targets : kept.length
  const isLast = at === kept.length
  const before = kept.slice(0, at).join('').trimEnd()
  return `${before}\n\n${section.trimEnd()}\n${isLast ? '' : `\n${kept.slice(at).join('')}`}`
}
