// Reads the index of a tar file: every entry with the place of its content, which is not read.
// Not by tar-stream: it takes values of extended attributes for UTF-8 text, and a capability is none.
import type { FileHandle } from 'node:fs/promises'
import { PsyblobError, visible } from '../../core/mod.ts'
import { readFull } from '../../store/mod.ts'

/** What one entry of a tar file says. Texts hold one byte a character: a name may be anything. */
export type TarEntry = {
  /** Without `./` and slashes at the ends; empty for the root. */
  readonly path: string
  readonly kind: 'file' | 'folder' | 'symlink' | 'hardlink' | 'fifo' | 'device'
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** Where a symlink points; of a hard link the path of the file, as `path`. */
  readonly link: string
  /** Extended attributes, e.g. `security.capability`. */
  readonly attributes: ReadonlyMap<string, string>
  /** Bytes of content, which begins at `at` in the tar file. */
  readonly size: number
  readonly at: number
}

const blockSize = 512
/** Extended headers and GNU's long names are small; more is no tar. */
const longestHeader = 1024 * 1024
const windowSize = 256 * 1024

const kinds: Readonly<Record<string, TarEntry['kind']>> = {
  '\0': 'file',
  '0': 'file',
  '7': 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'device',
  '4': 'device',
  '5': 'folder',
  '6': 'fifo',
}

/** Every entry in the order of the file, called `what` in errors. Throws `malformed`, `unsupported` (sparse files). */
export async function* readTar(file: FileHandle, what: string): AsyncGenerator<TarEntry> {
  const refuse = (at: number, why: string, hint = 'it is damaged, or was cut short: copy it again, or make it anew') =>
    new PsyblobError('malformed', `${what}: ${why} (at byte ${at})`, { hint })
  const noTar = () => refuse(0, 'not a tar file', 'name a tar file, as it is or compressed by gzip, xz, zstd or bzip2')
  const leadsOut = 'make it with tar -C FOLDER -cf TAR . and without -P, so that every path begins in the folder'
  const read = windowOf(file)
  let shared: ReadonlyMap<string, string> = new Map()
  let own: ReadonlyMap<string, string> = new Map()
  let longPath: string | undefined
  let longLink: string | undefined
  for (let at = 0; ; ) {
    const block = await read(at, blockSize)
    // some writers leave the two empty blocks at the end out
    if (block.length === 0 && at > 0) return
    if (block.length < blockSize) throw at === 0 ? noTar() : refuse(at, 'ends in the middle of a header')
    if (block.every((byte) => byte === 0)) return
    if (!isSummed(block)) throw at === 0 ? noTar() : refuse(at, 'a header that is damaged')
    const field = (from: number, length: number) => textOf(block.subarray(from, from + length))
    const type = String.fromCharCode(block[156] ?? 0)
    const size = Number(own.get('size') ?? numberOf(block.subarray(124, 136)))
    if (!Number.isSafeInteger(size) || size < 0) throw refuse(at, 'a size that is no number')
    const content = at + blockSize
    const next = content + Math.ceil(size / blockSize) * blockSize
    if ('xgLK'.includes(type)) {
      if (size > longestHeader) throw refuse(at, 'an extended header that is too long')
      const bytes = await read(content, size)
      if (bytes.length < size) throw refuse(at, 'ends in the middle of a header')
      if (type === 'x') own = new Map([...shared, ...records(bytes)])
      else if (type === 'g') own = shared = new Map([...shared, ...records(bytes)])
      else if (type === 'L') longPath = textOf(bytes)
      else longLink = textOf(bytes)
      at = next
      continue
    }
    const isPosix = field(257, 6) === 'ustar'
    const prefix = isPosix ? field(345, 155) : ''
    const name = own.get('path') ?? longPath ?? (prefix === '' ? field(0, 100) : `${prefix}/${field(0, 100)}`)
    const link = own.get('linkpath') ?? longLink ?? field(157, 100)
    const kind = (type === '0' || type === '\0') && name.endsWith('/') ? 'folder' : kinds[type]
    const isSparse = type === 'S' || [...own.keys()].some((key) => key.startsWith('GNU.sparse.'))
    if (isSparse || kind === undefined)
      throw new PsyblobError(
        'unsupported',
        `${what}: ${visible(name)} is ${isSparse ? 'a sparse file' : `of a kind that is not known (${visible(type)})`}`,
        {
          hint: 'make the tar file without --sparse, in the format posix',
        },
      )
    const hasContent = kind === 'file'
    const uid = Number(own.get('uid') ?? numberOf(block.subarray(108, 116)))
    const gid = Number(own.get('gid') ?? numberOf(block.subarray(116, 124)))
    if (!Number.isSafeInteger(uid) || !Number.isSafeInteger(gid)) throw refuse(at, 'an owner that is no number')
    yield {
      path: plainPath(name, () => refuse(at, `a path that leads out of it: ${visible(name)}`, leadsOut)),
      kind,
      mode: numberOf(block.subarray(100, 108)) & 0o7777,
      uid,
      gid,
      link: kind === 'hardlink' ? plainPath(link, () => refuse(at, `a link that leads out of it: ${visible(link)}`, leadsOut)) : link,
      attributes: new Map(
        [...own].filter(([key]) => key.startsWith(attributePrefix)).map(([key, value]) => [key.slice(attributePrefix.length), value]),
      ),
      size: hasContent ? size : 0,
      at: content,
    }
    own = shared
    longPath = longLink = undefined
    at = hasContent ? next : content
  }
}

/** Before the name of an extended attribute in a pax header. */
export const attributePrefix = 'SCHILY.xattr.'

/** Reads ahead, for headers stand close together; what is far away is not read. */
function windowOf(file: FileHandle): (at: number, length: number) => Promise<Buffer> {
  let window = Buffer.alloc(0)
  let start = 0
  return async (at, length) => {
    if (at < start || at + length > start + window.length) {
      const bytes = Buffer.allocUnsafe(Math.max(length, windowSize))
      window = bytes.subarray(0, await readFull(file, bytes, at))
      start = at
    }
    return window.subarray(at - start, at - start + length)
  }
}

function plainPath(name: string, refuse: () => PsyblobError): string {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.')
  if (parts.includes('..')) throw refuse()
  return parts.join('/')
}

function isSummed(block: Buffer): boolean {
  let sum = 0
  for (let at = 0; at < blockSize; at++) sum += at >= 148 && at < 156 ? 0x20 : (block[at] ?? 0)
  return sum === numberOf(block.subarray(148, 156))
}

/** Octal digits, or GNU's binary form for what they cannot hold. */
function numberOf(field: Buffer): number {
  if (((field[0] ?? 0) & 0x80) !== 0) return field.reduce((sum, byte, at) => sum * 256 + (at === 0 ? byte & 0x7f : byte), 0)
  const digits = textOf(field).trim()
  return digits === '' ? 0 : /^[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : Number.NaN
}

/** Bytes up to the first zero, one a character. */
function textOf(bytes: Buffer): string {
  const end = bytes.indexOf(0)
  return bytes.toString('latin1', 0, end < 0 ? bytes.length : end)
}

/** The lines `LENGTH KEY=VALUE` of a pax header; values may hold any byte. */
function records(bytes: Buffer): Map<string, string> {
  const found = new Map<string, string>()
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(0x20, at)
    const length = space < 0 ? 0 : Number.parseInt(bytes.toString('latin1', at, space), 10)
    const equals = bytes.indexOf(0x3d, space)
    if (!(length > 0) || equals < 0 || at + length > bytes.length) break
    found.set(bytes.toString('latin1', space + 1, equals), bytes.toString('latin1', equals + 1, at + length - 1))
    at += length
  }
  return found
}
