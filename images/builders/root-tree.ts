// A root file system in memory: what lies where, with contents left where they are until it is written (root-tar.ts).
import type { FileHandle } from 'node:fs/promises'
import { PsyblobError, visible } from '../../core/mod.ts'

/** Where the bytes of a file are. */
export type Content =
  | { readonly bytes: Uint8Array }
  | { readonly file: string; readonly size: number }
  | { readonly tar: FileHandle; readonly at: number; readonly size: number }

export type TreeNode = {
  readonly kind: 'file' | 'folder' | 'symlink' | 'fifo'
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** Where a symlink points. */
  readonly link: string
  readonly attributes: ReadonlyMap<string, string>
  /** Of files. */
  readonly content: Content
}

export type TreeEntry = {
  readonly path: string
  readonly node: TreeNode
  /** The path that the same file stood at before: a hard link. */
  readonly same: string | undefined
}

/** As a kernel gives up. */
const mostLinks = 40

const nothing: Content = { bytes: new Uint8Array() }

/** A node of root's, without what it does not say. */
export function rootNode(node: Pick<TreeNode, 'kind' | 'mode'> & Partial<TreeNode>): TreeNode {
  return { uid: 0, gid: 0, link: '', attributes: new Map(), content: nothing, ...node }
}

/** Paths have no slash at the start and hold one byte a character; those below a symlink lie where it leads, which is never outside. */
export class RootTree {
  readonly #nodes = new Map<string, TreeNode>()

  /** Puts `node` in the place of what is at `path`; folders above it are made. Throws `malformed` when something is in the way. */
  put(path: string, node: TreeNode): void {
    const place = this.#resolve(path, node.kind === 'folder')
    if (place === '') return
    if (node.kind !== 'folder' && this.#nodes.get(place)?.kind === 'folder')
      throw new PsyblobError('malformed', `/${visible(path)}: a folder is there already`, {
        hint: 'give the file another path, or leave the folder out with exclude',
      })
    this.#makeParents(place)
    this.#nodes.set(place, node)
  }

  /** The node at `path`, itself even where it is a symlink. */
  at(path: string): TreeNode | undefined {
    return this.#nodes.get(this.#resolve(path, false))
  }

  /** Takes out what `test` names, with everything below. */
  drop(test: (path: string, node: TreeNode) => boolean): void {
    const dropped = new Set<string>()
    for (const [path, node] of this.#sorted()) {
      if (!dropped.has(parentOf(path)) && !test(path, node)) continue
      dropped.add(path)
      this.#nodes.delete(path)
    }
  }

  /** Everything, folders before what is in them, names by their bytes. */
  *entries(): Generator<TreeEntry> {
    const first = new Map<TreeNode, string>()
    for (const [path, node] of this.#sorted()) {
      const same = node.kind === 'file' ? first.get(node) : undefined
      if (same === undefined) first.set(node, path)
      yield { path, node, same }
    }
  }

  #sorted(): readonly (readonly [string, TreeNode])[] {
    return [...this.#nodes]
      .map(([path, node]) => ({ key: path.replaceAll('/', '\0'), path, node }))
      .sort((one, two) => (one.key < two.key ? -1 : 1))
      .map(({ path, node }) => [path, node] as const)
  }

  #makeParents(path: string): void {
    const parent = parentOf(path)
    if (parent === '') return
    const node = this.#nodes.get(parent)
    if (node !== undefined && node.kind !== 'folder')
      throw new PsyblobError('malformed', `/${visible(path)}: /${visible(parent)} is no folder`, { hint: 'give the file another path' })
    if (node !== undefined) return
    this.#makeParents(parent)
    this.#nodes.set(parent, rootNode({ kind: 'folder', mode: 0o755 }))
  }

  /** Where `path` is once the symlinks on the way are followed, and with `last` the one at its end. */
  #resolve(path: string, last: boolean): string {
    const ahead = path.split('/')
    const done: string[] = []
    for (let links = 0; ahead.length > 0; ) {
      const name = ahead.shift()
      if (name === undefined || name === '' || name === '.') continue
      if (name === '..') {
        done.pop()
        continue
      }
      done.push(name)
      const node = this.#nodes.get(done.join('/'))
      if (node?.kind !== 'symlink' || (!last && ahead.every((part) => part === ''))) continue
      if (++links > mostLinks)
        throw new PsyblobError('malformed', `/${visible(path)}: symlinks that lead in a circle`, {
          hint: 'name the path without these links, or leave one of them out with exclude',
        })
      if (node.link.startsWith('/')) done.length = 0
      else done.pop()
      ahead.unshift(...node.link.split('/'))
    }
    return done.join('/')
  }
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')))
}
