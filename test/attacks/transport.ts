// Attacks by the server: endless, slow, cut, mislabelled and redirected answers; ranges that are none; headers that would print.
import { setTimeout as sleep } from 'node:timers/promises'
import { documents } from '../../core/mod.ts'
import type { Asked, Bend } from '../fixtures/bent-server.ts'
import { answerFrom } from '../fixtures/site.ts'
import { type Arena, type Files, ipfsRoot, pointerName } from './arena.ts'
import type { Attack } from './attack.ts'

const manifestName = documents.manifest('os', 3)
const signatureName = documents.manifestSignature('os', 3)

async function* endless(): AsyncGenerator<Uint8Array> {
  for (;;) yield Buffer.alloc(65_536, 0x20)
}
async function* drops(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (const byte of bytes) {
    await sleep(400)
    yield Buffer.of(byte)
  }
}

type Answer = (good: Bend, asked: Asked, bytes: Uint8Array) => Bend

/** Bends the answers about one file; the others are honest. */
const about = (name: string | ((arena: Arena) => string), answer: Answer) => (arena: Arena, files: Files) => {
  const wanted = typeof name === 'string' ? name : name(arena)
  return (asked: Asked): Bend => {
    const good = answerFrom(files, asked)
    return asked.target === `/${wanted}` ? answer(good, asked, files.get(wanted) as Uint8Array) : good
  }
}

const kernel = (arena: Arena) => arena.blobName('/kernel')
const squashfs = (arena: Arena) => arena.blobName('/squashfs')
const index = (arena: Arena) => arena.blobName('/squashfs', 'index')

const cases: readonly (readonly [string, string, Answer])[] = [
  ['endless data', 'without a length', () => ({ body: endless(), lengthless: true })],
  [
    'endless data',
    'with a length that is a lie',
    (good) => ({ ...good, body: endless(), headers: { ...good.headers, 'Content-Length': '99999999999' } }),
  ],
  ['slow retrieval', 'nothing at all', (good) => ({ ...good, delay: 60_000 })],
  ['slow retrieval', 'nothing after the head', (good) => ({ ...good, hang: 0 })],
  ['slow retrieval', 'nothing after some bytes', (good) => ({ ...good, hang: 20 })],
  ['short body', 'cut, with its length', (good) => ({ ...good, cut: 30 })],
  ['short body', 'cut, without a length', (good) => ({ ...good, cut: 30, lengthless: true })],
  ['gzip with identity asked', 'an encoding', (good) => ({ ...good, headers: { ...good.headers, 'Content-Encoding': 'gzip' } })],
  ['304/206/1xx out of place', '304', () => ({ status: 304, lengthless: true, cut: 0 })],
  ['304/206/1xx out of place', '204', () => ({ status: 204, lengthless: true, cut: 0 })],
  ['304/206/1xx out of place', '500 with an escape sequence for a reason', () => ({ status: 500, reason: '\u001b[2Jno' })],
  ['304/206/1xx out of place', 'a status of four digits', () => ({ raw: 'HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n' })],
  ['304/206/1xx out of place', 'no HTTP at all', () => ({ raw: 'SSH-2.0-OpenSSH_9.2\r\n' })],
  ['304/206/1xx out of place', '1xx without end', () => ({ raw: 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(2000) })],
  ['huge headers', 'a megabyte of them', () => ({ headers: { 'X-Long': 'x'.repeat(1_000_000) }, body: '' })],
  ['huge headers', 'ten thousand of them', () => ({ raw: `HTTP/1.1 200 OK\r\n${'X-A: b\r\n'.repeat(10_000)}Content-Length: 0\r\n\r\n` })],
  ['redirects', 'to itself', (_, asked) => ({ status: 302, headers: { Location: asked.target } })],
  ['redirects', 'to a file', () => ({ status: 302, headers: { Location: 'file:///etc/passwd' } })],
  ['redirects', 'to data', () => ({ status: 302, headers: { Location: 'data:text/plain,hello' } })],
  ['redirects', 'to another scheme', () => ({ status: 302, headers: { Location: 'ftp://example.org/x' } })],
  ['redirects', 'to nowhere', () => ({ status: 302 })],
  ['redirects', 'to an address that is none', () => ({ status: 302, headers: { Location: 'http://[::bad/' } })],
  ['redirects', 'to a closed port', () => ({ status: 302, headers: { Location: 'http://127.0.0.1:1/' } })],
]

/** Said of pointer, manifest, signature and a blob alike. */
const everywhere = cases.flatMap(([kind, what, answer]): readonly Attack[] => {
  const isEndless = kind === 'endless data'
  // a document has to say how long it is; one that says too much is not read at all
  const code = isEndless && what.includes('lie') ? 'malformed' : 'unavailable'
  const seconds = 15
  // what the server could hand to its system before it was hung up on: buffers of both sides, and no more
  const bytes = 12_000_000
  return [
    { kind, what: `pointer: ${what}`, code, seconds, bytes, modes: ['root'], bend: about(pointerName, answer) },
    { kind, what: `manifest: ${what}`, code, seconds, bytes, modes: ['root'], bend: about(manifestName, answer) },
    { kind, what: `signature: ${what}`, code, seconds, bytes, modes: ['root'], bend: about(signatureName, answer) },
    {
      kind,
      what: `kernel: ${what}`,
      code: isEndless ? 'corrupt' : code,
      seconds,
      bytes,
      stage: 'bytes',
      modes: ['root'],
      bend: about(kernel, answer),
    },
  ]
})

const ranges: readonly (readonly [string, Answer])[] = [
  ['206 with another Content-Range', (good) => ({ ...good, headers: { ...good.headers, 'Content-Range': 'bytes 0-9/10' } })],
  ['206 without a Content-Range', (good) => ({ ...good, headers: {} })],
  ['206 of another length', (good, _, bytes) => ({ ...good, body: bytes.subarray(0, 10) })],
  ['206 in parts', (good) => ({ ...good, headers: { 'Content-Type': 'multipart/byteranges; boundary=x' } })],
  ['206 with the bytes beside', (good, _, bytes) => ({ ...good, body: Buffer.from(good.body as Uint8Array).fill(bytes[0] ?? 0) })],
]

/** The other bytes of that length. */
const wrong: Answer = (good) => ({ ...good, body: Buffer.from(good.body as Uint8Array).map((byte) => byte ^ 0x55) })

/** The block of a UnixFS file instead of the file: its bytes with a little before and after them. */
const block: Answer = (good) => ({ ...good, body: Buffer.concat([Buffer.from('\x0a\x80\x02\x08\x02'), good.body as Uint8Array]) })
const page: Answer = () => ({ headers: { 'Content-Type': 'text/html' }, body: '<!DOCTYPE html><title>Index of /ipfs</title>' })
const turned =
  (to: string): Answer =>
  () => ({ status: 302, headers: { Location: to } })

/** With the codes about pointer, manifest, kernel and squashfs. */
const gateway: readonly (readonly [string, readonly string[], Answer])[] = [
  ['other bytes of that length', ['malformed', 'corrupt', 'corrupt', 'corrupt'], wrong],
  // longer than the manifest, or than the range, may be
  ['a block instead of the file', ['malformed', 'malformed', 'corrupt', 'unavailable'], block],
  ['a page for people', ['malformed', 'corrupt', 'unavailable', 'unavailable'], page],
  ['found by nobody in time', Array(4).fill('unavailable'), () => ({ status: 504 })],
  ['a redirect into this machine', Array(4).fill('unavailable'), turned('http://127.0.0.1:1/')],
  ['a redirect to a host of its own at another port', Array(4).fill('unavailable'), turned(`http://${ipfsRoot}.ipfs.localhost:1/`)],
  ['a redirect to a metadata service', Array(4).fill('unavailable'), turned('http://169.254.169.254/latest/')],
]
const asked = [
  ['pointer', pointerName],
  ['manifest', manifestName],
  ['kernel', kernel],
  ['squashfs', squashfs],
] as const

/** IPFS checks its blocks; what a gateway hands on is checked by us. */
const throughIpfs = gateway.flatMap(([what, codes, answer]) =>
  asked.map(
    ([name, file], at): Attack => ({
      kind: 'IPFS answers that are not the asked bytes',
      what: `${name}: ${what}`,
      code: codes[at] ?? '',
      seconds: 15,
      modes: ['root'],
      through: 'ipfs',
      ...(at < 2 ? {} : { stage: 'bytes' }),
      bend: about(file, answer),
    }),
  ),
)

export const transportAttacks: readonly Attack[] = [
  ...throughIpfs,
  ...everywhere,
  ...ranges.map(
    ([what, answer]): Attack => ({
      kind: 'wrong Content-Range for a range',
      what,
      code: what.endsWith('beside') ? 'corrupt' : 'unavailable',
      stage: 'bytes',
      seconds: 15,
      bend: about(squashfs, (good, asked, bytes) => (asked.headers['range'] === undefined ? { status: 404 } : answer(good, asked, bytes))),
    }),
  ),
  {
    kind: 'wrong Content-Range for a range',
    what: '200 with the whole for a range',
    code: 'none',
    bend: about(squashfs, (_, __, bytes) => ({ body: bytes })),
  },
  {
    kind: 'wrong Content-Range for a range',
    what: '416 for a range',
    code: 'none',
    bend: about(squashfs, (good, asked) => (asked.headers['range'] === undefined ? good : { status: 416 })),
  },
  { kind: 'arbitrary bytes', what: 'kernel: other bytes', code: 'corrupt', stage: 'bytes', bend: about(kernel, wrong) },
  { kind: 'arbitrary bytes', what: 'squashfs: other bytes', code: 'corrupt', stage: 'bytes', bend: about(squashfs, wrong) },
  { kind: 'arbitrary bytes', what: 'chunk index: other bytes', code: 'corrupt', stage: 'bytes', bend: about(index, wrong) },
  {
    kind: 'endless data',
    what: 'chunk index',
    code: 'corrupt',
    stage: 'bytes',
    seconds: 15,
    bytes: 112_000_000,
    bend: about(index, () => ({ body: endless(), lengthless: true })),
  },
  {
    kind: 'slow retrieval',
    what: 'a byte now and then, of the pointer',
    code: 'unavailable',
    seconds: 60,
    modes: ['key'],
    bend: about(pointerName, (_, __, bytes) => ({ body: drops(bytes), headers: { 'Content-Length': String(bytes.length) } })),
  },
  {
    kind: 'changed between check and use',
    what: 'a kernel that is another one each time',
    code: 'corrupt',
    stage: 'bytes',
    bend: about(kernel, (good, asked) => ({ ...good, body: Buffer.alloc(20_000, asked.count) })),
  },
  {
    kind: 'partial release',
    what: 'a kernel that is not there',
    code: 'unavailable',
    stage: 'bytes',
    bend: (arena, files) => void files.delete(arena.blobName('/kernel')),
  },
  {
    kind: 'partial release',
    what: 'a chunk index that is not there',
    code: 'none',
    stage: 'bytes',
    bend: (arena, files) => void files.delete(arena.blobName('/squashfs', 'index')),
  },
]
