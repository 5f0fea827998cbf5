// The header of one tar entry, the same bytes for the same entry: POSIX ustar, and a pax header only for what that cannot say.
import { attributePrefix, type TarEntry } from './tar-reader.ts'

const typeFlags: Readonly<Record<Exclude<TarEntry['kind'], 'device'>, string>> = {
  file: '0',
  hardlink: '1',
  symlink: '2',
  folder: '5',
  fifo: '6',
}

export type TarHeader = Omit<TarEntry, 'kind' | 'at'> & {
  readonly kind: keyof typeof typeFlags
  /** Seconds since 1970. */
  readonly time: number
}

/** What stands before the content of an entry. */
export function tarHeader(header: TarHeader): Buffer {
  const records = new Map<string, string>()
  const name = header.kind === 'folder' ? `${header.path}/` : header.path
  const split = splitName(name)
  if (split === undefined) records.set('path', name)
  if (header.link.length > 100) records.set('linkpath', header.link)
  for (const field of ['uid', 'gid'] as const) if (header[field] > 0o7777777) records.set(field, String(header[field]))
  if (header.size > 0o77777777777) records.set('size', String(header.size))
  for (const [key, value] of [...header.attributes].sort(([one], [two]) => (one < two ? -1 : 1)))
    records.set(`${attributePrefix}${key}`, value)
  const own = block({ ...header, name: split?.name ?? name.slice(0, 100), prefix: split?.prefix ?? '', type: typeFlags[header.kind] })
  if (records.size === 0) return own
  const extended = Buffer.from([...records].map(([key, value]) => record(key, value)).join(''), 'latin1')
  const before = block({
    ...{ name: 'PaxHeader', prefix: '', link: '', mode: 0o644, uid: 0, gid: 0, type: 'x' },
    ...{ size: extended.length, time: header.time },
  })
  return Buffer.concat([before, extended, tarPadding(extended.length), own])
}

/** The zeros that fill the last block of `size` bytes. */
export function tarPadding(size: number): Buffer {
  return Buffer.alloc((512 - (size % 512)) % 512)
}

/** What ends a tar file. */
export const tarEnd = Buffer.alloc(1024)

/** Name and prefix of a ustar header; undefined when they cannot hold it. */
function splitName(name: string): { readonly name: string; readonly prefix: string } | undefined {
  if (name.length <= 100) return { name, prefix: '' }
  for (let at = name.indexOf('/', name.length - 101); at > 0 && at <= 155; at = name.indexOf('/', at + 1))
    if (at < name.length - 1) return { prefix: name.slice(0, at), name: name.slice(at + 1) }
  return undefined
}

type Block = Pick<TarHeader, 'link' | 'mode' | 'uid' | 'gid' | 'size' | 'time'> & {
  readonly name: string
  readonly prefix: string
  readonly type: string
}

function block({ name, prefix, link, mode, uid, gid, size, time, type }: Block): Buffer {
  const bytes = Buffer.alloc(512)
  const octal = (value: number, at: number, digits: number) => {
    // what does not fit stands in the pax header
    const fitting = value < 8 ** digits ? value : 0
    bytes.write(`${fitting.toString(8).padStart(digits, '0')}\0`, at, 'latin1')
  }
  bytes.write(name, 0, 100, 'latin1')
  octal(mode, 100, 7)
  octal(uid, 108, 7)
  octal(gid, 116, 7)
  octal(size, 124, 11)
  octal(time, 136, 11)
  bytes.write('        ', 148, 'latin1')
  bytes.write(type, 156, 'latin1')
  bytes.write(link, 157, 100, 'latin1')
  bytes.write('ustar\x0000', 257, 'latin1')
  bytes.write(prefix, 345, 155, 'latin1')
  const sum = bytes.reduce((total, byte) => total + byte, 0)
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return bytes
}

/** A line whose own length is part of its length. */
function record(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`
  let length = rest.length + 1
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length
  return `${length}${rest}`
}
