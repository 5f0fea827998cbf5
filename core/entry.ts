// One entry of a release: a file, a folder or a symbolic link, and the blob that is in it (spec/manifest.md 3).
import * as v from 'valibot'
import { type CID, isCid, parseCid } from './cid.ts'
import { PsyblobError } from './errors.ts'
import { checkShape, parsedBy, parseJson } from './json.ts'
import { limits } from './limits.ts'
import { isPath, parsePath } from './names.ts'
import { visible } from './visible.ts'

const cid = parsedBy(parseCid)
const blobSize = v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(limits.blob))
const id = v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(2 ** 32 - 2))
const text = (most: number) => v.pipe(v.string(), v.maxLength(most))

const roles = ['kernel', 'initramfs', 'squashfs', 'modloop', 'system-map', 'config', 'dtb', 'efi', 'file'] as const
export type Role = (typeof roles)[number]

const blob = { cid, size: blobSize }
const indexBlob = { cid, size: v.pipe(blobSize, v.maxValue(limits.index)) }
const topIndex = v.strictObject(indexBlob)
const middleIndex = v.strictObject({ ...indexBlob, index: v.exactOptional(topIndex) })
const bin = v.strictObject({
  ...blob,
  index: v.exactOptional(v.strictObject({ ...indexBlob, index: v.exactOptional(middleIndex) })),
  patches: v.exactOptional(v.pipe(v.array(v.strictObject({ from: cid, ...blob })), v.maxLength(limits.patch.ofBlob))),
})
const entry = v.strictObject({
  path: parsedBy(parsePath),
  role: v.picklist(roles),
  mod: v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(0o177777)),
  uid: id,
  gid: id,
  target: v.nullable(v.pipe(text(4096), v.minLength(1))),
  licence: v.nullable(text(1024)),
  bin: v.nullable(bin),
  ccs: v.nullable(v.strictObject({ ...blob, name: text(255) })),
})

export type Entry = v.InferOutput<typeof entry>
export type EntryBlob = v.InferOutput<typeof bin>
/** The corresponding source of an entry, as one blob. */
export type EntrySource = NonNullable<Entry['ccs']>
/** A chunk index as a manifest names it: a blob, which may have an index itself. */
export type IndexBlob = { readonly cid: CID; readonly size: number; readonly index?: IndexBlob }

const fileType = { mask: 0o170000, regular: 0o100000, directory: 0o040000, link: 0o120000 } as const

/** What an entry is, by the type bits of its mode. */
export function kindOf(record: Pick<Entry, 'mod'>): 'file' | 'directory' | 'link' {
  const type = record.mod & fileType.mask
  if (type === fileType.regular) return 'file'
  return type === fileType.directory ? 'directory' : 'link'
}

/** True when a release describes files of a system: it has folders or links, which no slot has. */
export function isTree(records: readonly Pick<Entry, 'mod'>[]): boolean {
  return records.some((record) => kindOf(record) !== 'file')
}

/** The index of a blob, the index of that index, and so on; empty when it has none. */
export function indexesOf(bin: { readonly index?: IndexBlob } | null): readonly IndexBlob[] {
  return bin?.index === undefined ? [] : [bin.index, ...indexesOf(bin.index)]
}

/** Reads one line. Throws `malformed`. */
export function parseEntry(line: string, what: string): Entry {
  const value = parseJson(line, { what })
  const record = isRight(value) ? value : checkShape(entry, value, what)
  const refuse = (why: string): never => {
    throw new PsyblobError('malformed', `${what}: ${visible(record.path)}: ${why}`)
  }
  const type = record.mod & fileType.mask
  if (type !== fileType.regular && type !== fileType.directory && type !== fileType.link)
    refuse(`mode ${record.mod} is no file, folder or link`)
  if ((type === fileType.regular) !== (record.bin !== null)) refuse('a regular file has a blob, and nothing else has')
  if ((type === fileType.link) !== (record.target !== null)) refuse('a symbolic link has a target, and nothing else has')
  if (record.target?.includes('\0') === true) refuse('a target with a zero byte')
  return record
}

/** The line of an entry, its fields in the order of spec/manifest.md 3. */
export function formatEntry({ path, role, mod, uid, gid, target, licence, bin, ccs }: Entry): string {
  return JSON.stringify({ path, role, mod, uid, gid, target, licence, bin, ccs })
}

const isWhole = (value: unknown, most: number): boolean =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= most
const isText = (value: unknown, least: number, most: number): boolean =>
  typeof value === 'string' && value.length >= least && value.length <= most

/**
 * True for a value that the schema above takes as it is, found in a twentieth of the time: a tree has a hundred thousand of them. What is
 * not taken here is left to the schema, which says what is wrong with it. `test/core/entry.test.ts` holds the two together.
 */
function isRight(value: unknown): value is Entry {
  if (typeof value !== 'object' || value === null || Object.keys(value).length !== 9) return false
  const { path, role, mod, uid, gid, target, licence, bin, ccs } = value as Record<string, unknown>
  return (
    isPath(path) &&
    (role === 'file' || (roles as readonly unknown[]).includes(role)) &&
    isWhole(mod, 0o177777) &&
    isWhole(uid, 2 ** 32 - 2) &&
    isWhole(gid, 2 ** 32 - 2) &&
    (target === null || isText(target, 1, 4096)) &&
    (licence === null || isText(licence, 0, 1024)) &&
    (bin === null || isBlob(bin, limits.blob, 3)) &&
    (ccs === null || isSource(ccs))
  )
}

/** A blob with at most so many indexes above it. */
function isBlob(value: unknown, most: number, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  const { cid, size, index } = value as Record<string, unknown>
  if (!isCid(cid) || !isWhole(size, most)) return false
  if (index === undefined) return Object.keys(value).length === 2
  return Object.keys(value).length === 3 && levels > 0 && isBlob(index, limits.index, levels - 1)
}

function isSource(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Object.keys(value).length !== 3) return false
  const { cid, size, name } = value as Record<string, unknown>
  return isCid(cid) && isWhole(size, limits.blob) && isText(name, 0, 255)
}
