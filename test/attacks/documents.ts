// Attacks by documents: garbage, old ones, ones of another place, ones signed by the wrong, by too few, or by nobody.
import { documents } from '../../core/mod.ts'
import { type Arena, type Files, pointerName } from './arena.ts'
import { type Attack, text } from './attack.ts'

const manifestName = documents.manifest('os', 3)
const signatureName = documents.manifestSignature('os', 3)
const both = undefined

const flipped = (bytes: Uint8Array, at: number) => {
  const copy = Buffer.from(bytes)
  const place = at < 0 ? copy.length + at : at
  copy[place] = (copy[place] ?? 0) ^ 1
  return copy
}
const garbage: Readonly<Record<string, (good: Uint8Array) => Uint8Array>> = {
  nothing: () => Buffer.alloc(0),
  'a web page': () => Buffer.from('<!doctype html><title>\u001b[2Jwelcome</title>\n'),
  zeros: () => Buffer.alloc(1000),
  'the first half': (good) => good.subarray(0, good.length >> 1),
  'its first bit turned': (good) => flipped(good, 0),
  'its last bit turned': (good) => flipped(good, -2),
  'itself twice': (good) => Buffer.concat([good, good]),
  'a byte order mark before': (good) => Buffer.concat([Buffer.from('\ufeff'), good]),
}

function garbled(): readonly Attack[] {
  const expected: Readonly<Record<string, Readonly<Record<string, string>>>> = {
    pointer: { 'its last bit turned': 'malformed', 'its first bit turned': 'untrusted', 'a byte order mark before': 'untrusted' },
    manifest: { '': 'corrupt', 'itself twice': 'malformed', 'a byte order mark before': 'malformed', zeros: 'malformed' },
    // the same block again is no other signature
    signature: { 'itself twice': 'none' },
  }
  return Object.entries({ pointer: pointerName, manifest: manifestName, signature: signatureName }).flatMap(([what, name]) =>
    Object.entries(garbage).map(([how, make]): Attack => {
      const code = expected[what]?.[how] ?? expected[what]?.[''] ?? 'malformed'
      return {
        kind: 'arbitrary bytes',
        what: `${what}: ${how}`,
        code,
        bend: (arena, files) => void files.set(name, make(arena.good.get(name) as Uint8Array)),
      }
    }),
  )
}

/** A text of the signature file of release 3, changed. */
const resigned = (change: (signature: string) => string) => (arena: Arena, files: Files) =>
  void files.set(signatureName, Buffer.from(change(text(arena.good.get(signatureName)))))

/** S + L: another spelling of the same signature (RFC 8032 forbids it). */
function malleable(line: string): string {
  const bytes = Buffer.from(line, 'base64')
  const order = 2n ** 252n + 27742317777372353535851937790883648493n
  let s = 0n
  for (let at = 63; at >= 32; at--) s = (s << 8n) | BigInt(bytes[10 + at] as number)
  s += order
  for (let at = 32; at < 64; at++) {
    bytes[10 + at] = Number(s & 255n)
    s >>= 8n
  }
  return bytes.toString('base64')
}

export const documentAttacks: readonly Attack[] = [
  ...garbled(),
  // older ones
  {
    kind: 'rollback',
    what: 'the pointer of before',
    code: 'none',
    bend: (arena, files) => void files.set(pointerName, arena.before.get(pointerName) as Uint8Array),
  },
  {
    kind: 'rollback',
    what: 'a pointer two versions old',
    code: 'rollback',
    bend: (arena, files) => void arena.pointer(files, (pointer) => void (pointer.version -= 3)),
  },
  {
    kind: 'rollback',
    what: 'an older serial in a new pointer',
    code: 'rollback',
    bend: (arena, files) =>
      void arena.pointer(
        files,
        (pointer) => void (pointer.products.os = { ...arena.parsed(pointerName, arena.before).products.os, serial: 1 }),
      ),
  },
  {
    kind: 'rollback',
    what: 'version 0',
    code: 'malformed',
    bend: (arena, files) => void arena.pointer(files, (pointer) => void (pointer.version = 0)),
  },
  {
    kind: 'freeze',
    what: 'an expired pointer',
    code: 'expired',
    bend: (arena, files) =>
      void arena.pointer(
        files,
        (pointer) => void Object.assign(pointer, { issued: '2026-11-01T00:00:00Z', expires: '2026-11-08T00:00:00Z' }),
      ),
  },
  {
    kind: 'freeze',
    what: 'a pointer that expires before it was issued',
    code: 'malformed',
    bend: (arena, files) => void arena.pointer(files, (pointer) => void (pointer.expires = '2026-11-01T00:00:00Z')),
  },
  {
    kind: 'freeze',
    what: 'a pointer of next week',
    code: 'untrusted',
    bend: (arena, files) =>
      void arena.pointer(
        files,
        (pointer) => void Object.assign(pointer, { issued: '2026-12-01T00:00:00Z', expires: '2026-12-08T00:00:00Z' }),
      ),
  },
  {
    kind: 'freeze',
    what: 'a time that is none',
    code: 'malformed',
    bend: (arena, files) => void arena.pointer(files, (pointer) => void (pointer.expires = 'never')),
  },
  {
    kind: 'freeze',
    what: 'a day that does not exist',
    code: 'malformed',
    bend: (arena, files) => void arena.pointer(files, (pointer) => void (pointer.expires = '2027-02-30T00:00:00Z')),
  },
  {
    kind: 'fast-forward',
    what: 'a version more than a million ahead',
    code: 'untrusted',
    bend: (arena, files) => void arena.pointer(files, (pointer) => void (pointer.version += 2_000_000)),
  },
  {
    kind: 'fast-forward',
    what: 'version 2^53',
    code: 'malformed',
    bend: (arena, files) =>
      void arena.pointer(files, () => both, { raw: (line) => line.replace(/"version":\d+/, '"version":9007199254740992') }),
  },
  // parts of different things
  {
    kind: 'mix and match',
    what: 'the signature of release 2 beside release 3',
    code: 'untrusted',
    bend: (arena, files) => void files.set(signatureName, arena.good.get(documents.manifestSignature('os', 2)) as Uint8Array),
  },
  {
    kind: 'mix and match',
    what: 'release 2 in the place of release 3',
    code: 'corrupt',
    bend: (arena, files) =>
      void [
        files.set(manifestName, padded(arena, 2)),
        files.set(signatureName, arena.good.get(documents.manifestSignature('os', 2)) as Uint8Array),
      ],
  },
  {
    kind: 'mix and match',
    what: 'a pointer with the CID of release 2 and the serial of 3',
    code: 'corrupt',
    bend: (arena, files) =>
      void arena.pointer(
        files,
        (pointer) => void (pointer.products.os.manifest = arena.parsed(pointerName, arena.before).products.os.manifest),
      ),
  },
  {
    kind: 'extra entries',
    what: 'a product that nobody signed, in the pointer',
    code: 'untrusted',
    bend: (arena, files) =>
      void files.set(
        pointerName,
        Buffer.from(
          text(arena.good.get(pointerName)).replace(
            '"products":{',
            '"products":{"evil":{"serial":1,"manifest":"bafkr4ifpcne3t5pzugtkaqcn5i3nzskjtpfslsnnyejlpte2spfoihzsmi","size":1},',
          ),
        ),
      ),
  },
  {
    kind: 'extra entries',
    what: 'an entry more in the manifest than its header says',
    code: 'malformed',
    bend: (arena, files) => void arena.manifest(files, (lines) => void lines.push({ ...lines[1], path: '/extra' })),
  },
  {
    kind: 'extra entries',
    what: 'an entry fewer',
    code: 'malformed',
    bend: (arena, files) => void arena.manifest(files, (lines) => void lines.pop()),
  },
  {
    kind: 'extra entries',
    what: 'a size that the entries do not have',
    code: 'malformed',
    bend: (arena, files) => void arena.manifest(files, ([header]) => void header.size++),
  },
  {
    kind: 'valid file in the wrong place',
    what: 'a manifest as pointer',
    code: 'malformed',
    bend: (arena, files) => void files.set(pointerName, arena.good.get(manifestName) as Uint8Array),
  },
  {
    kind: 'valid file in the wrong place',
    what: 'a pointer as manifest',
    code: 'corrupt',
    bend: (arena, files) => void files.set(manifestName, arena.good.get(pointerName) as Uint8Array),
  },
  {
    kind: 'valid file in the wrong place',
    what: 'a pointer’s body, signed as a manifest',
    code: 'malformed',
    bend: (arena, files) => void arena.manifest(files, () => both, { raw: () => `${text(arena.good.get(pointerName)).split('\n')[0]}\n` }),
  },
  {
    kind: 'valid file in the wrong place',
    what: 'a manifest’s header, signed as a pointer',
    code: 'malformed',
    bend: (arena, files) =>
      void arena.pointer(files, () => both, { raw: () => text(arena.good.get(manifestName)).split('\n')[0] as string }),
  },
  // of another place
  {
    kind: 'cross-product replay',
    what: 'a release of another product',
    code: 'untrusted',
    bend: (arena, files) => void arena.manifest(files, ([header]) => void (header.name = 'efisys')),
  },
  {
    kind: 'cross-product replay',
    what: 'another serial in the header',
    code: 'untrusted',
    bend: (arena, files) => void arena.manifest(files, ([header]) => void (header.serial = 4)),
  },
  {
    kind: 'cross-product replay',
    what: 'for another kind of machine',
    code: 'untrusted',
    bend: (arena, files) => void arena.manifest(files, ([header]) => void (header.compat = 'other')),
  },
  {
    kind: 'cross-channel replay',
    what: 'the pointer of another channel',
    code: 'untrusted',
    bend: (arena, files) => void arena.pointer(files, (pointer) => void (pointer.channel = 'beta')),
  },
  {
    kind: 'cross-repository replay',
    what: 'the pointer of another repository',
    code: 'untrusted',
    bend: (arena, files) => void arena.pointer(files, (pointer) => void (pointer.repo = 'org.example.other')),
  },
  {
    kind: 'cross-repository replay',
    what: 'the release of another repository',
    code: 'untrusted',
    bend: (arena, files) => void arena.manifest(files, ([header]) => void (header.repo = 'org.example.other')),
  },
  {
    kind: 'same serial with other content',
    what: 'serial 2 again',
    code: 'untrusted',
    bend: (arena, files) => void arena.pointer(files, (pointer) => void (pointer.products.os.serial = 2)),
  },
  {
    kind: 'same serial with other content',
    what: 'a version again',
    code: 'untrusted',
    bend: (arena, files) =>
      void arena.pointer(files, (pointer) => void (pointer.version = arena.parsed(pointerName, arena.before).version)),
  },
  {
    kind: 'same serial with other content',
    what: 'a release after another release 2',
    code: 'none',
    bend: (arena, files) =>
      void arena.manifest(files, ([header]) => void (header.previous = 'bafkr4ifpcne3t5pzugtkaqcn5i3nzskjtpfslsnnyejlpte2spfoihzsmi')),
  },
  { kind: 'partial release', what: 'a manifest that is not there', code: 'not-found', bend: (_, files) => void files.delete(manifestName) },
  {
    kind: 'partial release',
    what: 'a signature that is not there',
    code: 'untrusted',
    bend: (_, files) => void files.delete(signatureName),
  },
  { kind: 'partial release', what: 'no pointer at all', code: 'not-found', bend: (_, files) => void files.delete(pointerName) },
  {
    kind: 'partial release',
    what: 'a pointer without the product',
    code: 'not-found',
    bend: (arena, files) => void arena.pointer(files, (pointer) => void (pointer.products = {})),
  },
  // keys
  {
    kind: 'unknown key',
    what: 'a pointer by somebody',
    code: 'untrusted',
    bend: (arena, files) => void arena.pointer(files, () => both, { by: ['evil'] }),
  },
  {
    kind: 'unknown key',
    what: 'a release by somebody',
    code: 'untrusted',
    bend: (arena, files) => void arena.manifest(files, () => both, { by: ['evil'] }),
  },
  {
    kind: 'key inside the manifest',
    what: 'a release by a key that it names itself',
    code: 'untrusted',
    bend: (arena, files) => void arena.manifest(files, ([header]) => void (header.key = arena.keys.evil.publicKey.text), { by: ['evil'] }),
  },
  {
    kind: 'unknown key',
    what: 'a pointer by the key of releases',
    code: 'untrusted',
    modes: ['root'],
    bend: (arena, files) => void arena.pointer(files, () => both, { by: ['os'] }),
  },
  {
    kind: 'unknown key',
    what: 'a release by the key of pointers',
    code: 'untrusted',
    modes: ['root'],
    bend: (arena, files) => void arena.manifest(files, () => both, { by: ['ci'] }),
  },
  {
    kind: 'unknown key',
    what: 'a release by a keeper of the root',
    code: 'untrusted',
    modes: ['root'],
    bend: (arena, files) => void arena.manifest(files, () => both, { by: ['anna', 'ben'] }),
  },
  {
    kind: 'unknown key',
    what: 'a pointer by the one key of before',
    code: 'untrusted',
    modes: ['root'],
    bend: (arena, files) => void arena.pointer(files, (pointer) => void (pointer.root = 0), { by: ['os'] }),
  },
  // signatures
  {
    kind: 'malleable signatures',
    what: 'S + L',
    code: 'untrusted',
    bend: resigned((file) => file.replace(/^(.*\n)(.*)\n/, (_, first, line) => `${first}${malleable(line)}\n`)),
  },
  {
    kind: 'malleable signatures',
    what: 'all zero',
    code: 'untrusted',
    bend: resigned((file) =>
      file.replace(
        /^(.*\n)(.*)\n/,
        (_, first, line) =>
          `${first}${Buffer.concat([Buffer.from(line, 'base64').subarray(0, 10), Buffer.alloc(64)]).toString('base64')}\n`,
      ),
    ),
  },
  {
    kind: 'malleable signatures',
    what: 'R of small order',
    code: 'untrusted',
    bend: resigned((file) =>
      file.replace(/^(.*\n)(.*)\n/, (_, first, line) => {
        const bytes = Buffer.from(line, 'base64')
        Buffer.alloc(32).copy(bytes, 10)
        bytes[10] = 1
        return `${first}${bytes.toString('base64')}\n`
      }),
    ),
  },
  {
    kind: 'malleable signatures',
    what: 'the legacy algorithm',
    code: 'untrusted',
    bend: resigned((file) =>
      file.replace(/^(.*\n)(.*)\n/, (_, first, line) => {
        const bytes = Buffer.from(line, 'base64')
        bytes[1] = 0x64
        return `${first}${bytes.toString('base64')}\n`
      }),
    ),
  },
  {
    kind: 'malleable signatures',
    what: 'an algorithm that nobody has',
    code: 'malformed',
    bend: resigned((file) =>
      file.replace(/^(.*\n)(.*)\n/, (_, first, line) => {
        const bytes = Buffer.from(line, 'base64')
        bytes[1] = 0x58
        return `${first}${bytes.toString('base64')}\n`
      }),
    ),
  },
  { kind: 'malleable signatures', what: 'base64 without padding', code: 'malformed', bend: resigned((file) => file.replaceAll('=', '')) },
  {
    kind: 'malleable signatures',
    what: 'base64 with a space',
    code: 'malformed',
    bend: resigned((file) => file.replace(/^(.*\n.{10})/, '$1 ')),
  },
  {
    kind: 'malleable signatures',
    what: 'bits behind the last byte',
    code: 'malformed',
    bend: resigned((file) => file.replace(/(.)==\n$/, (_, last) => `${String.fromCharCode(last.charCodeAt(0) + 1)}==\n`)),
  },
  {
    kind: 'comment injection',
    what: 'another trusted comment',
    code: 'untrusted',
    bend: resigned((file) => file.replace('serial=3', 'serial=4')),
  },
  {
    kind: 'comment injection',
    what: 'the comment of another document, rightly signed',
    code: 'untrusted',
    bend: (arena, files) =>
      void arena.manifest(files, () => both, { comment: 'psyblob type=pointer repo=org.example.arena channel=stable version=9 cid=x' }),
  },
  { kind: 'comment injection', what: 'carriage returns', code: 'malformed', bend: resigned((file) => file.replaceAll('\n', '\r\n')) },
  {
    kind: 'comment injection',
    what: 'a form feed in the untrusted comment',
    code: 'malformed',
    bend: resigned((file) => file.replace('untrusted comment: ', 'untrusted comment: x\ftrusted comment: y\f')),
  },
  {
    kind: 'comment injection',
    what: 'U+2028 in the untrusted comment',
    code: 'malformed',
    bend: resigned((file) => file.replace('untrusted comment: ', 'untrusted comment: \u2028')),
  },
  {
    kind: 'comment injection',
    what: 'an escape sequence in the untrusted comment',
    code: 'malformed',
    bend: resigned((file) => file.replace('untrusted comment: ', 'untrusted comment: \u001b[2J')),
  },
  { kind: 'comment injection', what: 'five lines', code: 'malformed', bend: resigned((file) => `${file}untrusted comment: more\n`) },
  { kind: 'comment injection', what: 'seventeen signatures', code: 'malformed', bend: resigned((file) => file.repeat(17)) },
  { kind: 'comment injection', what: 'a last line that is not ended', code: 'malformed', bend: resigned((file) => file.slice(0, -1)) },
  {
    kind: 'one key used twice towards a threshold',
    what: 'sixteen signatures of one key, where one is enough',
    code: 'none',
    bend: resigned((file) => file.repeat(16)),
  },
]

/** Release 2 with as many bytes as the pointer says of release 3. */
function padded(arena: Arena, serial: number): Uint8Array {
  const bytes = Buffer.from(arena.good.get(documents.manifest('os', serial)) as Uint8Array)
  const { size } = arena.parsed(pointerName).products.os
  return Buffer.concat([bytes, Buffer.alloc(size)]).subarray(0, size)
}
