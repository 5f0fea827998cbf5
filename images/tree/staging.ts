// What an apply is about to put in place: complete, with mode, owner and time, flushed, in psyblob's own folder (spec/tree.md 4).
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  copyFileSync,
  fstatSync,
  fsyncSync,
  lchownSync,
  mkdirSync,
  openSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
} from 'node:fs'
import { setImmediate as turn } from 'node:timers/promises'
import { type CID, type Entry, PsyblobError, treeFolder, visible } from '../../core/mod.ts'
import { cidOfFile, hasCode, type LocalStore, translated } from '../../store/mod.ts'
import type { Run } from '../run.ts'
import { rightsMask } from './inspection.ts'
import { mountFor, stagePath } from './journal.ts'
import type { TreePlan } from './tree-plan.ts'
import type { TreeRoot } from './tree-root.ts'

export type StagingOptions = {
  readonly root: TreeRoot
  readonly product: string
  /** Paths of the target on which something may be mounted. */
  readonly mounts: readonly string[]
  readonly run: Run
  readonly signal?: AbortSignal | undefined
}

/** Fewer files than these are flushed one by one. */
const flushedOneByOne = 32

/** Copies what a plan needs from the store to where it can be renamed into place. Throws `corrupt`, `no-space`. */
export async function stage(
  plan: TreePlan,
  options: StagingOptions & { readonly store: LocalStore; readonly time: number },
): Promise<void> {
  const { root, product, mounts, store, time, signal } = options
  for (const mount of new Set(['', ...plan.staged.map(({ path }) => mountFor(path, mounts))])) makeStage(root, mount, product)
  let current = ''
  try {
    for (const [number, record] of plan.staged.entries()) {
      if (number % 64 === 63) await turn()
      signal?.throwIfAborted()
      current = record.path
      const place = root.at(`${stagePath(mountFor(record.path, mounts), product)}/${number}`)
      if (record.bin === null) {
        symlinkSync(record.target ?? '', place)
        lchownSync(place, record.uid, record.gid)
      } else stageFile(store.blobPath(record.bin.cid), place, { record, cid: record.bin.cid, time })
    }
    await flush(plan, options)
  } catch (error) {
    throw translated(error, `staging ${current} in ${root.dir}`)
  }
}

/** Removes what was staged, and the journal with it. */
export function dropStage({ root, product, mounts }: Pick<StagingOptions, 'root' | 'product' | 'mounts'>): void {
  for (const mount of ['', ...mounts]) {
    const own = root.way(stagePath(mount, product))
    if (typeof own !== 'string') continue
    rmSync(own, { recursive: true, force: true })
    const all = root.way(`${mount}/${treeFolder}`)
    if (typeof all !== 'string') continue
    try {
      // another product may be at work there
      rmdirSync(all)
    } catch (error) {
      if (!hasCode(error, 'ENOENT', 'ENOTEMPTY', 'EEXIST')) throw translated(error, `removing ${mount}/${treeFolder} of ${root.dir}`)
    }
  }
}

/** Puts the bytes of files that will be replaced or removed into the store, for a rollback. What cannot be had is fetched when it is needed. */
export async function keepFormer(
  plan: TreePlan,
  { root, store, signal }: Pick<StagingOptions, 'root' | 'signal'> & { readonly store: LocalStore },
) {
  for (const [at, { path, cid, size }] of plan.former.entries()) {
    if (at % 64 === 63) await turn()
    signal?.throwIfAborted()
    if (await store.hasBlob(cid, size)) continue
    const way = root.way(path)
    if (typeof way !== 'string') continue
    await store.adoptBlob(cid, (temporary) => keepBytes(way, temporary, cid))
  }
}

/** Shares the bytes where the file system can. False when they are not what `cid` names, or there is no plain file. */
export function keepBytes(from: string, to: string, cid: CID): boolean {
  let fd: number
  try {
    // a pipe would block for ever, a link lead elsewhere
    fd = openSync(from, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ELOOP', 'ENXIO', 'EACCES')) return false
    throw error
  }
  try {
    if (!fstatSync(fd).isFile()) return false
    copyFileSync(`/proc/self/fd/${fd}`, to, constants.COPYFILE_FICLONE)
    // it takes the mode along, which may let it run as another user
    chmodSync(to, 0o600)
    return cidOfFile(to) === cid
  } finally {
    closeSync(fd)
  }
}

/** Makes psyblob's own folder. Nobody else may look into it: what lies there may be to run as somebody else. */
function makeStage(root: TreeRoot, mount: string, product: string): void {
  for (const path of [`${mount}/${treeFolder}`, stagePath(mount, product)]) {
    const place = root.at(path)
    try {
      mkdirSync(place, { mode: 0o700 })
    } catch (error) {
      if (!hasCode(error, 'EEXIST')) throw translated(error, `making ${path} in ${root.dir}`)
    }
    const state = root.stateOf(path)
    if (state === undefined || 'why' in state || !state.isDirectory() || state.uid !== process.geteuid?.() || (state.mode & 0o077) !== 0)
      throw new PsyblobError('conflict', `${visible(path)} in ${visible(root.dir)} is somebody else's, or open to others`, {
        hint: 'psyblob keeps its own files there: move it away',
      })
    flushPath(place)
  }
  flushPath(`${root.dir}${mount}`)
}

function stageFile(
  blob: string,
  place: string,
  { record, cid, time }: { readonly record: Entry; readonly cid: CID; readonly time: number },
): void {
  // shares the blocks where the file system can (btrfs, xfs)
  copyFileSync(blob, place, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL)
  if (cidOfFile(place) !== cid)
    throw new PsyblobError('corrupt', `staging ${visible(record.path)}: what was written is not ${cid}`, {
      hint: 'the disk or the store is failing; psyblob verify --store names what is bad, and psyblob repair fetches it again',
    })
  chownSync(place, record.uid, record.gid)
  // after the owner: changing that takes the bits away with which a file runs as another user
  chmodSync(place, record.mod & rightsMask)
  utimesSync(place, time, time)
}

async function flush({ staged }: TreePlan, { root, product, mounts, run }: StagingOptions): Promise<void> {
  const places = new Set(staged.map(({ path }) => stagePath(mountFor(path, mounts), product)))
  if (staged.length > flushedOneByOne && (await flushFileSystems(root, [...places], run))) return
  for (const [number, { path, bin }] of staged.entries())
    if (bin !== null) flushPath(root.at(`${stagePath(mountFor(path, mounts), product)}/${number}`))
  for (const place of places) flushPath(root.at(place))
}

/** One call for thousands of files; false where the program for it is not to be had. */
export async function flushFileSystems(root: TreeRoot, places: readonly string[], run: Run): Promise<boolean> {
  try {
    await run(['sync', '-f', ...places.map((place) => `${root.dir}${place}`)])
    return true
  } catch (error) {
    if (error instanceof PsyblobError && error.code !== 'interrupted') return false
    throw error
  }
}

export function flushPath(place: string): void {
  const fd = openSync(place, constants.O_RDONLY | constants.O_NOFOLLOW)
  try {
    fsyncSync(fd)
  } catch (error) {
    // some file systems cannot flush a folder; there is nothing else to do for them
    if (!hasCode(error, 'EINVAL', 'ENOTSUP')) throw error
  } finally {
    closeSync(fd)
  }
}
