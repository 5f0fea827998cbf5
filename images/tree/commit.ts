// Carries a journal out. Each step changes nothing when it was done before, so that a run that was cut short is simply done again (spec/tree.md 5).
import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  renameSync,
  rmdirSync,
  unlinkSync,
} from 'node:fs'
import { setImmediate as turn } from 'node:timers/promises'
import { visible } from '../../core/mod.ts'
import { hasCode, translated } from '../../store/mod.ts'
import { kindOfState, rightsMask } from './inspection.ts'
import { type Journal, type Step, stagePath } from './journal.ts'
import { flushFileSystems, flushPath, mountFor, type StagingOptions } from './staging.ts'
import { TreeRoot } from './tree-root.ts'

/** Not to be interrupted: what is begun here is finished here, or by the next run. */
export async function commit({ header, steps }: Journal, options: Omit<StagingOptions, 'product' | 'signal'>): Promise<void> {
  const { root, mounts, run } = options
  // a way is good until the next is asked for: what is moved has two
  const other = new TreeRoot(root.dir, mounts)
  let forgetful = false
  try {
    for (const [at, step] of steps.entries()) {
      if (at % 256 === 255) await turn()
      // folders that were open may be others now
      if (forgetful) root.forget()
      forgetful = step.do === 'aside' || step.do === 'drop' || step.do === 'remove'
      if (forgetful) other.forget()
      try {
        if (step.do === 'put') put(`${stagePath(mountFor(step.path, mounts), header.product)}/${step.from}`, step.path, { root, other })
        else carryOut(step, { root, other })
      } catch (error) {
        throw translated(error, `putting ${visible(step.path)} in order in ${root.dir}`)
      }
    }
  } finally {
    other.close()
    root.forget()
  }
  if (steps.length > 32 && (await flushFileSystems(root, ['/', ...mounts], run))) return
  for (const folder of new Set(steps.map(({ path }) => path.slice(0, path.lastIndexOf('/'))))) {
    const way = folder === '' ? root.dir : root.way(folder)
    if (typeof way !== 'string') continue
    const state = lstatSync(way, { throwIfNoEntry: false })
    if (state?.isDirectory() === true) flushPath(way)
  }
}

type Roots = { readonly root: TreeRoot; readonly other: TreeRoot }

function carryOut(step: Exclude<Step, { do: 'put' }>, roots: Roots): void {
  const { root, other } = roots
  if (step.do === 'save') save(step, roots)
  else if (step.do === 'aside') {
    if (!isThere(root, step.to) && isThere(root, step.path)) renameSync(root.at(step.path), other.at(step.to))
  } else if (step.do === 'drop') {
    // what lies there now may be what was put in its place
    if (isKind(root, step.path, step.kind)) remove(root, step.path)
  } else if (step.do === 'remove') remove(root, step.path)
  else if (step.do === 'folder') makeFolder(step, root)
  else setRights(step, root)
}

/** What is not staged any more was put in place before. */
function put(staged: string, path: string, { root, other }: Roots): void {
  if (isThere(other, staged)) renameSync(other.at(staged), root.at(path))
}

function isKind(root: TreeRoot, path: string, kind: string): boolean {
  const state = root.stateOf(path)
  return state !== undefined && !('why' in state) && kindOfState(state) === kind
}

function isThere(root: TreeRoot, path: string): boolean {
  return root.stateOf(path) !== undefined
}

function save({ path, to }: Extract<Step, { do: 'save' }>, { root, other }: Roots): void {
  if (isThere(root, to)) return
  const state = root.stateOf(path)
  if (state === undefined || 'why' in state || !state.isFile()) return
  linkSync(root.at(path), other.at(to))
  if ((state.mode & 0o6000) !== 0) chmodSync(root.at(to), state.mode & 0o1777)
}

function remove(root: TreeRoot, path: string): void {
  const state = root.stateOf(path)
  if (state === undefined || 'why' in state) return
  try {
    if (state.isDirectory()) rmdirSync(root.at(path))
    else unlinkSync(root.at(path))
  } catch (error) {
    // what somebody else put there, or mounted on it, stays
    if (!hasCode(error, 'ENOTEMPTY', 'EEXIST', 'EBUSY')) throw error
  }
}

function makeFolder({ path, mod, uid, gid }: Extract<Step, { do: 'folder' }>, root: TreeRoot): void {
  const way = root.at(path)
  try {
    // nobody enters before it has its owner
    mkdirSync(way, { mode: 0o700 })
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error
  }
  openAnd(way, constants.O_DIRECTORY, (fd) => {
    fchownSync(fd, uid, gid)
    fchmodSync(fd, mod & rightsMask)
  })
}

function setRights({ path, mod, uid, gid }: Extract<Step, { do: 'rights' }>, root: TreeRoot): void {
  const state = root.stateOf(path)
  if (state === undefined || 'why' in state) return
  const way = root.at(path)
  if (state.isSymbolicLink()) lchownSync(way, uid, gid)
  if (!state.isFile()) return
  openAnd(way, constants.O_NONBLOCK, (fd) => {
    fchownSync(fd, uid, gid)
    fchmodSync(fd, mod & rightsMask)
  })
}

function openAnd(way: string, flags: number, work: (fd: number) => void): void {
  const fd = openSync(way, constants.O_RDONLY | constants.O_NOFOLLOW | flags)
  try {
    work(fd)
  } finally {
    closeSync(fd)
  }
}
