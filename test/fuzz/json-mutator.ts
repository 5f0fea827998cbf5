// Changes of JSON that leave it JSON: other values, keys and shapes at any place, and spellings that only a raw text can have.
import type { Change } from './byte-mutator.ts'
import type { Random } from './random.ts'

type Json = null | boolean | number | string | Json[] | { [key: string]: Json }
type Place = { readonly holder: Json[] | { [key: string]: Json }; readonly key: string | number }

/** Stands in a value for a text that no value would be written as. */
const mark = '@@raw@@'
const rawTexts = [
  '1.0',
  '1e3',
  '-0',
  '1E400',
  '0.1e1',
  '"\\u0061"',
  '"\\/"',
  '"\\ud800"',
  '"\\udead"',
  '9007199254740993',
  'tru',
  "'a'",
  '01',
  ' 1',
]
const keys = ['__proto__', 'constructor', 'prototype', 'toString', '0', '', '*', 'a\u202eb', '\u001b[31m', '\u0000', 'length', '𝓴']
const values: readonly Json[] = [
  ...[
    null,
    true,
    false,
    0,
    1,
    -1,
    0.5,
    2 ** 31,
    2 ** 32,
    2 ** 43 + 1,
    2 ** 53 - 1,
    2 ** 53,
    1e300,
    '',
    '0',
    '..',
    '\u001b[2J',
    '\u202e',
    '/',
  ],
  ...[
    '1970-01-01T00:00:00Z',
    '9999-12-31T23:59:59Z',
    '2026-02-30T00:00:00Z',
    'a'.repeat(70),
    'z'.repeat(3000),
    '"',
    '\\',
    '\u0000',
    '\ufeff',
  ],
  ...[[], {}, [[]], [null], { a: 1 }],
]

function* placesOf(value: Json): Generator<Place> {
  if (typeof value !== 'object' || value === null) return
  const holder = value
  for (const key of Array.isArray(value) ? value.keys() : Object.keys(value)) {
    yield { holder, key }
    yield* placesOf((value as Record<string | number, Json>)[key] ?? null)
  }
}

const get = ({ holder, key }: Place): Json => (holder as Record<string | number, Json>)[key] ?? null

/** As an own property, also when it is called `__proto__`. */
const set = ({ holder, key }: Place, value: Json): void =>
  void Object.defineProperty(holder, key, { value, enumerable: true, configurable: true, writable: true })

const copy = (value: Json): Json => structuredClone(value)

function deep(depth: number, isList: boolean): Json {
  let value: Json = 1
  for (let level = 0; level < depth; level++) value = isList ? [value] : { a: value }
  return value
}

type JsonChange = (at: Place, random: Random, all: readonly Place[], donor: readonly Place[]) => void

const replace: JsonChange = (at, random) => set(at, copy(random.pick(values) ?? null))
const raw: JsonChange = (at) => set(at, mark)
const remove: JsonChange = ({ holder, key }) => {
  if (Array.isArray(holder)) holder.splice(Number(key), 1)
  else delete holder[String(key)]
}
const add: JsonChange = (at, random) => {
  const { holder } = at
  const value = copy(random.once(2) ? get(at) : (random.pick(values) ?? null))
  if (Array.isArray(holder))
    holder.splice(random.below(holder.length + 1), 0, ...Array.from({ length: random.pick([1, 1, 17]) }, () => copy(value)))
  else set({ holder, key: random.pick(keys) ?? '' }, value)
}
const renameKey: JsonChange = (at, random) => {
  const { holder, key } = at
  if (Array.isArray(holder)) return
  const value = get(at)
  delete holder[String(key)]
  set({ holder, key: random.once(2) ? (random.pick(keys) ?? '') : `${key}${random.pick(['s', ' ', '\u200b', '.'])}` }, value)
}
const swap: JsonChange = (at, random, all) => {
  const other = random.pick(all)
  if (other === undefined) return
  const [one, two] = [copy(get(at)), copy(get(other))]
  set(at, two)
  set(other, one)
}
const wrap: JsonChange = (at, random) => set(at, random.once(2) ? [copy(get(at))] : deep(random.pick([6, 7, 8, 9, 300]), random.once(2)))
const spell: JsonChange = (at, random) => {
  const value = get(at)
  if (typeof value === 'number') set(at, random.once(2) ? String(value) : value + random.pick([1, -1, 0.5]))
  else if (typeof value === 'string')
    set(at, random.pick([value.toUpperCase(), `${value} `, `${value}\n`, value.slice(1), value + value, value.normalize('NFD')]))
}
const borrow: JsonChange = (at, random, _, donor) => {
  const other = random.pick(donor)
  if (other !== undefined) set(at, copy(get(other)))
}

const changes: readonly [JsonChange, ...JsonChange[]] = [replace, replace, raw, remove, add, renameKey, swap, wrap, spell, spell, borrow]

function parsed(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json
  } catch {
    return undefined
  }
}

/** A key that stands there once more: no value has two. */
function repeatKey(text: string, random: Random): string {
  const found = random.pick([...text.matchAll(/"[^"\\]*":/g)])
  if (found === undefined) return text
  return `${text.slice(0, found.index)}${found[0]}${random.pick(['null,', '1,', '{},', '"x",'])}${text.slice(found.index)}`
}

/** Undefined for text that is no JSON. */
function changeValue(text: string, random: Random, other: string): string | undefined {
  const value = parsed(text)
  if (value === undefined) return undefined
  if (random.once(8)) return repeatKey(text, random)
  const root: Place = { holder: [value], key: 0 }
  const all = [...placesOf(root.holder)]
  const donor = [...placesOf([parsed(other) ?? null])]
  const at = random.pick(all) ?? root
  random.pick(changes)(at, random, all, donor)
  const spaces = text.includes('\n') ? 2 : undefined
  return (JSON.stringify(get(root), null, spaces) ?? '').replace(`"${mark}"`, random.pick(rawTexts) ?? '')
}

/** Of a document, or of one line of many. Bytes that hold no JSON come back as they are. */
export const changeJson: Change = (bytes, random, other) => {
  const text = Buffer.from(bytes).toString('utf8')
  const otherText = Buffer.from(other).toString('utf8')
  const end = /\s*$/.exec(text)?.[0] ?? ''
  const whole = changeValue(text.slice(0, text.length - end.length), random, otherText)
  if (whole !== undefined) return new Uint8Array(Buffer.from(whole + end, 'utf8'))
  const lines = text.split('\n')
  const at = random.below(lines.length)
  const line = changeValue(lines[at] ?? '', random, random.pick(otherText.split('\n')) ?? '')
  return line === undefined ? bytes : new Uint8Array(Buffer.from(lines.with(at, line).join('\n'), 'utf8'))
}
