// The manifest of a release: JSON Lines, a header and one record an entry (spec/manifest.md). Only verified bytes are parsed.
import * as v from 'valibot'
import { type CID, parseCid } from './cid.ts'
import { PsyblobError } from './errors.ts'
import { checkShape, parsedBy, parseJson } from './json.ts'
import { limits } from './limits.ts'
import { parseName, parsePath, parseTime, pathTwin } from './names.ts'
import { utf8Decode, utf8Encode } from './utf8.ts'
import { visible } from './visible.ts'

const cid = parsedBy(parseCid)
const serial = v.pipe(v.number(), v.safeInteger(), v.minValue(1))
const blobSize = v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(limits.blob))
const id = v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(2 ** 32 - 2))
const text = (most: number) => v.pipe(v.string(), v.maxLength(most))
const name = (kind: string) => parsedBy((value: string) => parseName(value, kind))
const path = parsedBy(parsePath)
const time = parsedBy((value: string) => {
  parseTime(value)
  return value
})

const roles = ['kernel', 'initramfs', 'squashfs', 'modloop', 'system-map', 'config', 'dtb', 'efi', 'file'] as const
export type Role = (typeof roles)[number]

const blob = { cid, size: blobSize }
const header = v.strictObject({
  psyblob: v.literal('manifest/1'),
  repo: name('repository'),
  name: name('product'),
  desc: text(1024),
  serial,
  version: v.pipe(text(128), v.minLength(1)),
  previous: v.nullable(cid),
  created: time,
  compat: name('compat'),
  entries: v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(limits.entries)),
  size: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
  key: v.nullable(text(128)),
  remotes: v.pipe(v.array(text(2048)), v.maxLength(limits.remotes)),
  'post-exec': v.nullable(path),
})
const indexBlob = { cid, size: v.pipe(blobSize, v.maxValue(limits.index)) }
const topIndex = v.strictObject(indexBlob)
const middleIndex = v.strictObject({ ...indexBlob, index: v.exactOptional(topIndex) })
const bin = v.strictObject({
  ...blob,
  index: v.exactOptional(v.strictObject({ ...indexBlob, index: v.exactOptional(middleIndex) })),
  patches: v.exactOptional(v.pipe(v.array(v.strictObject({ from: cid, ...blob })), v.maxLength(16))),
})
const entry = v.strictObject({
  path,
  role: v.picklist(roles),
  mod: v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(0o177777)),
  uid: id,
  gid: id,
  target: v.nullable(v.pipe(text(4096), v.minLength(1))),
  licence: v.nullable(text(1024)),
  bin: v.nullable(bin),
  ccs: v.nullable(v.strictObject({ ...blob, name: text(255) })),
})

export type ManifestHeader = v.InferOutput<typeof header>
export type Entry = v.InferOutput<typeof entry>
export type EntryBlob = v.InferOutput<typeof bin>
/** A chunk index as a manifest names it: a blob, which may have an index itself. */
export type IndexBlob = { readonly cid: CID; readonly size: number; readonly index?: IndexBlob }
export type Manifest = ManifestHeader & { readonly records: readonly Entry[] }
/** What is left of a manifest when its place in the chain is taken away: two equal contents are one release. */
export type ManifestContent = Omit<Manifest, 'psyblob' | 'serial' | 'previous' | 'created' | 'entries' | 'size'>

const fileType = { mask: 0o170000, regular: 0o100000, directory: 0o040000, link: 0o120000 } as const

/** What an entry is, by the type bits of its mode. */
export function kindOf(record: Entry): 'file' | 'directory' | 'link' {
  const type = record.mod & fileType.mask
  if (type === fileType.regular) return 'file'
  return type === fileType.directory ? 'directory' : 'link'
}

/** The index of a blob, the index of that index, and so on; empty when it has none. */
export function indexesOf(bin: { readonly index?: IndexBlob } | null): readonly IndexBlob[] {
  return bin?.index === undefined ? [] : [bin.index, ...indexesOf(bin.index)]
}

function checkEntry(record: Entry, what: string): void {
  const refuse = (why: string): never => {
    throw new PsyblobError('malformed', `${what}: ${visible(record.path)}: ${why}`)
  }
  const type = record.mod & fileType.mask
  if (type !== fileType.regular && type !== fileType.directory && type !== fileType.link)
    refuse(`mode ${record.mod} is no file, folder or link`)
  if ((type === fileType.regular) !== (record.bin !== null)) refuse('a regular file has a blob, and nothing else has')
  if ((type === fileType.link) !== (record.target !== null)) refuse('a symbolic link has a target, and nothing else has')
  if (record.target?.includes('\0') === true) refuse('a target with a zero byte')
}

function checkWhole(manifest: Manifest, what: string): void {
  const refuse = (why: string): never => {
    throw new PsyblobError('malformed', `${what}: ${why}`)
  }
  if (manifest.records.length !== manifest.entries) refuse(`expected ${manifest.entries} entries, got ${manifest.records.length}`)
  const twins = new Set<string>()
  const files = new Set<string>()
  let size = 0
  let last = ''
  for (const record of manifest.records) {
    checkEntry(record, what)
    if (comparePaths(last, record.path) >= 0) refuse(`entries are not in order of their paths at ${visible(record.path)}`)
    last = record.path
    const twin = pathTwin(record.path)
    if (twins.has(twin)) refuse(`two entries would be one file: ${visible(record.path)}`)
    twins.add(twin)
    if (kindOf(record) !== 'directory') files.add(twin)
    size += record.bin?.size ?? 0
  }
  for (const twin of twins) {
    for (let end = twin.lastIndexOf('/'); end > 0; end = twin.lastIndexOf('/', end - 1)) {
      if (files.has(twin.slice(0, end))) refuse(`an entry lies below one that is no folder: ${visible(twin)}`)
    }
  }
  if (size !== manifest.size) refuse(`expected ${manifest.size} bytes in all, got ${size}`)
  const run = manifest['post-exec']
  if (run !== null && !manifest.records.some((record) => record.path === run && kindOf(record) === 'file'))
    refuse(`post-exec names no file of it: ${visible(run)}`)
}

/** Order of entries: by the bytes of their paths in UTF-8. */
export function comparePaths(left: string, right: string): number {
  const one = utf8Encode(left)
  const two = utf8Encode(right)
  for (let at = 0; at < Math.min(one.length, two.length); at++) {
    const difference = (one[at] as number) - (two[at] as number)
    if (difference !== 0) return difference
  }
  return one.length - two.length
}

/** Reads the body of a manifest whose signature was verified. `what` names it in errors, e.g. `manifest os/17`. Throws `malformed`. */
export function parseManifest(body: Uint8Array, what: string): Manifest {
  if (body.length > limits.manifest) throw new PsyblobError('malformed', `${what}: larger than ${limits.manifest} bytes`)
  const lines = utf8Decode(body, what).split('\n')
  if (lines.pop() !== '') throw new PsyblobError('malformed', `${what}: does not end with a line feed`)
  const line = (at: number) => `${what}, line ${at + 1}`
  const [first = '', ...rest] = lines
  const head = checkShape(header, parseJson(first, { what: line(0) }), line(0))
  if (rest.length > limits.entries) throw new PsyblobError('malformed', `${what}: more than ${limits.entries} entries`)
  const records = rest.map((record, at) => checkShape(entry, parseJson(record, { what: line(at + 1) }), line(at + 1)))
  const manifest: Manifest = { ...head, records }
  checkWhole(manifest, what)
  return manifest
}

/** The bytes to sign. The same manifest always gives the same bytes; fields stand in the order of spec/manifest.md 2. */
export function formatManifest(
  content: ManifestContent & { readonly serial: number; readonly previous: CID | null; readonly created: string },
): Uint8Array {
  const records = [...content.records].sort((left, right) => comparePaths(left.path, right.path))
  const head: ManifestHeader = {
    psyblob: 'manifest/1',
    repo: content.repo,
    name: content.name,
    desc: content.desc,
    serial: content.serial,
    version: content.version,
    previous: content.previous,
    created: content.created,
    compat: content.compat,
    entries: records.length,
    size: records.reduce((sum, record) => sum + (record.bin?.size ?? 0), 0),
    key: content.key,
    remotes: content.remotes,
    'post-exec': content['post-exec'],
  }
  const body = utf8Encode(`${[head, ...records.map(inOrder)].map((value) => JSON.stringify(value)).join('\n')}\n`)
  parseManifest(body, `manifest ${content.name}/${content.serial}`)
  return body
}

function inOrder(record: Entry): Entry {
  const { path, role, mod, uid, gid, target, licence, bin, ccs } = record
  return { path, role, mod, uid, gid, target, licence, bin, ccs }
}
