// Bars for each tool, as SVG: bytes and seconds of both updates.
import { megabytes, seconds } from './numbers.ts'
import type { Packing, Update, UpdateName } from './results.ts'

const colours: Readonly<Record<Packing, string>> = { default: '#3b6ea5', 'no-fragments': '#e0923d' }
const names: Readonly<Record<Packing, string>> = { default: 'squashfs, defaults', 'no-fragments': 'squashfs, -no-fragments' }
const titles: Readonly<Record<UpdateName, string>> = { month: 'A month of updates', small: 'One small change' }
const panel = { width: 460, label: 96, value: 64, bar: 12, gap: 9, head: 34 }

const quoted = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
const px = (value: number) => String(Math.round(value * 10) / 10)

type Text = { readonly x: number; readonly y: number; readonly text: string; readonly style?: string }
const write = ({ x, y, text, style }: Text) =>
  `<text x="${px(x)}" y="${px(y)}"${style === undefined ? '' : ` ${style}`}>${quoted(text)}</text>`

type Bar = { readonly tool: string; readonly packing: Packing; readonly value: number }
type Panel = { readonly title: string; readonly bars: readonly Bar[]; readonly format: (value: number) => string }

const toolsOf = ({ bars }: Panel) => [...new Set(bars.map(({ tool }) => tool))]

function heightOf(content: Panel): number {
  return panel.head + content.bars.length * panel.bar + toolsOf(content).length * panel.gap
}

/** What the longest bar stands for. Bars of patches that are far longer than all others are broken, or nothing could be told of those. */
function longest(bars: readonly Bar[]): number {
  const all = Math.max(...bars.map(({ value }) => value))
  const others = Math.max(...bars.filter(({ tool }) => tool !== 'psyblob patch').map(({ value }) => value))
  return all > 2 * others && others > 0 ? others : all
}

/** One group of bars for each tool, one bar for each way the image is packed. */
function draw(content: Panel, left: number, top: number): string {
  const most = longest(content.bars)
  const room = panel.width - panel.label - panel.value
  const parts = [write({ x: left, y: top + 16, text: content.title, style: 'font-weight="bold" font-size="14"' })]
  let y = top + panel.head
  for (const tool of toolsOf(content)) {
    const group = content.bars.filter((bar) => bar.tool === tool)
    const weight = tool.startsWith('psyblob') ? ' font-weight="bold"' : ''
    const middle = y + (group.length * panel.bar) / 2 + 4
    parts.push(write({ x: left + panel.label - 8, y: middle, text: tool, style: `text-anchor="end"${weight}` }))
    for (const { packing, value } of group) {
      const x = left + panel.label
      const length = Math.max(1, Math.min(1, value / most) * room)
      parts.push(`<rect x="${px(x)}" y="${px(y)}" width="${px(length)}" height="${panel.bar - 1}" fill="${colours[packing]}"/>`)
      if (value > most)
        parts.push(`<path d="M${px(x + 0.9 * length)} ${px(y + panel.bar)}l6 -${panel.bar + 1}" stroke="#fff" stroke-width="3"/>`)
      parts.push(write({ x: x + length + 5, y: y + panel.bar - 2.5, text: content.format(value), style: 'font-size="10"' }))
      y += panel.bar
    }
    y += panel.gap
  }
  return parts.join('\n')
}

function panelOf(updates: readonly Update[], update: UpdateName, what: 'bytes' | 'seconds'): Panel {
  const shown = updates.filter((one) => one.update === update)
  const tools = [...new Set(shown.flatMap(({ rows }) => rows.map(({ tool }) => tool)))]
  const bars = tools.flatMap((tool) =>
    shown.flatMap(({ packing, rows }) => rows.filter((row) => row.tool === tool).map((row) => ({ tool, packing, value: row[what] }))),
  )
  return { title: `${titles[update]}: ${what}`, bars, format: what === 'bytes' ? megabytes : seconds }
}

/** Two columns, one for each update; bytes above seconds. */
export function plot(updates: readonly Update[]): string {
  const columns = (['month', 'small'] as const).map(
    (update) => [panelOf(updates, update, 'bytes'), panelOf(updates, update, 'seconds')] as const,
  )
  const margin = 20
  const legend = 24
  const row = Math.max(...columns.flat().map(heightOf)) + margin
  const width = 2 * panel.width + 3 * margin
  const height = 2 * row + margin + legend
  const panels = columns.flatMap((column, at) =>
    column.map((content, line) => draw(content, margin + at * (panel.width + margin), margin + line * row)),
  )
  const key = (['default', 'no-fragments'] as const).flatMap((packing, at) => {
    const x = margin + panel.label + at * 180
    return [
      `<rect x="${x}" y="${height - legend}" width="11" height="11" fill="${colours[packing]}"/>`,
      write({ x: x + 17, y: height - legend + 10, text: names[packing] }),
    ]
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="12" fill="#222" role="img">
<title>Bytes and seconds of an update, for each tool</title>
<rect width="${width}" height="${height}" fill="#fff"/>
${[...panels, ...key].join('\n')}
</svg>
`
}
