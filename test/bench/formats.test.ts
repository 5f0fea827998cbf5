// The parts of the benchmark that are only about numbers and text.
import { describe, expect, test } from 'vitest'
import { formatLink, parseLink } from './link-spec.ts'
import { count, median, megabytes, seconds } from './numbers.ts'
import { readOptions } from './options.ts'
import { patchSection, replacePatchSection } from './patch-report.ts'
import { plot } from './plot.ts'
import type { Figures } from './race.ts'
import { tables } from './report.ts'
import type { Patches, Results, Update } from './results.ts'
import { releases } from './synthetic.ts'
import { table } from './table.ts'
import { comparePatches, compareTargets } from './targets.ts'

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

test('a bar of a patch that is far longer than the others is broken, and theirs are not shortened', () => {
  const svg = plot([{ ...update, rows: [...update.rows, figures('psyblob patch', { seconds: 30, bytes: 10e6 })] }])
  expect(svg.match(/<path /g)).toHaveLength(1)
  expect(svg).toContain('30.00 s')
  const widths = [...svg.matchAll(/<rect [^>]*width="([\d.]+)" height="11" fill="#3b6ea5"/g)].map((match) => Number(match[1]))
  expect(Math.max(...widths)).toBe(300)
  expect(widths.filter((width) => width === 300).length).toBeGreaterThan(2)
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

describe('patches', () => {
  const making = { seconds: 100, memory: 400 * 2 ** 20, bytes: 9.6e6, count: 1 }
  const patch = figures('psyblob patch', { bytes: 10e6, seconds: 30, onDisk: 30, memory: 200 * 2 ** 20 })
  const month: Update = { ...update, rows: [...update.rows, patch], making }
  const small: Update = { ...month, update: 'small', rows: [figures('psyblob'), { ...patch, bytes: 1.4e6 }] }
  const link = { roundTrip: 80, rate: 5e6, by: 'tun', measured: { roundTrip: 0.081, rate: 4.9e6 } } as const
  const ways = [
    { how: 'patch', seconds: 50, reckoned: 45 },
    { how: 'chunks', seconds: 100, reckoned: 90 },
    { how: 'whole', seconds: 300 },
  ]
  const patches: Patches = {
    date: '2026-01-02T00:00:00Z',
    machine: results.machine,
    runs: 3,
    updates: [month, small],
    deltas: { month: { bytes: 11e6, seconds: 90 }, small: { bytes: 1.3e6, seconds: 2, memory: 2 ** 20 } },
    release: {
      making: { ...making, count: 3 },
      files: [
        { path: '/squashfs', size: 90e6, how: 'patch', bytes: 8e6, chunks: 40e6 },
        { path: '/kernel', size: 14e6, how: 'whole', bytes: 9e6, chunks: 9e6 },
      ],
      bytes: 17e6,
      sync: patch,
    },
    choice: {
      '80ms,100mbit': { link: { ...link, rate: 100e6 }, updates: [] },
      '80ms,5mbit': { link, updates: [{ update: 'month', ways, chosen: 'patch', seconds: 60 }] },
    },
  }

  test('have targets, of whatever was measured', () => {
    const rows = comparePatches(patches).map(({ what, measured, met }) => [what, measured, met])
    expect(rows).toContainEqual(['bytes by patch, month', '10.0 MB', true])
    expect(rows).toContainEqual(["bytes of the patch itself, small: OSTree's delta", '9,600,000', false])
    expect(rows).toContainEqual(['making a patch, month', '100 s', true])
    expect(rows).toContainEqual(['memory of applying, month', '200 MiB', false])
    expect(rows).toContainEqual(['bytes by patch, a whole Debian release', '17.0 MB', false])
    expect(rows.at(-1)).toEqual(['chosen ÷ best way, month, 80ms,5mbit', '1.20 ×', false])
    expect(comparePatches({ date: patches.date, machine: patches.machine, runs: 1 })).toEqual([])
  })

  test('stand in a section, with what each way was reckoned to take', () => {
    const section = patchSection(patches)
    expect(section).toContain('50.00 s (45.00 s)')
    expect(section).toContain('Published with 3 patches')
    expect(section).toMatch(/\| all files +\| 104\.0 MB \| +\| 17\.0 MB \| +49\.0 MB \|/)
    expect(section).not.toMatch(/NaN|Infinity|undefined/)
  })

  test('are told below the transfers, beside the delta of OSTree', () => {
    const local = { ...results, updates: [month], deltas: { month: { bytes: 11e6, seconds: 90 } } }
    const text = tables({ local, links: [], patches })
    expect(text).toContain(
      'The patch has 9.60 MB and took 100 s and 400 MiB to make. The OSTree delta has 11.0 MB and took 90.00 s to make.',
    )
    expect(text.indexOf('## Patches')).toBeLessThan(text.indexOf('## Targets'))
  })

  test('are written anew in a chapter whose rest is kept', () => {
    const chapter = '# Performance\n\n## One machine\n\na\n\n## Targets\n\nb\n'
    const first = replacePatchSection(chapter, '## Patches\n\n### New\n\nc')
    expect(first).toBe('# Performance\n\n## One machine\n\na\n\n## Patches\n\n### New\n\nc\n\n## Targets\n\nb\n')
    expect(replacePatchSection(first, '## Patches\n\nd')).toBe(
      '# Performance\n\n## One machine\n\na\n\n## Patches\n\nd\n\n## Targets\n\nb\n',
    )
    expect(replacePatchSection('# P\n\na\n', '## Patches\n\nc')).toBe('# P\n\na\n\n## Patches\n\nc\n')
  })

  test('are asked for by words that go together', () => {
    expect(readOptions(['--patches'], { PSYBLOB_RELEASES: '/a,/b' })).toMatchObject({ patches: true, releases: ['/a', '/b'] })
    expect(readOptions(['--patches', '--choice', '--link', '80ms,5mbit'], {})).toMatchObject({ choice: true, link: { rate: 5e6 } })
    expect(() => readOptions(['--choice'], {})).toThrow('--patches')
    expect(() => readOptions(['--patches', '--link', '80ms,5mbit'], {})).toThrow('--choice')
    expect(() => readOptions(['--patches'], { PSYBLOB_RELEASES: '/a' })).toThrow('OLD,NEW')
  })
})
