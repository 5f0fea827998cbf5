// Carries a journal out. Each step changes nothing when it was done before, so that a run that was cut short is simply done again (spec/tree.md 5).
import {
  closeSync,
  constants,
  copyFileSync,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  renameSync,
  rmdirSync,
  rmSync,
  type Stats,
  unlinkSync,
} from 'node:fs'
import { setImmediate as turn } from 'node:timers/promises'
import { PsyblobError, visible } from '../../core/mod.ts'
import { hasCode, translated } from '../../store/mod.ts'
import { kindOfState, rightsMask } from './inspection.ts'
import { type Journal, type Step, stagePath } from './journal.ts'
import { flushFileSystems, flushPath, type StagingOptions } from './staging.ts'
import { TreeRoot } from './tree-root.ts'

/** Not to be interrupted: what is begun here is finished here, or by the next run. */
export async function commit({ header, steps }: Journal, options: Omit<StagingOptions, 'product' | 'signal'>): Promise<void> {
  const { root, mounts, run } = options
  for (const mount of header.mounts) {
    if (root.isMount(mount)) continue
    throw new PsyblobError(
      'conflict',
      `nothing is mounted on ${visible(mount)} of ${visible(root.dir)}, where an apply has to be finished`,
      {
        hint: 'mount it, then run the same command again',
      },
    )
  }
  // a way is good until the next is asked for: what is moved has two
  const other = new TreeRoot(root.dir, mounts)
  let forgetful = false
  try {
    for (const [at, step] of steps.entries()) {
      if (at % 256 === 255) await turn()
      // folders that were open may be others now
      if (forgetful) root.forget()
      forgetful = step.do === 'aside' || step.do === 'drop' || step.do === 'remove' || step.do === 'swap'
      if (forgetful) other.forget()
      try {
        if (step.do === 'put' || step.do === 'swap') put(stagePath(step.at, header.product), step, { root, other })
        else carryOut(step, { root, other })
      } catch (error) {
        throw told(error, step.path, root)
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

/** What a kernel refuses at this point leaves the tree between two releases: somebody has to look. */
function told(error: unknown, path: string, root: TreeRoot): unknown {
  const what = `putting ${visible(path)} in order in ${root.dir}`
  if (!hasCode(error, 'EBUSY', 'EXDEV', 'EISDIR', 'ENOTEMPTY', 'EPERM', 'ENAMETOOLONG', 'ELOOP')) return translated(error, what)
  return new PsyblobError(
    'conflict',
    `${what}: the file system refuses it (${error instanceof Error ? error.message.split(':')[0] : ''})`,
    {
      cause: error,
      hint: 'something is mounted there, or it cannot be changed (lsattr): mend that, then run the same command again, which goes on from here',
    },
  )
}

type Roots = { readonly root: TreeRoot; readonly other: TreeRoot }

function carryOut(step: Exclude<Step, { do: 'put' | 'swap' }>, roots: Roots): void {
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
function put(stage: string, step: Extract<Step, { do: 'put' | 'swap' }>, { root, other }: Roots): void {
  const [staged, { path }] = [`${stage}/${step.from}`, step]
  if (!isThere(other, staged)) return
  // a folder in the way was planned to go, or somebody has made it since
  if (isKind(root, path, 'directory')) {
    const to = step.do === 'swap' ? (step.to ?? `${stage}/old-${step.from}`) : freeBeside(root, path)
    renameSync(root.at(path), other.at(to))
    root.forget()
    other.forget()
  }
  renameSync(other.at(staged), root.at(path))
}

function freeBeside(root: TreeRoot, path: string): string {
  for (let number = 1; ; number++) if (!isThere(root, `${path}.psyblob-saved.${number}`)) return `${path}.psyblob-saved.${number}`
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
  try {
    linkSync(root.at(path), other.at(to))
  } catch (error) {
    // some file systems have no second names, and all have only so many
    if (!hasCode(error, 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'EMLINK', 'ENOSYS')) throw error
    copyBeside(root.at(path), to, { other, state })
    return
  }
  if ((state.mode & 0o6000) === 0) return
  // somebody who may write there may have put a link in its place: nothing is changed by name
  openAnd(root.at(to), constants.O_NONBLOCK, (fd) => {
    if (fstatSync(fd).ino === state.ino) fchmodSync(fd, state.mode & 0o1777)
  })
}

/** As a second name would be: whole or not at all, nobody's to run. */
function copyBeside(from: string, to: string, { other, state }: { readonly other: TreeRoot; readonly state: Stats }): void {
  const part = `${to}.part`
  openAnd(from, constants.O_NONBLOCK, (fd) => {
    if (fstatSync(fd).ino !== state.ino)
      throw new PsyblobError('conflict', `${visible(to)} was changed meanwhile`, { hint: 'run the same command again' })
    rmSync(other.at(part), { force: true })
    copyFileSync(`/proc/self/fd/${fd}`, other.at(part), constants.COPYFILE_EXCL)
  })
  openAnd(other.at(part), constants.O_NONBLOCK, (fd) => {
    try {
      fchownSync(fd, state.uid, state.gid)
      fchmodSync(fd, state.mode & 0o1777)
    } catch (error) {
      // a file system without owners
      if (!hasCode(error, 'EPERM', 'ENOTSUP', 'EOPNOTSUPP')) throw error
    }
  })
  renameSync(other.at(part), other.at(to))
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
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
