// The shape of a recipe as a person writes it, with what each field is expected to be in words (spec/recipe.md 3).
import * as v from 'valibot'
import { nearest, parsedBy, parseName } from '../../core/mod.ts'
import { durationOf } from '../duration.ts'

type Told = Pick<v.BaseIssue<unknown>, 'type' | 'input' | 'expected' | 'received' | 'path'>

/** What a value is, or the value itself where the kind was right. */
function described({ type, input }: Told): string {
  if (input === undefined || input === null) return 'nothing'
  if (Array.isArray(input)) return 'a list'
  if (typeof input === 'object') return 'a map'
  if (['union', 'picklist', 'literal', 'regex', 'integer', 'min_value', 'max_value', 'min_length', 'check'].includes(type))
    return JSON.stringify(input)
  return { number: 'a number', boolean: String(input) }[typeof input as string] ?? 'a text'
}

const expected = (what: string) => (issue: Told) => `expected ${what}, got ${described(issue)}`

/** A map with these keys and no others. */
function map<const Entries extends v.ObjectEntries>(entries: Entries, what = 'a map') {
  return v.strictObject(entries, (issue) => {
    const key = issue.path?.at(-1)?.key
    if (key === undefined) return expected(what)(issue)
    if (issue.received === 'undefined') return 'missing'
    const meant = nearest(String(key), Object.keys(entries))
    return `no such key${meant === undefined ? '' : `; did you mean ${meant}?`}`
  })
}

const text = v.pipe(v.string(expected('a text')), v.minLength(1, 'expected a text, got an empty one'))
const texts = v.array(text, expected('a list of texts'))
const shaped = (pattern: RegExp, what: string) => v.pipe(v.string(expected(what)), v.regex(pattern, expected(what)))
const oneOf = <const Words extends readonly string[]>(words: Words, what: string) => v.picklist(words, expected(what))
const whole = (least: number, most: number, what = `a whole number from ${least} to ${most}`) =>
  v.pipe(v.number(expected(what)), v.integer(expected(what)), v.minValue(least, expected(what)), v.maxValue(most, expected(what)))

const fullPath = v.pipe(
  shaped(/^\//, 'a path that begins with /'),
  v.check((path) => !path.split('/').includes('..'), expected('a path without ..')),
)

const units: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 }
const timePattern = /^(\d{1,6})([smhd])$/
const time = shaped(timePattern, 'a time such as 30s, 10m or 1h')

/** Seconds, of a number or a text. */
const seconds = v.union(
  [
    whole(0, 999_999),
    v.pipe(
      time,
      v.transform((written) => {
        const [, count = '', unit = ''] = timePattern.exec(written) ?? []
        return Number(count) * (units[unit] ?? 1)
      }),
    ),
  ],
  expected('a time such as 30s, 10m or 1h'),
)

const sizePattern = /^(\d{1,9})([KM]?)$/
const powerOfTwo = 'a power of two from 4K to 1M'
const block = v.pipe(
  v.union([v.number(), v.pipe(v.string(), v.regex(sizePattern))], expected(powerOfTwo)),
  v.transform((written) => {
    const [, count = '', unit = ''] = sizePattern.exec(String(written)) ?? []
    return Number(count) * (unit === 'K' ? 1024 : unit === 'M' ? 1024 * 1024 : 1)
  }),
  v.check((size) => size >= 4096 && size <= 1024 * 1024 && Number.isInteger(Math.log2(size)), expected(powerOfTwo)),
)

/** Octal whichever way it is written: the reader hands it over as it stands in the file. */
const mode = v.pipe(
  shaped(/^(0o?)?[0-7]{3,4}$/, 'permissions such as "0644"'),
  v.transform((written) => Number.parseInt(written.replace(/^0o/, ''), 8)),
)

const file = map(
  {
    path: fullPath,
    mode: v.exactOptional(mode),
    text: v.exactOptional(v.string(expected('a text'))),
    from: v.exactOptional(text),
    link: v.exactOptional(text),
    folder: v.exactOptional(v.literal(true, expected('true'))),
  },
  'a map with path and one of text, from, link, folder',
)

/** As the options of the agent are: it would refuse to start. */
const agentTime = v.pipe(
  time,
  v.check((written) => durationOf(written) !== undefined, expected('a time of at most 10d')),
)

const agent = map({
  every: v.optional(agentTime, '1h'),
  jitter: v.optional(agentTime, '10m'),
  reboot: v.optional(
    shaped(/^(always|never|([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d)$/, 'always, never or a span such as 02:00-04:00'),
    'always',
  ),
  patience: v.optional(agentTime, '5m'),
})

const squashfs = map({
  compression: v.optional(oneOf(['zstd', 'xz', 'gzip', 'lz4'], 'zstd, xz, gzip or lz4'), 'zstd'),
  level: v.exactOptional(whole(1, 22)),
  block: v.optional(block, '128K'),
  fragments: v.optional(v.boolean(expected('true or false')), false),
})

const efisys = map({
  'command-line': v.optional(v.string(expected('a text')), ''),
  timeout: v.optional(whole(1, 3600), 3),
  serial: v.optional(whole(0, 4_000_000), 115_200),
  'extra-programs': v.optional(
    v.array(
      map({ name: shaped(/^\w[\w.-]{0,59}$/, 'a short name such as memtest'), title: text, from: text }, 'a map with name, title and from'),
      expected('a list of programs'),
    ),
    [],
  ),
})

const form = v.literal('recipe/1', expected('recipe/1'))

const common = {
  psyblob: form,
  name: v.optional(
    parsedBy((value) => parseName(value, 'product')),
    'os',
  ),
  architecture: v.exactOptional(oneOf(['x86_64', 'aarch64'], 'x86_64 or aarch64')),
  exclude: v.optional(v.array(fullPath, expected('a list of patterns')), []),
  commands: v.optional(texts, []),
  files: v.optional(v.array(file, expected('a list of files')), []),
  kernel: v.exactOptional(
    v.union(
      [text, map({ package: v.exactOptional(text), dir: v.exactOptional(text) })],
      expected('a package, or a map with package or dir'),
    ),
  ),
  initramfs: v.optional(map({ modules: v.optional(texts, []), watchdog: v.exactOptional(seconds) }), {}),
  squashfs: v.optional(squashfs, {}),
  program: v.exactOptional(oneOf(['bundle', 'executable', 'none'], 'bundle, executable or none')),
  agent: v.optional(v.union([v.boolean(), agent], expected('true, false or a map')), false),
  composition: v.optional(v.array(v.record(v.string(), v.unknown(), expected('a map')), expected('a list of products')), []),
  efisys: v.optional(efisys, {}),
}

const packaged = {
  repositories: v.exactOptional(texts),
  keys: v.optional(texts, []),
  packages: v.optional(v.array(shaped(/^[^\s,-][^\s,]*$/, 'a text, the name of a package'), expected('a list of texts')), []),
}

const distributions = {
  debian: map({
    ...common,
    ...packaged,
    distribution: v.literal('debian'),
    suite: v.optional(shaped(/^[a-z][\w.-]*$/, 'a suite such as bookworm'), 'bookworm'),
    variant: v.optional(shaped(/^[a-z-]+$/, 'a variant of mmdebstrap such as minbase'), 'minbase'),
  }),
  alpine: map({
    ...common,
    ...packaged,
    distribution: v.literal('alpine'),
    branch: v.exactOptional(shaped(/^(v\d+\.\d+|edge|latest-stable)$/, 'a branch such as v3.21')),
  }),
  none: map({ ...common, distribution: v.literal('none'), from: text }),
} as const

export type Written = v.InferOutput<(typeof distributions)[keyof typeof distributions]>

const head = v.looseObject(
  { psyblob: form, distribution: oneOf(Object.keys(distributions) as (keyof typeof distributions)[], 'debian, alpine or none') },
  (issue) => (issue.path === undefined ? expected('a map')(issue) : 'missing'),
)

export type Complaint = {
  /** Keys and numbers of items, from the top. */
  readonly path: readonly (string | number)[]
  readonly message: string
}

/** What a recipe says, or everything that is wrong with it. */
export function checkWritten(value: unknown): { readonly written: Written } | { readonly complaints: readonly Complaint[] } {
  const start = v.safeParse(head, value)
  if (!start.success) return { complaints: start.issues.map(complaint) }
  const result = v.safeParse<v.GenericSchema<unknown, Written>>(distributions[start.output.distribution], value)
  return result.success ? { written: result.output } : { complaints: result.issues.map(complaint) }
}

function complaint(issue: v.BaseIssue<unknown>): Complaint {
  const path = (issue.path ?? []).map(({ key }) => (typeof key === 'number' ? key : String(key)))
  // of alternatives, what is wrong inside the one that was meant
  const inner = issue.issues?.find((one) => one.path !== undefined)
  if (inner === undefined) return { path, message: issue.message }
  const { path: rest, message } = complaint(inner)
  return { path: [...path, ...rest], message }
}
