// The trusted state of a node: what it has seen, in one atomic file. Damaged means an error, never a first run (spec/store.md 2).
import { join } from 'node:path'
import * as v from 'valibot'
import {
  checkShape,
  type ErrorCode,
  isPsyblobError,
  limits,
  PsyblobError,
  parseCid,
  parsedBy,
  parseJson,
  parseName,
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
const product = v.strictObject({
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
const last = v.strictObject({ at: time, command: v.string(), result: v.string(), message: v.string() })
const state = v.strictObject({
  psyblob: v.literal('state/1'),
  products: recordOf(productName, product),
  /** What the last command that changes something came to, by product. */
  last: recordOf(productName, last),
})

export type ProductState = v.InferOutput<typeof product>
export type LastResult = Omit<v.InferOutput<typeof last>, 'result'> & { readonly result: 'ok' | ErrorCode | 'bug' }
export type State = v.InferOutput<typeof state>

function statePath(dir: string): string {
  return join(dir, 'state.json')
}

/** The state of the store in `dir`; an empty one when the store is new. Throws `corrupt` when it cannot be read. */
export async function readState(dir: string): Promise<State> {
  const path = statePath(dir)
  try {
    const bytes = await readLimited(path, limits.state)
    if (bytes === undefined) return { psyblob: 'state/1', products: {}, last: {} }
    return checkShape(state, parseJson(utf8Decode(bytes, path).trimEnd(), { what: path, spaced: true }), path)
  } catch (cause) {
    // what the disk or the rights say is no damage
    if (!isPsyblobError(cause, 'malformed')) throw cause
    throw new PsyblobError('corrupt', `the trusted state is damaged: ${cause.message}`, {
      cause,
      hint: `without it this machine cannot tell old releases from new ones. Restore ${path} from a backup, or, if you accept to begin anew, run rm ${path}`,
    })
  }
}

/** The only place that persists trust: after all checks. */
export async function writeState(dir: string, value: State): Promise<void> {
  const bytes = utf8Encode(`${JSON.stringify(value, null, 2)}\n`)
  // what could not be read again must not replace what can
  if (bytes.length > limits.state) throw new Error(`a state of ${bytes.length} bytes, allowed are ${limits.state}`)
  await writeWhole(statePath(dir), bytes)
}
