// Attacks by what rightly signed documents say: JSON that has two readings, paths that lead out, names that are twins, numbers and CIDs in other spellings, entries that are no files. A publisher may be careless, or his key stolen.
import { comparePaths } from '../../core/mod.ts'
import { type Arena, type Files, pointerName } from './arena.ts'
import type { Attack } from './attack.ts'

const unchanged = () => undefined

/** The same twist in a pointer, a header and an entry, each signed as it stands. */
function twisted(kind: string, what: string, raw: (json: string) => string): readonly Attack[] {
  const first = (change: (line: string) => string) => (body: string) => {
    const [line = '', ...rest] = body.split('\n')
    return [change(line), ...rest].join('\n')
  }
  const second = (change: (line: string) => string) => (body: string) => {
    const [head = '', line = '', ...rest] = body.split('\n')
    return [head, change(line), ...rest].join('\n')
  }
  return [
    { kind, what: `${what}, in a pointer`, code: 'malformed', bend: (arena, files) => void arena.pointer(files, unchanged, { raw }) },
    {
      kind,
      what: `${what}, in a manifest’s header`,
      code: 'malformed',
      bend: (arena, files) => void arena.manifest(files, unchanged, { raw: first(raw) }),
    },
    {
      kind,
      what: `${what}, in an entry`,
      code: 'malformed',
      bend: (arena, files) => void arena.manifest(files, unchanged, { raw: second(raw) }),
    },
  ]
}

const deep = `${'['.repeat(50_000)}${']'.repeat(50_000)}`

const paths: Readonly<Record<string, string>> = {
  'leads up': '/../../etc/passwd',
  'leads up in the middle': '/boot/../../x',
  'is relative': 'kernel2',
  'has a dot for a segment': '/./kernel',
  'has an empty segment': '//kernel',
  'ends with a slash': '/kernel2/',
  'is the root': '/',
  'is empty': '',
  'has a backslash': '/..\\..\\x',
  'has a zero byte': '/ker\u0000nel',
  'has a line end': '/ker\nnel',
  'has an escape sequence': '/\u001b[2Jkernel',
  'has a deleted character': '/ker\u007fnel',
  'is too long': `/${'a/'.repeat(600)}a`,
  'has a segment that is too long': `/${'a'.repeat(256)}`,
  'is too deep': '/a'.repeat(33),
}

const cids: Readonly<Record<string, (cid: string) => string>> = {
  'in capitals': (cid) => cid.toUpperCase(),
  'with padding': (cid) => `${cid}====`,
  'cut short': (cid) => cid.slice(0, -1),
  'in hex': () => `f01551e20${'00'.repeat(32)}`,
  'of sha2-256': () => 'bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy',
  'with bits behind the last byte': (cid) => `${cid.slice(0, -1)}b`,
  'with a space': (cid) => ` ${cid}`,
  'that is a path': () => '../../../../etc/passwd',
}

type Lines = Parameters<Parameters<Arena['manifest']>[1]>[0]
const manifest = (kind: string, what: string, code: string, change: (lines: Lines) => void, more: Partial<Attack> = {}): Attack => ({
  kind,
  what,
  code,
  bend: (arena: Arena, files: Files) => void arena.manifest(files, change),
  ...more,
})

/** One entry more, and a header that knows of it. */
const added = (lines: Lines, entry: Record<string, unknown>) => {
  const record = { ...lines[1], ...entry }
  lines.push(record)
  // entries stand in order: this must not be what is refused
  const [header, ...entries] = lines
  lines.splice(0, lines.length, header, ...entries.sort((one, two) => comparePaths(one.path, two.path)))
  lines[0].entries++
  lines[0].size += record.bin?.size ?? 0
}

export const contentAttacks: readonly Attack[] = [
  ...twisted('duplicate JSON keys', 'a key twice', (json) => json.replace('{', '{"size":1,"size":1,')),
  ...twisted('__proto__, constructor', 'a prototype', (json) => json.replace('{', '{"__proto__":{"serial":1},')),
  ...twisted('__proto__, constructor', 'a constructor', (json) => json.replace('{', '{"constructor":1,')),
  ...twisted('numbers', 'an exponent', (json) => json.replace(/:(\d+)/, ':$1e0')),
  ...twisted('numbers', 'a fraction', (json) => json.replace(/:(\d+)/, ':$1.5')),
  ...twisted('numbers', 'text for a number', (json) => json.replace(/:(\d+)/, ':"$1"')),
  ...twisted('numbers', 'minus zero', (json) => json.replace(/:(\d+)/, ':-0')),
  ...twisted('numbers', '2^53', (json) => json.replace(/:(\d+)/, ':9007199254740992')),
  ...twisted('numbers', 'a number without end', (json) => json.replace(/:(\d+)/, ':1e999')),
  ...twisted('extra entries', 'a field of a later version', (json) => json.replace('{', '{"future":true,')),
  ...twisted('unicode and case twins', 'half a character', (json) => json.replace('{', '{"x":"\\ud800",')),
  ...twisted('unicode and case twins', 'a needless escape', (json) =>
    json.replace(/"(\w)/, (_, letter: string) => `"\\u00${letter.charCodeAt(0).toString(16)}`),
  ),
  ...twisted('arbitrary bytes', 'white space', (json) => json.replace(',', ', ')),
  ...twisted('arbitrary bytes', 'nesting without end', (json) => json.replace('{', `{"x":${deep},`)).filter(
    ({ what }) => !what.includes('pointer'),
  ),

  ...Object.entries(paths).map(([what, path]) =>
    manifest('path traversal', `a path that ${what}`, 'malformed', (lines) => added(lines, { path })),
  ),
  manifest('unicode and case twins', 'two paths that differ by case', 'malformed', (lines) => added(lines, { path: '/KERNEL' })),
  manifest('unicode and case twins', 'two paths that differ by normalization', 'malformed', (lines) => {
    added(lines, { path: '/\u00e9' })
    added(lines, { path: '/e\u0301' })
  }),
  manifest('unicode and case twins', 'one path twice', 'malformed', (lines) => added(lines, { path: lines[1].path })),
  manifest('path traversal', 'an entry below a file', 'malformed', (lines) => added(lines, { path: '/kernel/x' })),
  manifest('path traversal', 'the manifest’s own name', 'unsupported', (lines) => added(lines, { path: '/manifest' }), { stage: 'bytes' }),
  manifest('path traversal', 'the signature’s own name', 'unsupported', (lines) => added(lines, { path: '/manifest.minisig' }), {
    stage: 'bytes',
  }),

  ...(
    [
      ['a device', 0o020644],
      ['a block device', 0o060644],
      ['a FIFO', 0o010644],
      ['a socket', 0o140644],
      ['a mode of no kind', 0o000644],
      ['a mode above all', 0o200644],
    ] as const
  ).map(([what, mod]) => manifest('hard links, devices, FIFOs', what, 'malformed', (lines) => added(lines, { path: '/dev0', mod }))),
  manifest('hard links, devices, FIFOs', 'a symlink with bytes', 'malformed', (lines) =>
    added(lines, { path: '/link', mod: 0o120777, target: '/etc' }),
  ),
  manifest('hard links, devices, FIFOs', 'a symlink without a target', 'malformed', (lines) =>
    added(lines, { path: '/link', mod: 0o120777, bin: null }),
  ),
  manifest('hard links, devices, FIFOs', 'a file with a target', 'malformed', (lines) =>
    added(lines, { path: '/file', target: '/etc/passwd' }),
  ),
  manifest('hard links, devices, FIFOs', 'a folder with bytes', 'malformed', (lines) => added(lines, { path: '/folder', mod: 0o040755 })),
  manifest('hard links, devices, FIFOs', 'a user that is none', 'malformed', (lines) => void (lines[1].uid = -1)),
  manifest('hard links, devices, FIFOs', 'user 2^32 - 1', 'malformed', (lines) => void (lines[1].uid = 2 ** 32 - 1)),

  ...Object.entries(cids).map(([what, change]) =>
    manifest('hex and base64 laxity', `a CID ${what}`, 'malformed', (lines) => void (lines[1].bin.cid = change(lines[1].bin.cid))),
  ),
  ...Object.entries(cids).map(
    ([what, change]): Attack => ({
      kind: 'hex and base64 laxity',
      what: `a pointer’s CID ${what}`,
      code: 'malformed',
      bend: (arena, files) =>
        void arena.pointer(
          files,
          (pointer) => void (pointer.products.os.manifest = change(arena.parsed(pointerName).products.os.manifest)),
        ),
    }),
  ),

  ...(
    [
      ['2^31', 2 ** 31],
      ['2^32', 2 ** 32],
      ['2^43', 2 ** 43],
    ] as const
  ).map(([what, size]) =>
    manifest(
      'sizes',
      `a kernel of ${what} bytes`,
      size === 2 ** 43 ? 'no-space' : 'unavailable',
      (lines) => {
        lines[0].size += size - lines[1].bin.size
        lines[1].bin.size = size
      },
      { stage: 'bytes', seconds: 20 },
    ),
  ),
  manifest('sizes', 'a kernel of 2^43 and one bytes', 'malformed', (lines) => void (lines[1].bin.size = 2 ** 43 + 1)),
  manifest('sizes', 'a kernel of 2^53 bytes', 'malformed', (lines) => void (lines[1].bin.size = 2 ** 53)),
  manifest(
    'sizes',
    'a kernel with a byte less than it has',
    'corrupt',
    (lines) => {
      lines[1].bin.size--
      lines[0].size--
    },
    { stage: 'bytes' },
  ),
  {
    kind: 'sizes',
    what: 'a manifest larger than the pointer says',
    code: 'malformed',
    bend: (arena, files) => void arena.pointer(files, (pointer) => void pointer.products.os.size--),
  },
  {
    kind: 'sizes',
    what: 'a manifest smaller than the pointer says',
    code: 'corrupt',
    bend: (arena, files) => void arena.pointer(files, (pointer) => void pointer.products.os.size++),
  },
  {
    kind: 'sizes',
    what: 'a manifest of more than 64 MiB',
    code: 'malformed',
    bend: (arena, files) => void arena.pointer(files, (pointer) => void (pointer.products.os.size = 2 ** 26 + 1)),
  },

  manifest('escape sequences', 'in the description and the version', 'none', (lines) =>
    Object.assign(lines[0], { desc: '\u001b[31mred\u202e', version: '\u001b]0;title\u0007' }),
  ),
  manifest('escape sequences', 'in a version that is too long', 'malformed', (lines) => void (lines[0].version = '\u001b[2J'.repeat(100))),
  manifest('key inside the manifest', 'remotes of the attacker’s', 'none', (lines) =>
    Object.assign(lines[0], { remotes: ['http://169.254.169.254/', 'file:///etc/'], key: 'x' }),
  ),
  manifest(
    'key inside the manifest',
    'seventeen remotes',
    'malformed',
    (lines) => void (lines[0].remotes = Array.from({ length: 17 }, () => 'https://os.example/')),
  ),
]
