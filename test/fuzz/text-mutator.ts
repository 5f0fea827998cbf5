// Changes of text: lines, numbers in digits, characters that look alike or steer a terminal, and the bytes inside base64.
import { byteChanges, type Change, longest } from './byte-mutator.ts'
import type { Random } from './random.ts'

type TextChange = (text: string, random: Random, other: string) => string

const digits = [
  ...['0', '1', '-1', '-0', '2147483648', '4294967296', '8796093022209', '9007199254740991', '9007199254740992', '18446744073709551616'],
  ...['1e3', '1E400', '0x10', '01', '1.0', '0.5', '+1', '1_000', '٣', '999999'],
] as const
const twins = ['K', 'ſ', 'ı', 'İ', 'а', '／', '．', 'ｋ', 'ß', 'A\u030a', '\u00c5', 'e\u0301', '𝓴'] as const
const steering = [
  ...[
    '\0',
    '\u001b[2J',
    '\u0007',
    '\u0008',
    '\t',
    '\r',
    '\u007f',
    '\u009b',
    '\u00a0',
    '\u00ad',
    '\u200b',
    '\u202e',
    '\u2028',
    '\u2066',
    '\ufeff',
  ],
  ...['\ufffd', '\uffff', '\u{e0041}', '\ufe0f', '\u3164', '\u{10ffff}'],
] as const
const words = [
  ...[
    '__proto__',
    'constructor',
    'prototype',
    'toString',
    'hasOwnProperty',
    '..',
    '.',
    '/',
    '//',
    '/../',
    '\\',
    '\\u0000',
    '\\ud800',
    '\\/',
    '*',
  ],
  ...[
    'null',
    'true',
    '{}',
    '[]',
    '""',
    '"',
    '{',
    '[',
    '<<',
    '&a ',
    '*a',
    '!!',
    '---',
    ': ',
    '- ',
    '#',
    '=',
    '%00',
    'file:///',
    '@',
    '?',
    ' ',
  ],
] as const

const linesOf = (text: string) => text.split('\n')

const place = (text: string, random: Random) => random.below(text.length + 1)

const put = (text: string, at: number, part: string, over = 0) => text.slice(0, at) + part + text.slice(at + over)

/** Replaces one of the places that `pattern`, a global one, finds. */
function atOne(text: string, pattern: RegExp, random: Random, make: (found: string) => string): string {
  const found = random.pick([...text.matchAll(pattern)])
  return found === undefined ? text : put(text, found.index, make(found[0]), found[0].length)
}

const duplicateLine: TextChange = (text, random) => {
  const lines = linesOf(text)
  const at = random.below(lines.length)
  return lines
    .toSpliced(random.below(lines.length + 1), 0, ...Array.from({ length: random.pick([1, 1, 2, 20]) }, () => lines[at] ?? ''))
    .join('\n')
}

const deleteLine: TextChange = (text, random) => {
  const lines = linesOf(text)
  return lines.toSpliced(random.below(lines.length), 1).join('\n')
}

const swapLines: TextChange = (text, random) => {
  const lines = linesOf(text)
  const [one, two] = [random.below(lines.length), random.below(lines.length)]
  return lines
    .with(one, lines[two] ?? '')
    .with(two, lines[one] ?? '')
    .join('\n')
}

const changeEnds: TextChange = (text, random) => text.replaceAll('\n', random.pick(['\r\n', '\n\n', '\r', '\u2028', '\f', '\n ', '']))

const changeNumber: TextChange = (text, random) => atOne(text, /\d+/g, random, () => random.pick(digits))

const changeCase: TextChange = (text, random) =>
  atOne(text, /[a-z]/gi, random, (letter) => (letter === letter.toLowerCase() ? letter.toUpperCase() : letter.toLowerCase()))

const putTwin: TextChange = (text, random) => put(text, place(text, random), random.pick(twins), random.below(2))

const putSteering: TextChange = (text, random) => put(text, place(text, random), random.pick(steering), random.below(2))

const putWord: TextChange = (text, random) => put(text, place(text, random), random.pick(words), random.once(2) ? 0 : random.below(12))

const replaceWord: TextChange = (text, random) => atOne(text, /[\w.-]+/g, random, () => random.pick(words))

const brackets: readonly [readonly [string, string], ...(readonly [string, string])[]] = [
  ['[', ']'],
  ['{"a":', '}'],
  ['{', '}'],
  ['(', ')'],
]

const nest: TextChange = (text, random) => {
  const [open, close] = random.pick(brackets)
  const depth = random.pick([1, 7, 8, 9, 100, 2000])
  return put(text, place(text, random), open.repeat(depth) + (random.once(2) ? close.repeat(depth) : ''))
}

const lengthen: TextChange = (text, random) =>
  atOne(text, /[\w./ -]+/g, random, (found) => {
    const unit = random.once(2) ? (found[random.below(found.length)] ?? 'a') : found
    return unit.repeat(Math.floor(random.pick([64, 65, 256, 4097, longest / 2]) / unit.length) + 1)
  })

const takeLines: TextChange = (text, random, other) => {
  const [own, others] = [linesOf(text), linesOf(other)]
  return own.toSpliced(random.below(own.length), random.below(3), ...others.slice(random.below(others.length)).slice(0, 3)).join('\n')
}

/** Keys, signatures and digests lie behind base64, where a change of the text hardly ever gets. */
const insideBase64: TextChange = (text, random) =>
  atOne(text, /[A-Za-z0-9+/]{24,}={0,2}/g, random, (found) => {
    const bytes = new Uint8Array(Buffer.from(found, 'base64'))
    return bytes.length === 0 ? found : Buffer.from(random.pick(byteChanges)(bytes, random, bytes)).toString('base64')
  })

const changes: readonly [TextChange, ...TextChange[]] = [
  ...([duplicateLine, deleteLine, swapLines, changeEnds, changeNumber, changeNumber, changeCase, putTwin, putSteering] as const),
  ...[putWord, replaceWord, nest, lengthen, takeLines, insideBase64, insideBase64],
]

export const changeText: Change = (bytes, random, other) => {
  const text = Buffer.from(bytes).toString('utf8')
  return new Uint8Array(Buffer.from(random.pick(changes)(text, random, Buffer.from(other).toString('utf8')), 'utf8'))
}
