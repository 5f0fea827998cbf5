// Signature files changed in every way we could think of: bytes, lines, line ends, base64, tags, ids, numbers, comments, blocks. Texts are latin1.
import type { Material } from './material.ts'
import type { Random } from './random.ts'

type Change = (text: string, random: Random, material: Material) => string

const utf8 = (text: string) => Buffer.from(text).toString('latin1')
/** What some reader somewhere takes for the end of a line, of a text, or for nothing. */
const separators = [
  '\r\n',
  '\r',
  '\f',
  '\v',
  '\0',
  '\x1c',
  '\x1e',
  '\x85',
  utf8('\u0085'),
  utf8('\u2028'),
  utf8('\u2029'),
  utf8('\ufeff'),
  '\n\n',
  '\n\r',
  ' \n',
  '\t\n',
  '',
]

const linesOf = (text: string) => text.split('\n').slice(0, -1)
const joined = (lines: readonly string[]) => lines.map((line) => `${line}\n`).join('')
const at = (text: string, place: number, count: number, put: string) => `${text.slice(0, place)}${put}${text.slice(place + count)}`
const printable = (random: Random, length: number) => Array.from({ length }, () => String.fromCharCode(0x20 + random.below(95))).join('')
const lengths = [
  0, 1, 10, 100, 900, 1000, 1004, 1005, 1006, 1007, 1023, 1024, 1025, 2000, 5000, 8000, 8170, 8190, 8191, 8192, 8193, 9500, 10_240, 20_000,
]

/** Changes one line of those that `isMeant`. */
const line =
  (isMeant: (at: number) => boolean, change: (line: string, random: Random) => string): Change =>
  (text, random) => {
    const lines = linesOf(text)
    const chosen = random.pick(lines.map((_, at) => at).filter(isMeant))
    return joined(lines.map((each, at) => (at === chosen ? change(each, random) : each)))
  }
const anyLine = () => true
const base64Line = (at: number) => at % 2 === 1
const untrustedLine = (at: number) => at % 4 === 0

/** Changes the bytes behind a line of base64. */
const decoded = (isMeant: (at: number) => boolean, change: (bytes: Buffer, random: Random) => Buffer): Change =>
  line(isMeant, (each, random) => {
    const bytes = Buffer.from(each, 'base64')
    return bytes.length < 64 ? each : change(bytes, random).toString('base64')
  })

const head = (at: number) => at % 4 === 1
const xor = (bytes: Buffer, place: number, with_: number) => {
  bytes[place] = (bytes[place] ?? 0) ^ with_
  return bytes
}

export const changes: Readonly<Record<string, Change>> = {
  'a byte is another': (text, random) => at(text, random.below(text.length), 1, String.fromCharCode(random.below(256))),
  'a bit is turned': (text, random) =>
    Buffer.from(xor(Buffer.from(text, 'latin1'), random.below(text.length), 1 << random.below(8))).toString('latin1'),
  'a byte more': (text, random) => at(text, random.below(text.length + 1), 0, String.fromCharCode(random.below(256))),
  'a byte less': (text, random) => at(text, random.below(text.length), 1, ''),
  'a run less': (text, random) => at(text, random.below(text.length), random.below(100), ''),
  'cut short': (text, random) => text.slice(0, random.below(text.length)),
  'two lines change places': (text, random) => {
    const lines = linesOf(text)
    const [one, two] = [random.below(lines.length), random.below(lines.length)]
    return joined(lines.map((each, at) => (at === one ? (lines[two] ?? '') : at === two ? (lines[one] ?? '') : each)))
  },
  'a line less': (text, random) => joined(linesOf(text).toSpliced(random.below(linesOf(text).length), 1)),
  'a line twice': (text, random) => {
    const lines = linesOf(text)
    return joined(lines.toSpliced(random.below(lines.length + 1), 0, random.pick(lines)))
  },
  'an empty line': (text, random) => joined(linesOf(text).toSpliced(random.below(5), 0, '')),
  'another end of a line': (text, random) => {
    const ends = [...text].flatMap((each, at) => (each === '\n' ? [at] : []))
    return ends.length === 0 ? text : at(text, random.pick(ends), 1, random.pick(separators))
  },
  'another end of every line': (text, random) => text.replaceAll('\n', random.pick(separators)),
  'no last end': (text) => text.replace(/\n$/, ''),
  'something behind a line': line(
    anyLine,
    (each, random) => `${each}${random.pick([' ', '\t', '=', '\0', '\r', 'A', 'AAAA', '#', ...separators])}`,
  ),
  'something before a line': line(anyLine, (each, random) => `${random.pick([' ', '\t', '\0', '#', ...separators])}${each}`),
  'a separator within a line': line(anyLine, (each, random) => at(each, random.below(each.length + 1), 0, random.pick(separators))),
  'base64 without padding': line(base64Line, (each) => each.replace(/=+$/, '')),
  'base64 with more padding': line(base64Line, (each, random) => `${each}${'='.repeat(1 + random.below(4))}`),
  'base64 with bits behind the last byte': line(base64Line, (each, random) => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
    const last = each.replace(/=+$/, '').length - 1
    const spare = each.endsWith('==') ? 15 : 3
    return at(each, last, 1, alphabet[alphabet.indexOf(each[last] ?? 'A') ^ (1 + random.below(spare))] ?? 'A')
  }),
  'base64 of another alphabet': line(base64Line, (each) => each.replaceAll('+', '-').replaceAll('/', '_')),
  'base64 with something in it': line(base64Line, (each, random) =>
    at(each, random.below(each.length), 0, random.pick([' ', '\t', '=', '==', '\r', '\0', '-', ...separators])),
  ),
  'base64 with another letter': line(base64Line, (each, random) =>
    at(each, random.below(each.length), 1, random.pick([...'ABCabc019+/='])),
  ),
  'another algorithm': decoded(head, (bytes, random) => {
    bytes.write(random.pick(['Ed', 'ED', 'eD', 'ed', 'Eb', 'E\0', '\0\0', 'DE', 'Es']), 0, 'latin1')
    return bytes
  }),
  'another key id': decoded(head, (bytes, random) =>
    random.pick([
      () => xor(bytes, 2 + random.below(8), 1 + random.below(255)),
      () => bytes.fill(0, 2, 10),
      () => bytes.fill(0xff, 2, 10),
      () => Buffer.concat([bytes.subarray(0, 2), Buffer.from(bytes.subarray(2, 10)).reverse(), bytes.subarray(10)]),
    ])(),
  ),
  'a bit of a signature': decoded(base64Line, (bytes, random) => xor(bytes, random.below(bytes.length), 1 << random.below(8))),
  'another sign of R': decoded(base64Line, (bytes) => xor(bytes, bytes.length - 33, 0x80)),
  'high bits of S': decoded(base64Line, (bytes, random) => xor(bytes, bytes.length - 1, random.pick([0x10, 0x20, 0x40, 0x80, 0xe0]))),
  'halves that are nothing': decoded(base64Line, (bytes, random) =>
    bytes.fill(random.pick([0, 0xff]), bytes.length - random.pick([32, 64]), bytes.length - random.pick([0, 32])),
  ),
  'bytes behind a signature': decoded(base64Line, (bytes, random) => Buffer.concat([bytes, random.bytes(1 + random.below(8))])),
  'a signature that is too short': decoded(base64Line, (bytes, random) => bytes.subarray(0, random.below(bytes.length))),
  'the two signatures change places': (text) => {
    const [first = '', one = '', third = '', two = '', ...rest] = linesOf(text)
    const [long, short] = [Buffer.from(one, 'base64'), Buffer.from(two, 'base64')]
    return joined([
      first,
      Buffer.concat([long.subarray(0, 10), short]).toString('base64'),
      third,
      long.subarray(10).toString('base64'),
      ...rest,
    ])
  },
  'R and S that a lenient verifier takes': (_, random, { forged }) => random.pick(forged),
  'the comments change places': (text) =>
    text.replace(
      /^untrusted comment: (.*)\n(.*)\ntrusted comment: (.*)\n/,
      (_, one: string, signature: string, two: string) => `untrusted comment: ${two}\n${signature}\ntrusted comment: ${one}\n`,
    ),
  'another untrusted comment': line(untrustedLine, (_, random) => `untrusted comment: ${printable(random, random.pick(lengths))}`),
  'bytes in the untrusted comment': line(
    untrustedLine,
    (_, random) => `untrusted comment: ${random.bytes(1 + random.below(30)).toString('latin1')}`,
  ),
  'other words before a comment': line(
    (at) => at % 2 === 0,
    (each, random) =>
      each.replace(
        /^(un)?trusted comment: ?/,
        random.pick([
          'untrusted comment:',
          'untrusted comment',
          'Untrusted comment: ',
          'untrusted  comment: ',
          'trusted comment: ',
          'trusted comment:',
          'untrusted comment:\t',
          'comment: ',
          '',
        ]),
      ),
  ),
  'another trusted comment, unsigned': line(
    (at) => at % 4 === 2,
    (each, random) => `${each}${random.pick([' ', '\t', 'x', '\0', '\0evil', printable(random, 20)])}`,
  ),
  'another trusted comment, signed': (_, random, { block }) => block(printable(random, random.pick(lengths)), 'signature'),
  'bytes in the trusted comment, signed': (_, random, { block }) => block(random.bytes(random.below(40)).toString('latin1'), 'signature'),
  'a separator in the trusted comment, signed': (_, random, { block }) => block(`good${random.pick(separators)}evil`, 'signature'),
  'white space around the trusted comment, signed': (_, random, { block }) =>
    block(`${random.pick(['', ' ', '\t'])}comment${random.pick([' ', '\t', '\r', '\0', '  '])}`, 'signature'),
  'a good block within an untrusted comment': (text, random, { foreign }) => {
    const separator = random.pick(separators)
    const [first = '', ...rest] = linesOf(foreign(random.below(2) === 0))
    return joined([`${first}${separator}${linesOf(text).join(separator)}`, ...rest])
  },
  'a bad block within an untrusted comment': (text, random, { foreign }) => {
    const [first = '', ...rest] = linesOf(text)
    return joined([`${first}${random.pick(separators)}${linesOf(foreign(true)).join(random.pick(separators))}`, ...rest])
  },
  'a block of somebody else before': (text, random, { foreign }) => `${foreign(random.below(2) === 0)}${text}`,
  'a block of somebody else behind': (text, random, { foreign }) => `${text}${foreign(random.below(2) === 0)}`,
  'blocks without end': (text, random) => text.repeat(1 + random.below(20)),
  'something behind the file': (text, random) =>
    `${text}${random.pick(['\n', ' ', '\0', 'x', 'x\n', '\n\n\n\n', 'untrusted comment: x\n', ...separators, random.bytes(random.below(200)).toString('latin1'), 'y'.repeat(11_000)])}`,
  'something before the file': (text, random) =>
    `${random.pick([utf8('\ufeff'), '\xff\xfe', '\n', ' ', '\0', '#!\n', 'untrusted comment: x\n'])}${text}`,
  'other bytes altogether': (_, random) => random.bytes(random.below(600)).toString('latin1'),
}

const names = Object.keys(changes)

export type Mutation = { readonly how: readonly string[]; readonly bytes: Buffer }

/** One to three changes of a good file; most have one, so that it is known what was refused. */
export function* mutations(count: number, random: Random, material: Material): Generator<Mutation> {
  for (let made = 0; made < count; made++) {
    const how = Array.from({ length: random.pick([1, 1, 1, 1, 2, 3]) }, (_, at) =>
      at === 0 ? (names[made % names.length] ?? '') : random.pick(names),
    )
    const text = how.reduce((text, name) => {
      // what is no longer lines of a signature is changed by bytes only
      const change = linesOf(text).length < 4 ? changes['a byte is another'] : changes[name]
      return text === '' ? text : (change?.(text, random, material) ?? text)
    }, random.pick(material.files))
    yield { how, bytes: Buffer.from(text, 'latin1') }
  }
}
