// The trusted state of a node: what it has seen, in one atomic file. Damaged means an error, never a first run (spec/store.md 2).
import { join } from 'node:path'
import * as v from 'valibot'
import {
  checkShape,
  type ErrorCode,
  isPsyblobError,
  limits,
  nearest,
  PsyblobError,
  parseCid,
  parsedBy,
  parseJson,
  parseName,
  parsePublicKey,
  parseRoot,
  parseTime,
  recordOf,
  utf8Decode,
  utf8Encode,
} from '../core/mod.ts'
import { readLimited, writeWhole } from './files.ts'

const cid = parsedBy(parseCid)
const serial = v.pipe(v.number(), v.safeInteger(), v.minValue(1))
const time = parsedBy((text: string) => {
  parseTime(text)
  return text
})
const productName = (text: string) => parseName(text, 'product')

/** An object that may have members of a newer version: they are kept as they are. One whose name is nearly one of ours is damage. */
function growing<Entries extends v.ObjectEntries>(entries: Entries) {
  const names = Object.keys(entries)
  const isNew = (name: string) => names.includes(name) || nearest(name, names) === undefined
  return v.pipe(
    v.looseObject(entries),
    v.check((value) => Object.keys(value).every(isNew), 'has a member whose name is misspelt'),
    v.transform((value) => value as v.InferOutput<v.ObjectSchema<Entries, undefined>>),
  )
}

const product = growing({
  /** The public key these facts were learnt with. */
  key: v.string(),
  repo: parsedBy((text: string) => parseName(text, 'repository')),
  /** The newest manifest that was accepted. */
  seen: v.exactOptional(v.strictObject({ serial, manifest: cid })),
  /** The highest serial that booted well: nothing older is installed again. */
  floor: v.exactOptional(serial),
  /** Serials that were rolled back or marked bad here: not installed again by itself. */
  avoided: v.exactOptional(v.array(serial)),
  /** Somebody wants nothing to be installed by itself. */
  hold: v.exactOptional(v.strictObject({ at: time, why: v.string() })),
  channels: recordOf((text) => parseName(text, 'channel'), v.strictObject({ version: serial, pointer: cid, issued: time, expires: time })),
})
/** The root of a repository that is in force here. */
const root = growing({
  /** The key that the composition names, from which the first root was reached. */
  anchor: v.string(),
  repo: parsedBy((text: string) => parseName(text, 'repository')),
  /** The signed line, its end included. */
  root: parsedBy((text: string) => {
    parseRoot(utf8Encode(text), 'root')
    return text
  }),
  /** Keys that signed releases before, by product, or `*`. */
  former: recordOf(
    (text) => (text === '*' ? text : parseName(text, 'product')),
    v.array(parsedBy((text: string) => parsePublicKey(text).text)),
  ),
})
const last = growing({ at: time, command: v.string(), result: v.string(), message: v.string() })
const state = growing({
  psyblob: v.literal('state/1'),
  products: recordOf(productName, product),
  /** What the last command that changes something came to, by product. */
  last: recordOf(productName, last),
  roots: v.exactOptional(v.pipe(v.array(root), v.maxLength(limits.knownRoots))),
})

export type ProductState = v.InferOutput<typeof product>
export type KnownRoot = v.InferOutput<typeof root>
export type LastResult = Omit<v.InferOutput<typeof last>, 'result'> & { readonly result: 'ok' | ErrorCode | 'bug' }
export type State = v.InferOutput<typeof state>

function statePath(dir: string): string {
  return join(dir, 'state.json')
}

/** The state of the store in `dir`; an empty one when the store is new. Throws `corrupt` when it cannot be read, `unsupported` when it is a newer version's. */
export async function readState(dir: string): Promise<State> {
  const path = statePath(dir)
  try {
    const bytes = await readLimited(path, limits.state)
    if (bytes === undefined) return { psyblob: 'state/1', products: {}, last: {} }
    const found = parseJson(utf8Decode(bytes, path).trimEnd(), { what: path, spaced: true })
    refuseNewer(found, path)
    return checkShape(state, found, path)
  } catch (cause) {
    // what the disk or the rights say is no damage
    if (!isPsyblobError(cause, 'malformed')) throw cause
    throw new PsyblobError('corrupt', `the trusted state is damaged: ${cause.message}`, {
      cause,
      hint: `without it this machine cannot tell old releases from new ones. Restore ${path} from a backup, or, if you accept to begin anew, run rm ${path}`,
    })
  }
}

/** Throws `unsupported` for a state that says it is another version's: it is no damage, and must not be removed. */
function refuseNewer(found: unknown, path: string): void {
  const version = typeof found === 'object' && found !== null && 'psyblob' in found ? found.psyblob : undefined
  if (typeof version !== 'string' || !/^state\/[1-9]\d{0,5}$/.test(version) || version === 'state/1') return
  throw new PsyblobError('unsupported', `${path} is of a newer psyblob: ${version}`, {
    hint: 'run that psyblob again; nothing was changed',
  })
}

/** The only place that persists trust: after all checks. */
export async function writeState(dir: string, value: State): Promise<void> {
  const bytes = utf8Encode(`${JSON.stringify(value, null, 2)}\n`)
  // what could not be read again must not replace what can
  if (bytes.length > limits.state) throw new Error(`a state of ${bytes.length} bytes, allowed are ${limits.state}`)
  await writeWhole(statePath(dir), bytes)
}
