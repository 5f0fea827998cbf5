// A root folder and the way to what lies below it: folder by folder, by file descriptor, never through a link (spec/tree.md 2).
import { closeSync, constants, existsSync, lstatSync, openSync, readFileSync, realpathSync, type Stats } from 'node:fs'
import { PsyblobError, visible } from '../../core/mod.ts'
import { hasCode, translated } from '../../store/mod.ts'

/** Why there is no way to a path; `at` is the segment that ends it. */
export type Blocked = { readonly why: 'missing' | 'link' | 'no folder' | 'mount'; readonly at: string }

type OpenFolder = { readonly name: string; readonly fd: number; readonly mount: string }

const asFolder = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW

export class TreeRoot {
  /** With its links resolved. */
  readonly dir: string
  readonly #mounts: ReadonlySet<string>
  readonly #root: OpenFolder
  /** The folders from the root to where the last path was. */
  readonly #way: OpenFolder[] = []

  /** Throws `not-found` when there is no such folder. `mounts` are paths below it on which something may be mounted. */
  constructor(dir: string, mounts: readonly string[] = []) {
    try {
      this.dir = realpathSync(dir)
      const fd = openSync(this.dir, asFolder)
      this.#root = { name: '', fd, mount: closingUnless(fd, () => mountOf(fd)) }
    } catch (error) {
      if (hasCode(error, 'ENOENT', 'ENOTDIR'))
        throw new PsyblobError('not-found', `no folder ${visible(dir)}`, {
          cause: error,
          hint: 'make it, or name another root in the composition or with --root',
        })
      throw translated(error, `opening ${dir}`)
    }
    this.#mounts = new Set(mounts)
  }

  close(): void {
    this.forget()
    closeSync(this.#root.fd)
  }

  /** Closes what is open below the root: to be called when folders were renamed or removed. */
  forget(): void {
    for (const { fd } of this.#way.splice(0)) closeSync(fd)
  }

  /** Where `path` can be reached until the next call, or why it cannot. */
  way(path: string): string | Blocked {
    const segments = path.slice(1).split('/')
    const name = segments.pop() ?? ''
    let level = 0
    while (level < segments.length && this.#way[level]?.name === segments[level]) level++
    for (const { fd } of this.#way.splice(level)) closeSync(fd)
    for (; level < segments.length; level++) {
      const next = this.#enter(segments[level] as string, () => `/${segments.slice(0, level + 1).join('/')}`)
      if ('why' in next) return next
      this.#way.push(next)
    }
    return `/proc/self/fd/${this.#last.fd}/${name}`
  }

  /** As `way`, throwing `conflict` when there is none. */
  at(path: string): string {
    const way = this.way(path)
    if (typeof way === 'string') return way
    throw blockedError(path, way)
  }

  /** What lies at `path`, links not followed; undefined when nothing does. */
  stateOf(path: string): Stats | Blocked | undefined {
    const way = this.way(path)
    if (typeof way !== 'string') return way.why === 'missing' ? undefined : way
    return lstatSync(way, { throwIfNoEntry: false })
  }

  /** True when something is mounted on the folder or file `path`. */
  isMount(path: string): boolean {
    const way = this.way(path)
    if (typeof way !== 'string') return false
    let fd: number
    try {
      fd = openSync(way, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    } catch (error) {
      // what is not there, or is a link, has nothing mounted on it
      if (hasCode(error, 'ENOENT', 'ELOOP', 'ENXIO')) return false
      throw translated(error, `opening ${path} of ${this.dir}`)
    }
    try {
      return mountOf(fd) !== this.#last.mount
    } finally {
      closeSync(fd)
    }
  }

  /** The same, unless the composition names it: then it is a part of the tree like any other. */
  isForeignMount(path: string): boolean {
    return !this.#mounts.has(path) && this.isMount(path)
  }

  get #last(): OpenFolder {
    return this.#way.at(-1) ?? this.#root
  }

  #enter(name: string, path: () => string): OpenFolder | Blocked {
    const { fd: above, mount: outer } = this.#last
    const place = `/proc/self/fd/${above}/${name}`
    let fd: number
    try {
      fd = openSync(place, asFolder)
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return { why: 'missing', at: path() }
      if (hasCode(error, 'ENOTDIR', 'ELOOP'))
        return { why: lstatSync(place, { throwIfNoEntry: false })?.isSymbolicLink() === true ? 'link' : 'no folder', at: path() }
      throw translated(error, `opening ${path()} of ${this.dir}`)
    }
    const mount = closingUnless(fd, () => mountOf(fd))
    if (mount === outer || this.#mounts.has(path())) return { name, fd, mount }
    closeSync(fd)
    return { why: 'mount', at: path() }
  }
}

/** What `work` answers; when it throws, `fd` is closed. */
function closingUnless<Result>(fd: number, work: () => Result): Result {
  try {
    return work()
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

/** Throws `unsupported` where the kernel does not tell. */
function mountOf(fd: number): string {
  const id = existsSync('/proc/self/fdinfo') ? /^mnt_id:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1] : undefined
  if (id !== undefined) return id
  throw new PsyblobError('unsupported', 'the files of a system are reached through /proc, which is not mounted', {
    hint: 'run on Linux: mount -t proc proc /proc',
  })
}

export function blockedError(path: string, { why, at }: Blocked): PsyblobError {
  const what = {
    missing: `there is no ${visible(at)}`,
    link: `${visible(at)} is a symbolic link`,
    'no folder': `${visible(at)} is no folder`,
    mount: `something is mounted on ${visible(at)}`,
  }[why]
  return new PsyblobError('conflict', `no way to ${visible(path)}: ${what}`, {
    hint:
      why === 'mount'
        ? `unmount it, or name it in the composition: "target":{"kind":"tree","root":"/","mounts":[${JSON.stringify(at)}]}`
        : `psyblob repair ${visible(at)} puts it in order`,
  })
}
