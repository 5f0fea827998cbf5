// The parts of the benchmark that are only about numbers and text.
import { describe, expect, test } from 'vitest'
import { formatLink, parseLink } from './link-spec.ts'
import { count, median, megabytes, seconds } from './numbers.ts'
import { plot } from './plot.ts'
import type { Figures } from './race.ts'
import type { Results, Update } from './results.ts'
import { releases } from './synthetic.ts'
import { table } from './table.ts'
import { compareTargets } from './targets.ts'

const figures = (tool: string, more: Partial<Figures> = {}): Figures => ({
  tool,
  runs: 3,
  seconds: 1,
  onDisk: 1,
  memory: 2 ** 20,
  bytes: 1e6,
  requests: 1,
  ...more,
})
const update: Update = {
  packing: 'default',
  update: 'month',
  size: 196e6,
  rows: [figures('psyblob', { bytes: 60e6 }), figures('zsync', { seconds: 2, bytes: 55e6 }), figures('ostree delta', { seconds: 0.1 })],
}
const results: Results = {
  date: '2026-01-01T00:00:00Z',
  machine: { cpu: '', cores: 2, memory: 0, system: '', kernel: '', fileSystem: '', node: '', psyblob: '', tools: {} },
  runs: 3,
  updates: [update],
  idle: figures('psyblob'),
}

describe('numbers', () => {
  test('the median of an even count lies between the two in the middle', () => {
    expect(median([9])).toBe(9)
    expect(median([3, 10, 1])).toBe(3)
    expect(median([4, 1, 10, 2])).toBe(3)
    expect(() => median([])).toThrow('at least one')
  })

  test('have as many digits as mean something', () => {
    expect([0.0123, 1.234, 123.4].map(seconds)).toEqual(['0.012 s', '1.23 s', '123 s'])
    expect([1_800_000, 59_512_345].map(megabytes)).toEqual(['1.80 MB', '59.5 MB'])
    expect([7, 985, 3576, 1234567].map(count)).toEqual(['7', '985', '3,576', '1,234,567'])
  })
})

describe('a link', () => {
  test.each([
    ['80ms,100mbit', 80, 100e6],
    ['0.5ms,1gbit', 0.5, 1e9],
    ['200ms,512kbit', 200, 512e3],
  ])('is written %s', (text, roundTrip, rate) => {
    expect(parseLink(text)).toEqual({ roundTrip, rate })
    expect(formatLink({ roundTrip, rate })).toBe(text)
  })

  test.each(['', '80ms', '100mbit,80ms', '80ms,0mbit', '80ms,100', '80 ms, 100 mbit'])('is not written "%s"', (text) => {
    expect(() => parseLink(text)).toThrow('80ms,100mbit')
  })
})

test('a table is Markdown whose columns stand below each other', () => {
  expect(
    table(
      ['tool', 'bytes'],
      [
        ['psyblob', '1'],
        ['x', '22'],
      ],
    ),
  ).toBe(['| tool    | bytes |', '|---------|------:|', '| psyblob |     1 |', '| x       |    22 |'].join('\n'))
})

test('a plot has a bar for each tool, bytes and seconds, and no text that breaks SVG', () => {
  const svg = plot([{ ...update, rows: [...update.rows, figures('a<b & c')] }])
  expect(svg.match(/<rect [^>]*height="11"/g)).toHaveLength(2 * 4 + 2)
  expect(svg).toContain('a&lt;b &amp; c')
  expect(svg).not.toMatch(/NaN|Infinity|undefined/)
})

test('targets compare with the fastest tool that works on files', () => {
  const rows = compareTargets(results, [['80ms,100mbit', results]])
  expect(rows).toContainEqual({ what: 'bytes, month', target: '≤ 59.5 MB', measured: '60.0 MB', met: false })
  expect(rows).toContainEqual({ what: 'sync ÷ fastest peer (zsync), month', target: '≤ 0.60 ×', measured: '0.50 ×', met: true })
})

test('targets of trust are seconds', () => {
  const trust = { roots: { count: 256, seconds: 2 }, signatures: { seconds: 0.03, again: 0.01 } }
  const rows = compareTargets({ ...results, trust }, [])
  expect(rows.slice(-2)).toEqual([
    { what: 'catching up with 256 roots', target: '≤ 5.00 s', measured: '2.00 s', met: true },
    { what: 'all signatures of a sync, each role of two keys', target: '≤ 0.020 s', measured: '0.030 s', met: false },
  ])
})

test('targets over a link are bytes ÷ bandwidth and the full download', () => {
  const link = { roundTrip: 80, rate: 100e6, by: 'tun', measured: { roundTrip: 0.08, rate: 9e7 } } as const
  const rows = [figures('psyblob', { bytes: 50e6, seconds: 5 }), figures('full download', { seconds: 16 })]
  const shown = compareTargets(undefined, [['80ms,100mbit', { ...results, link, updates: [{ ...update, rows }] }]])
  expect(shown.map(({ measured, met }) => [measured, met])).toEqual([
    ['1', true],
    ['1.25 ×', false],
    ['0.31 ×', true],
  ])
})

test('a second synthetic release keeps nearly all of the first, and moves its end by an odd number of bytes', () => {
  const size = 200_000_000
  const [first, second] = releases(size)
  const kept = second.filter(({ name }) => name === 'image')
  const sum = (runs: typeof second) => runs.reduce((total, { length }) => total + length, 0)
  expect(first).toEqual([{ name: 'image', offset: 0, length: size }])
  expect(sum(kept) / size).toBeCloseTo(0.992, 3)
  expect((sum(second) - size) % 2).toBe(1)
  expect(kept.every(({ offset, length }) => offset % 16 === 0 && length > 0)).toBe(true)
  expect((kept.at(-1)?.offset ?? 0) + (kept.at(-1)?.length ?? 0)).toBe(size)
})
