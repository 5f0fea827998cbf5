// The manifest of a release: JSON Lines, a header and one record an entry (spec/manifest.md). Only verified bytes are parsed.
import * as v from 'valibot'
import { type CID, parseCid } from './cid.ts'
import { type Entry, formatEntry, isTree, kindOf, parseEntry } from './entry.ts'
import { PsyblobError } from './errors.ts'
import { checkShape, parsedBy, parseJson } from './json.ts'
import { limits } from './limits.ts'
import { composed, parseName, parsePath, parseTime, pathTwin } from './names.ts'
import { utf8Decode, utf8EncodeInto, utf8Length } from './utf8.ts'
import { visible } from './visible.ts'

const text = (most: number) => v.pipe(v.string(), v.maxLength(most))
const name = (kind: string) => parsedBy((value: string) => parseName(value, kind))
const time = parsedBy((value: string) => {
  parseTime(value)
  return value
})

const header = v.strictObject({
  psyblob: v.literal('manifest/1'),
  repo: name('repository'),
  name: name('product'),
  desc: text(1024),
  serial: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  version: v.pipe(text(128), v.minLength(1)),
  previous: v.nullable(parsedBy(parseCid)),
  created: time,
  compat: name('compat'),
  entries: v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(limits.entries)),
  size: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
  key: v.nullable(text(128)),
  remotes: v.pipe(v.array(text(2048)), v.maxLength(limits.remotes)),
  'post-exec': v.nullable(parsedBy(parsePath)),
})

export type ManifestHeader = v.InferOutput<typeof header>
export type Manifest = ManifestHeader & { readonly records: readonly Entry[] }
/** What is left of a manifest when its place in the chain is taken away: two equal contents are one release. */
export type ManifestContent = Omit<Manifest, 'psyblob' | 'serial' | 'previous' | 'created' | 'entries' | 'size'>
/** A release that has its place. */
export type PlacedContent = ManifestContent & { readonly serial: number; readonly previous: CID | null; readonly created: string }

function checkWhole(manifest: Manifest, what: string): void {
  const refuse = (why: string): never => {
    throw new PsyblobError('malformed', `${what}: ${why}`)
  }
  if (manifest.records.length !== manifest.entries) refuse(`expected ${manifest.entries} entries, got ${manifest.records.length}`)
  const isForSlots = !isTree(manifest.records)
  const twinOf = isForSlots ? pathTwin : composed
  const isFolder = new Map<string, boolean>()
  let size = 0
  let last = ''
  for (const record of manifest.records) {
    if (comparePaths(last, record.path) >= 0) refuse(`entries are not in order of their paths at ${visible(record.path)}`)
    last = record.path
    if (isForSlots && record.path.includes('\\')) refuse(`a backslash, which separates on some file systems: ${visible(record.path)}`)
    const twin = twinOf(record.path)
    if (isFolder.has(twin)) refuse(`two entries would be one file: ${visible(record.path)}`)
    isFolder.set(twin, kindOf(record) === 'directory')
    size += record.bin?.size ?? 0
  }
  // neighbours lie in one folder, and folders in others that were looked at already
  const looked = new Set<string>()
  let above = ''
  for (const twin of isFolder.keys()) {
    for (let end = twin.lastIndexOf('/'); end > 0; end = twin.lastIndexOf('/', end - 1)) {
      if (end === above.length && twin.startsWith(above)) break
      const folder = twin.slice(0, end)
      if (looked.has(folder)) break
      if (isFolder.get(folder) === false) refuse(`an entry lies below one that is no folder: ${visible(twin)}`)
      looked.add(folder)
    }
    above = twin.slice(0, twin.lastIndexOf('/'))
  }
  if (size !== manifest.size) refuse(`expected ${manifest.size} bytes in all, got ${size}`)
  const run = manifest['post-exec']
  if (run !== null && !manifest.records.some((record) => record.path === run && kindOf(record) === 'file'))
    refuse(`post-exec names no file of it: ${visible(run)}`)
}

/** A code unit of UTF-16 as a number that sorts as UTF-8 does: halves of characters above U+FFFF come after U+FFFF. */
const rank = (unit: number): number => (unit < 0xd800 ? unit : unit < 0xe000 ? unit + 0x2000 : unit - 0x800)

/** Order of entries: by the bytes of their paths in UTF-8. */
export function comparePaths(left: string, right: string): number {
  const shorter = Math.min(left.length, right.length)
  for (let at = 0; at < shorter; at++) {
    const [one, two] = [left.charCodeAt(at), right.charCodeAt(at)]
    if (one !== two) return rank(one) - rank(two)
  }
  return left.length - right.length
}

/** Bytes that become text at a time. The text of a whole manifest would be as large again as the manifest. */
const blockBytes = 64 * 1024
const lineFeed = 0x0a

function* linesOf(body: Uint8Array, what: string): Generator<string> {
  for (let from = 0; from < body.length; ) {
    const last = body.lastIndexOf(lineFeed, Math.min(from + blockBytes, body.length) - 1)
    const end = last >= from ? last : body.indexOf(lineFeed, from)
    yield* utf8Decode(body.subarray(from, end), what).split('\n')
    from = end + 1
  }
}

/** Reads the body of a manifest whose signature was verified. `what` names it in errors, e.g. `manifest os/17`. Throws `malformed`. */
export function parseManifest(body: Uint8Array, what: string): Manifest {
  if (body.length > limits.manifest) throw new PsyblobError('malformed', `${what}: larger than ${limits.manifest} bytes`)
  if (body.at(-1) !== lineFeed) throw new PsyblobError('malformed', `${what}: does not end with a line feed`)
  let head: ManifestHeader | undefined
  const records: Entry[] = []
  const shared = new Shared()
  for (const line of linesOf(body, what)) {
    if (head === undefined) head = checkShape(header, parseJson(line, { what: `${what}, line 1` }), `${what}, line 1`)
    else {
      if (records.length === limits.entries) throw new PsyblobError('malformed', `${what}: more than ${limits.entries} entries`)
      records.push(shared.within(parseEntry(line, `${what}, line ${records.length + 2}`)))
    }
  }
  if (head === undefined) throw new PsyblobError('malformed', `${what}: empty`)
  const manifest: Manifest = { ...head, records }
  checkWhole(manifest, what)
  return manifest
}

/** Values that many entries have in common, kept once: all files of a package have one licence and one source. */
class Shared {
  readonly #licences = new Map<string, string>()
  readonly #sources = new Map<CID, NonNullable<Entry['ccs']>>()

  within(record: Entry): Entry {
    const { licence, ccs } = record
    if (licence !== null) {
      const known = this.#licences.get(licence)
      if (known === undefined) this.#licences.set(licence, licence)
      else record.licence = known
    }
    if (ccs !== null) {
      const known = this.#sources.get(ccs.cid)
      if (known === undefined) this.#sources.set(ccs.cid, ccs)
      else if (known.size === ccs.size && known.name === ccs.name) record.ccs = known
    }
    return record
  }
}

function headOf(content: PlacedContent): ManifestHeader {
  return {
    psyblob: 'manifest/1',
    repo: content.repo,
    name: content.name,
    desc: content.desc,
    serial: content.serial,
    version: content.version,
    previous: content.previous,
    created: content.created,
    compat: content.compat,
    entries: content.records.length,
    size: content.records.reduce((sum, record) => sum + (record.bin?.size ?? 0), 0),
    key: content.key,
    remotes: content.remotes,
    'post-exec': content['post-exec'],
  }
}

/** The bytes to sign. The same manifest always gives the same bytes; fields stand in the order of spec/manifest.md 2. */
export function formatManifest(content: PlacedContent): Uint8Array {
  const what = `manifest ${content.name}/${content.serial}`
  const records = inOrder(content.records)
  const head = headOf({ ...content, records })
  const first = JSON.stringify(head)
  // written twice, for its length and for its bytes: the text of it all would be as large again
  let length = utf8Length(first) + 1
  for (const record of records) length += utf8Length(formatEntry(record)) + 1
  if (length > limits.manifest) throw new PsyblobError('malformed', `${what}: larger than ${limits.manifest} bytes`)
  const body = new Uint8Array(length)
  let at = 0
  const write = (line: string) => {
    at += utf8EncodeInto(line, body.subarray(at))
    body[at++] = lineFeed
  }
  checkShape(header, parseJson(first, { what }), what)
  write(first)
  for (const record of records) {
    const line = formatEntry(record)
    // nothing is signed that nobody could read
    parseEntry(line, what)
    write(line)
  }
  checkWhole({ ...head, records }, what)
  return body
}

function inOrder(records: readonly Entry[]): readonly Entry[] {
  const isSorted = records.every((record, at) => at === 0 || comparePaths(records[at - 1]?.path ?? '', record.path) < 0)
  return isSorted ? records : [...records].sort((left, right) => comparePaths(left.path, right.path))
}

/** True when two contents are one release (spec/manifest.md 5). */
export function sameContent(one: ManifestContent, two: ManifestContent): boolean {
  const head = (content: ManifestContent) => JSON.stringify(headOf({ ...content, serial: 1, previous: null, created: '' }))
  if (head(one) !== head(two)) return false
  const others = inOrder(two.records)
  return inOrder(one.records).every((record, at) => lineOf(record) === lineOf(others[at] as Entry))
}

/** How a blob may be come by is no content: patches, and the index by which they are judged where it is there for nothing else. */
function lineOf(record: Entry): string {
  if (record.bin === null) return formatEntry(record)
  const { patches: _, ...bin } = record.bin
  const { index: __, ...bare } = bin
  return formatEntry({ ...record, bin: record.role === 'kernel' || record.role === 'initramfs' ? bare : bin })
}
