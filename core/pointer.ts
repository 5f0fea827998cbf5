// The pointer of a channel: the one mutable document. It lists every product of the channel and expires (spec/pointer.md).
import * as v from 'valibot'
import { parseCid } from './cid.ts'
import { PsyblobError } from './errors.ts'
import { checkShape, parsedBy, parseJson, recordOf } from './json.ts'
import { limits } from './limits.ts'
import { parseName, parseTime } from './names.ts'
import { utf8Decode, utf8Encode } from './utf8.ts'

const whole = (least: number, most: number = Number.MAX_SAFE_INTEGER) =>
  v.pipe(v.number(), v.safeInteger(), v.minValue(least), v.maxValue(most))
const name = (kind: string) => parsedBy((value: string) => parseName(value, kind))
const time = parsedBy((value: string) => {
  parseTime(value)
  return value
})

const release = v.strictObject({
  serial: whole(1),
  manifest: parsedBy(parseCid),
  /** Of the manifest's body, in bytes. */
  size: whole(1, limits.manifest),
})
const pointer = v.strictObject({
  psyblob: v.literal('pointer/1'),
  repo: name('repository'),
  channel: name('channel'),
  version: whole(1),
  issued: time,
  expires: time,
  /** The number of the root document in force; 0 while there is none. */
  root: whole(0),
  products: recordOf((product) => parseName(product, 'product'), release),
})

export type PointedRelease = v.InferOutput<typeof release>
export type Pointer = v.InferOutput<typeof pointer>

/** A pointer file taken apart, nothing verified yet. */
export type PointerFile = { readonly body: Uint8Array; readonly signatures: string }

/** Splits `body LF, empty line, minisig` (spec/pointer.md 1). Throws `malformed`. */
export function splitPointerFile(file: Uint8Array, what: string): PointerFile {
  const end = file.indexOf(0x0a)
  if (file.length > limits.pointer) throw new PsyblobError('malformed', `${what}: larger than ${limits.pointer} bytes`)
  if (end < 0 || file[end + 1] !== 0x0a) {
    throw new PsyblobError('malformed', `${what}: expected one line, an empty line and a signature`, {
      hint: 'something else than a psyblob repository answers there, or the file was damaged: check the address',
    })
  }
  return { body: file.subarray(0, end + 1), signatures: utf8Decode(file.subarray(end + 2), `signature of ${what}`) }
}

export function joinPointerFile(file: PointerFile): Uint8Array {
  const tail = utf8Encode(`\n${file.signatures}`)
  const whole = new Uint8Array(file.body.length + tail.length)
  whole.set(file.body)
  whole.set(tail, file.body.length)
  return whole
}

/** Reads the body of a pointer whose signature was verified. Throws `malformed`. */
export function parsePointer(body: Uint8Array, what = 'pointer'): Pointer {
  const text = utf8Decode(body, what)
  if (!text.endsWith('\n')) throw new PsyblobError('malformed', `${what}: does not end with a line feed`)
  const value = parseJson(text.slice(0, -1), { what })
  const parsed = checkShape(pointer, value, what)
  if (parseTime(parsed.expires) <= parseTime(parsed.issued))
    throw new PsyblobError('malformed', `${what}: expires ${parsed.expires} before it was issued ${parsed.issued}`)
  return parsed
}

/** The bytes to sign; products stand in order of their names. */
export function formatPointer(value: Omit<Pointer, 'psyblob'>): Uint8Array {
  const products = Object.fromEntries(
    Object.entries(value.products)
      .sort(([one], [two]) => (one < two ? -1 : 1))
      .map(([product, { serial, manifest, size }]) => [product, { serial, manifest, size }]),
  )
  const { repo, channel, version, issued, expires, root } = value
  const body = utf8Encode(`${JSON.stringify({ psyblob: 'pointer/1', repo, channel, version, issued, expires, root, products })}\n`)
  parsePointer(body)
  return body
}
