// The folder of a system as a publisher finds it: what becomes an entry of a tree, what is left out, what cannot be named (spec/manifest.md 8).
import { lstatSync, readdirSync, readlinkSync, type Stats } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { comparePaths, composed, kindOf, PsyblobError, pathFault, visible } from '../core/mod.ts'
import { hasCode, translated } from './files.ts'
import { changedWhileRead } from './ingest.ts'

export type TreeItem = {
  /** Of the entry, e.g. `/usr/bin/ls`; the file lies at the folder's path followed by this. */
  readonly path: string
  readonly mod: number
  readonly uid: number
  readonly gid: number
  /** Of a symbolic link. */
  readonly target: string | null
  /** Of a file: what tells whether it is still the same. */
  readonly state: FileState | undefined
}

/** Changes when somebody writes to the file or puts another in its place. */
export type FileState = {
  readonly size: number
  readonly mtimeMs: number
  readonly ctimeMs: number
  readonly ino: number
  /** More than one: other names of it are other entries. */
  readonly nlink: number
}

export type TreeFolder = {
  /** In the order of entries. */
  readonly items: readonly TreeItem[]
  /** Devices, pipes and sockets. */
  readonly special: { readonly count: number; readonly first: string }
  /** Places where other file systems begin. */
  readonly mounts: readonly string[]
}

/** At the top: psyblob's own, and what a file system has for itself. */
const leftOut = ['/.psyblob', '/lost+found']
const mostTold = 10

export function stateOf({ size, mtimeMs, ctimeMs, ino, nlink }: Stats): FileState {
  return { size, mtimeMs, ctimeMs, ino, nlink }
}

/** True when the folder is one of a system: nobody calls what belongs into a slot so. */
export function looksLikeTree(dir: string): boolean {
  return listed(dir).some((name) => (name === 'etc' || name === 'usr') && stateAt(`${dir}/${name}`).isDirectory())
}

/** Everything below `dir`. Throws `not-found`, and `usage` for what no manifest can name, all of it at once. */
export async function treeFolder(dir: string, { signal }: { readonly signal: AbortSignal | undefined }): Promise<TreeFolder> {
  const { dev } = lstatSync(dir, { throwIfNoEntry: false }) ?? { dev: 0 }
  const items: TreeItem[] = []
  const mounts: string[] = []
  const special = { count: 0, first: '' }
  const faults: string[] = []
  const folders = ['']
  let seen = 0
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    for (const name of listed(`${dir}${folder}`)) {
      const path = `${folder}/${name}`
      if (leftOut.includes(path)) continue
      const fault = pathFault(path)
      if (fault !== undefined) {
        faults.push(...faultsOf(dir, folder, name, fault))
        continue
      }
      const state = stateAt(`${dir}${path}`)
      const isOther = state.dev !== dev
      if (isOther) mounts.push(path)
      if (state.isDirectory()) {
        if (!isOther) folders.push(path)
      } else if (isOther) continue
      else if (!state.isFile() && !state.isSymbolicLink()) {
        special.count++
        if (special.first === '' || comparePaths(path, special.first) < 0) special.first = path
        continue
      }
      const target = state.isSymbolicLink() ? targetOf(dir, path, faults) : null
      const file = state.isFile() ? stateOf(state) : undefined
      items.push({ path, mod: state.mode, uid: state.uid, gid: state.gid, target, state: file })
      // looking is done without waiting, for that is ten times as quick; now and then others get a turn
      if (++seen % 500 === 0) await setImmediate(undefined, { signal })
    }
  }
  items.sort((one, two) => comparePaths(one.path, two.path))
  faults.push(...twinsOf(items))
  refuse(faults)
  if (items.length === 0)
    throw new PsyblobError('usage', `nothing to publish: ${visible(dir)} is empty`, { hint: 'name the folder that holds the system' })
  return { items, special, mounts: mounts.sort(comparePaths) }
}

function listed(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
  } catch (error) {
    if (hasCode(error, 'ENOENT')) throw new PsyblobError('not-found', `no folder ${visible(folder)}`, { hint: 'check the path' })
    if (hasCode(error, 'ENOTDIR'))
      throw new PsyblobError('usage', `${visible(folder)} is no folder`, { hint: 'name the folder that holds the release' })
    throw translated(error, `reading ${folder}`)
  }
}

function stateAt(path: string): Stats {
  try {
    return lstatSync(path)
  } catch (error) {
    throw hasCode(error, 'ENOENT') ? changedWhileRead(path, error) : translated(error, `reading ${path}`)
  }
}

/** What bytes that are no UTF-8 become when a name is read as text. No path may have it, whether it stood there or came of that. */
const replacement = '\ufffd'

/** One fault, with the bytes of names that are no text. */
function faultsOf(dir: string, folder: string, name: string, fault: string): readonly string[] {
  const told = `${visible(folder)}/${visible(name)}: ${fault}`
  if (!name.includes(replacement)) return [told]
  const same = readdirSync(`${dir}${folder}`, { encoding: 'buffer' }).filter((bytes) => bytes.toString() === name)
  return same.length === 1 && Buffer.from(name).equals(same[0] as Buffer) ? [told] : [`${visible(folder)}/${escaped(same[0])}: not UTF-8`]
}

function escaped(bytes: Buffer | undefined): string {
  const plain = (byte: number) => byte >= 0x20 && byte < 0x7f && byte !== 0x5c
  return [...(bytes ?? [])].map((byte) => (plain(byte) ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`)).join('')
}

function targetOf(dir: string, path: string, faults: string[]): string {
  try {
    const bytes = readlinkSync(`${dir}${path}`, { encoding: 'buffer' })
    const target = bytes.toString()
    if (target.includes(replacement) && !Buffer.from(target).equals(bytes))
      faults.push(`${visible(path)}: it leads to ${escaped(bytes)}, not UTF-8`)
    return target
  } catch (error) {
    throw hasCode(error, 'ENOENT', 'EINVAL') ? changedWhileRead(`${dir}${path}`, error) : translated(error, `reading ${dir}${path}`)
  }
}

function twinsOf(items: readonly TreeItem[]): readonly string[] {
  const twins = new Map<string, string>()
  const faults: string[] = []
  for (const { path } of items) {
    const twin = composed(path)
    const other = twins.get(twin)
    if (other !== undefined) faults.push(`${visible(other)} and ${visible(path)}: one name, composed in two ways`)
    twins.set(twin, path)
  }
  return faults
}

function refuse(faults: readonly string[]): void {
  if (faults.length === 0) return
  const more = faults.length > mostTold ? `; and ${faults.length - mostTold} more` : ''
  const count = faults.length === 1 ? 'a name that no release' : `${faults.length} names that no release`
  throw new PsyblobError('usage', `${count} can have: ${faults.slice(0, mostTold).join('; ')}${more}`, {
    hint: 'rename or remove them in the folder, then run psyblob publish again; nothing was published',
  })
}

/** How many there are of each kind. */
export function countsOf(items: readonly Pick<TreeItem, 'mod'>[]): { files: number; folders: number; links: number } {
  const counts = { files: 0, folders: 0, links: 0 }
  for (const item of items) counts[({ file: 'files', directory: 'folders', link: 'links' } as const)[kindOf(item)]]++
  return counts
}
