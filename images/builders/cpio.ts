// An archive that the kernel unpacks into its first root: cpio "newc" (kernel: Documentation/driver-api/early-userspace/buffer-format.rst).
// Written by hand, so that owners, inode numbers and device nodes need neither root nor luck.

export type CpioEntry = {
  /** Without a leading slash, e.g. `bin/sh`. */
  readonly path: string
  /** Permissions, e.g. 0o755. */
  readonly mode: number
  readonly content:
    | { readonly bytes: Uint8Array }
    | { readonly link: string }
    | { readonly device: readonly [major: number, minor: number] }
    | 'folder'
}

const kinds = { folder: 0o040000, bytes: 0o100000, link: 0o120000, device: 0o020000 } as const

/** Equal entries give equal bytes, in whatever order they come. Folders that a path needs are added. `epoch` is in seconds. */
export function cpio(entries: readonly CpioEntry[], epoch: number): Uint8Array {
  const all = new Map<string, CpioEntry>()
  for (const entry of entries) {
    for (let at = entry.path.indexOf('/'); at > 0; at = entry.path.indexOf('/', at + 1)) {
      const path = entry.path.slice(0, at)
      if (!all.has(path)) all.set(path, { path, mode: 0o755, content: 'folder' })
    }
    all.set(entry.path, entry)
  }
  // a folder before what is in it: "/" sorts below all that names begin with
  const sorted = [...all.values()].sort((one, two) => Buffer.compare(Buffer.from(one.path), Buffer.from(two.path)))
  const parts = sorted.flatMap((entry, at) => member(entry, at + 1, epoch))
  parts.push(...member({ path: 'TRAILER!!!', mode: 0, content: { bytes: new Uint8Array() } }, 0, 0))
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  return Buffer.concat(parts, Math.ceil(length / 512) * 512)
}

function member({ path, mode, content }: CpioEntry, inode: number, mtime: number): readonly Uint8Array[] {
  const kind = content === 'folder' ? 'folder' : 'bytes' in content ? 'bytes' : 'link' in content ? 'link' : 'device'
  const data =
    content === 'folder' || 'device' in content ? new Uint8Array() : 'bytes' in content ? content.bytes : Buffer.from(content.link)
  const [major, minor] = content !== 'folder' && 'device' in content ? content.device : [0, 0]
  const name = Buffer.from(`${path}\0`)
  const isTrailer = inode === 0
  // inode, mode, uid, gid, links, mtime, size, device, device of a node, length of the name, checksum
  const fields = [
    inode,
    isTrailer ? 0 : kinds[kind] | mode,
    0,
    0,
    kind === 'folder' ? 2 : 1,
    mtime,
    data.length,
    0,
    0,
    major,
    minor,
    name.length,
    0,
  ]
  const header = Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`)
  return [header, name, padding(header.length + name.length), data, padding(data.length)]
}

const padding = (length: number) => new Uint8Array((4 - (length % 4)) % 4)
