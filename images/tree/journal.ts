// The journal of an apply: what is to be done to a tree, in order. While it lies there the tree is between two releases (spec/tree.md 5).
import { lstat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import * as v from 'valibot'
import {
  type CID,
  checkShape,
  isPsyblobError,
  limits,
  PsyblobError,
  parseCid,
  parsedBy,
  parseJson,
  parseName,
  parsePath,
  treeFolder,
  utf8Decode,
  utf8Encode,
} from '../../core/mod.ts'
import { hasCode, readLimited, translated, writeWhole } from '../../store/mod.ts'

const path = parsedBy(parsePath)
const whole = v.pipe(v.number(), v.safeInteger(), v.minValue(0))
const rights = { mod: v.pipe(whole, v.maxValue(0o177777)), uid: whole, gid: whole }
/** On which of the target's mounts it is staged; empty for the root itself. */
const mount = parsedBy((text: string) => (text === '' ? text : parsePath(text)))
const step = v.variant('do', [
  v.strictObject({ do: v.literal('save'), path, to: path }),
  v.strictObject({ do: v.literal('aside'), path, to: path }),
  v.strictObject({ do: v.literal('drop'), path, kind: v.picklist(['file', 'directory', 'link', 'other']) }),
  v.strictObject({ do: v.literal('folder'), path, ...rights }),
  v.strictObject({ do: v.literal('put'), path, from: whole, at: mount }),
  v.strictObject({ do: v.literal('swap'), path, from: whole, at: mount, to: v.nullable(path) }),
  v.strictObject({ do: v.literal('rights'), path, ...rights }),
  v.strictObject({ do: v.literal('remove'), path }),
])
const header = v.strictObject({
  psyblob: v.literal('journal/1'),
  product: parsedBy((text: string) => parseName(text, 'product')),
  serial: v.pipe(whole, v.minValue(1)),
  manifest: parsedBy(parseCid),
  previous: v.nullable(v.pipe(whole, v.minValue(1))),
  postExec: v.nullable(path),
  /** On which something was mounted that the steps are about: without it they would be done to another file system. */
  mounts: v.array(path),
})

export type Step = v.InferOutput<typeof step>
export type JournalHeader = Omit<v.InferOutput<typeof header>, 'psyblob'> & { readonly manifest: CID }
export type Journal = { readonly header: JournalHeader; readonly steps: readonly Step[] }

/** Below the root of a tree, or a mount in it: what is staged for `product`. */
export function stagePath(mount: string, product: string): string {
  return `${mount}/${treeFolder}/${product}`
}

/** The mount below the root that `path` lies on, as far as the composition says; empty for the root itself. */
export function mountFor(path: string, mounts: readonly string[]): string {
  let found = ''
  for (const mount of mounts) if (path.startsWith(`${mount}/`) && mount.length > found.length) found = mount
  return found
}

function journalPath(rootDir: string, product: string): string {
  return join(rootDir, stagePath('', product), 'journal')
}

const longest = 8 * limits.manifest

/** Undefined when none lies there. Throws `corrupt` when it is damaged, `unsupported` when it is a newer version's. */
export async function readJournal(rootDir: string, product: string): Promise<Journal | undefined> {
  const place = journalPath(rootDir, product)
  await refuseForeign(place)
  const bytes = await readLimited(place, longest)
  if (bytes === undefined) return undefined
  const hint = `psyblob apply ${product} --force puts every file in order, after ${place} was moved away`
  const start = Buffer.from(bytes.subarray(0, 24)).toString('latin1')
  if (start.startsWith('{"psyblob":"journal/') && !start.startsWith('{"psyblob":"journal/1"'))
    throw new PsyblobError('unsupported', `${place} is no journal of this version`, {
      hint: 'the psyblob that wrote it finishes what it began: run that one again',
    })
  try {
    const [first = '', ...lines] = utf8Decode(bytes, place).trimEnd().split('\n')
    const { psyblob: _, ...head } = checkShape(header, parseJson(first, { what: place }), place)
    const steps = lines.map((line, at) => checkShape(step, parseJson(line, { what: place }), `${place}, line ${at + 2}`))
    if (head.product !== product) throw new PsyblobError('malformed', `${place} is of ${head.product}`)
    return { header: head, steps }
  } catch (cause) {
    if (!isPsyblobError(cause, 'malformed')) throw cause
    throw new PsyblobError('corrupt', `the journal of an apply is damaged: ${cause.message}`, { cause, hint })
  }
}

/** Throws `conflict` for a journal that somebody else put there: it says what is done with the rights of whoever finishes it. */
async function refuseForeign(place: string): Promise<void> {
  // a link on the way would lead to what is meant for another root
  const own = dirname(place)
  for (const path of [place, own, dirname(own)]) {
    const state = await lstat(path).catch((error: unknown) => {
      if (hasCode(error, 'ENOENT', 'ENOTDIR')) return undefined
      throw translated(error, `reading ${path}`)
    })
    if (state === undefined) return
    if ((path === place ? state.isFile() : state.isDirectory()) && state.uid === process.geteuid?.()) continue
    throw new PsyblobError('conflict', `${path} is of somebody else, and is not believed`, { hint: 'look at it, then move it away' })
  }
}

/** From here on there is no way back but forward. */
export async function writeJournal(rootDir: string, { header: head, steps }: Journal): Promise<void> {
  const { product, serial, manifest, previous, postExec, mounts } = head
  const first = { psyblob: 'journal/1', product, serial, manifest, previous, postExec, mounts }
  const text = `${[first, ...steps].map((value) => JSON.stringify(value)).join('\n')}\n`
  await writeWhole(journalPath(rootDir, product), utf8Encode(text), 0o600)
}
