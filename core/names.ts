// Names of products, channels and documents, paths inside manifests, serials and times (spec/names.md).
import { PsyblobError } from './errors.ts'
import { utf8Length } from './utf8.ts'
import { visible } from './visible.ts'

const namePattern = /^[a-z0-9][a-z0-9._-]{0,63}$/
/** Names that readers in many languages stumble over, for as keys of an object they are taken for its own or sorted as numbers; and those of a store's own files. */
const refusedNames = /^(constructor|prototype|\d+|blob|attempts|state\.json|links\.json)$/

/** A product, channel or slot name. Throws `malformed` and says which `kind` of name it was. */
export function parseName(text: string, kind: string): string {
  if (!namePattern.test(text) || refusedNames.test(text)) {
    throw new PsyblobError('malformed', `not a ${kind} name: "${visible(text.slice(0, 80))}"`, {
      hint: 'names are 1 to 64 characters of a-z, 0-9, dot, underscore and hyphen, and begin with a letter or digit; digits alone, constructor, prototype and the names of a store (blob, attempts, state.json, links.json) are refused',
    })
  }
  return text
}

/** A document in a repository: everything there that is not a blob. */
export type DocumentName = string & { readonly DocumentName: unique symbol }

export const documents = {
  /** Format and repository name: a hint, unsigned. */
  repository: 'psyblob.json' as DocumentName,
  /** What a person or a script wants to list: unsigned. */
  listing: 'index.json' as DocumentName,
  root: (version: number) => `root/${parseSerial(version)}.json` as DocumentName,
  rootSignature: (version: number) => `root/${parseSerial(version)}.minisig` as DocumentName,
  pointer: (channel: string) => `channels/${parseName(channel, 'channel')}` as DocumentName,
  manifest: (product: string, serial: number) => `manifests/${parseName(product, 'product')}/${parseSerial(serial)}` as DocumentName,
  /** The same, compressed: beside a large one only. */
  manifestXz: (product: string, serial: number) => `${documents.manifest(product, serial)}.xz` as DocumentName,
  manifestSignature: (product: string, serial: number) => `${documents.manifest(product, serial)}.minisig` as DocumentName,
} as const

/** An integer from 1 to 2^53-1. */
export function parseSerial(value: number): number {
  if (!Number.isSafeInteger(value) || value < 1)
    throw new PsyblobError('malformed', `not a serial: ${value}`, { hint: 'a serial is a whole number from 1 to 9007199254740991' })
  return value
}

const pathLimits = { bytes: 1024, segmentBytes: 255, levels: 32 } as const

/** Most paths: nothing in them that is no plain letter or sign, so that bytes are characters. */
const plainPath = /^[ -~]*$/

/** True for most of what `parsePath` takes, and for nothing that it refuses: no more than `pathLimits.segmentBytes` in all. */
export function isPath(value: unknown): value is string {
  return typeof value === 'string' && value.length <= pathLimits.segmentBytes && shortPath.test(value)
}

/** As above, with 1 to 32 segments, none of them empty, `.` or `..`. */
const shortPath = /^(?:\/(?!\.{1,2}(?:\/|$))[ -.0-~]+){1,32}$/

/** A path of a manifest: absolute, `/`-separated (spec/names.md 3). Throws `malformed`. */
export function parsePath(text: string): string {
  const why = pathFault(text)
  if (why !== undefined) throw new PsyblobError('malformed', `bad path "${visible(text.slice(0, 200))}": ${why}`)
  return text
}

/** What is wrong with a path; undefined when nothing is. */
export function pathFault(text: string): string | undefined {
  const isPlain = plainPath.test(text)
  if (!text.startsWith('/')) return 'not absolute'
  if ((isPlain ? text.length : utf8Length(text)) > pathLimits.bytes) return `longer than ${pathLimits.bytes} bytes`
  const segments = text.slice(1).split('/')
  if (segments.length > pathLimits.levels) return `deeper than ${pathLimits.levels} levels`
  for (const segment of segments) {
    if (segment === '') return 'an empty segment'
    if (segment === '.' || segment === '..') return 'a segment that is . or ..'
    if ((isPlain ? segment.length : utf8Length(segment)) > pathLimits.segmentBytes)
      return `a segment longer than ${pathLimits.segmentBytes} bytes`
  }
  if (isPlain) return undefined
  if (visible(text) !== text) return 'a control or invisible character'
  return undefined
}

/** What two paths have in common when they would be one file on a file system that folds case or normalises (spec/names.md 3). */
export function pathTwin(path: string): string {
  return composed(path).toLowerCase()
}

/** The same for a system, whose file systems tell the case of letters. */
export function composed(path: string): string {
  return plainPath.test(path) ? path : path.normalize('NFC')
}

const timePattern = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})Z$/

/** RFC 3339 UTC with seconds, as milliseconds since 1970. Throws `malformed`: a time that does not parse is never "not expired". */
export function parseTime(text: string): number {
  const time = timePattern.test(text) ? Date.parse(text) : Number.NaN
  if (!Number.isFinite(time) || formatTime(time) !== text) {
    throw new PsyblobError('malformed', `not a time: "${visible(text.slice(0, 40))}"`, { hint: 'times look like 2026-11-23T10:15:00Z' })
  }
  return time
}

/** The inverse of `parseTime`; fractions of a second are dropped. */
export function formatTime(milliseconds: number): string {
  return `${new Date(milliseconds).toISOString().slice(0, 19)}Z`
}
