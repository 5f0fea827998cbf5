// One path of a tree compared with its record: type, size, target, mode, owner, and its bytes when asked.
import { readlinkSync, type Stats } from 'node:fs'
import { type CID, type Entry, kindOf } from '../../core/mod.ts'
import { cidOfFile, type Finding, hasCode } from '../../store/mod.ts'
import type { TreeRoot } from './tree-root.ts'

export type Problem = Finding['problem']

export const rightsMask = 0o7777

/** What is wrong with the path of `record`, its bytes not looked at; undefined when nothing is. */
export function looksWrong(root: TreeRoot, record: Entry): Problem | undefined {
  const state = root.stateOf(record.path)
  if (state === undefined) return 'missing'
  if ('why' in state) return state.why === 'mount' ? 'behind a mount' : 'behind a link'
  return wrongState(root, record, state)
}

/** The same when it is known what lies there. */
export function wrongState(root: TreeRoot, record: Entry, state: Stats): Problem | undefined {
  const kind = kindOf(record)
  if (kindOfState(state) !== kind) return 'wrong type'
  if (record.bin !== null && state.size !== record.bin.size) return 'wrong size'
  if (kind === 'link' && linkTarget(root, record.path) !== record.target) return 'wrong target'
  const isRight = kind === 'link' || (state.mode & rightsMask) === (record.mod & rightsMask)
  if (isRight && state.uid === record.uid && state.gid === record.gid) return undefined
  if (kind === 'directory' && root.isForeignMount(record.path)) return undefined
  return isRight ? 'wrong owner' : 'wrong mode'
}

export function kindOfState(state: Stats): 'file' | 'directory' | 'link' | 'other' {
  if (state.isFile()) return 'file'
  if (state.isDirectory()) return 'directory'
  return state.isSymbolicLink() ? 'link' : 'other'
}

/** The target of a link; undefined when it is none. */
export function linkTarget(root: TreeRoot, path: string): string | undefined {
  const way = root.way(path)
  if (typeof way !== 'string') return undefined
  try {
    // a target that is not UTF-8 is not one that a manifest could say
    return readlinkSync(way, 'utf8')
  } catch (error) {
    if (hasCode(error, 'EINVAL', 'ENOENT')) return undefined
    throw error
  }
}

/** What the bytes of the file at `path` are called; undefined when there is none, or it cannot be read. */
export function cidAt(root: TreeRoot, path: string, onBytes?: (bytes: number) => void): CID | undefined {
  const way = root.way(path)
  return typeof way === 'string' ? cidOfFile(way, onBytes) : undefined
}
