// Is there room: known before the first byte is written.
import { lstat, readdir, statfs } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { PsyblobError } from '../core/mod.ts'
import { type EntryPlan, hasCode, partPath, partStem, patchPart } from '../store/mod.ts'

/** For each new file and for the folders: extents, a manifest, a little air. Bytes. */
const fileOverhead = 16 * 1024
const slotOverhead = 256 * 1024

/** Bytes that a file takes on the disk, 0 when there is none. */
async function allocated(path: string): Promise<number> {
  try {
    return (await lstat(path)).blocks * 512
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return 0
    throw error
  }
}

/** Bytes that a plan takes beyond what its unfinished files have. */
export async function neededBytes(plans: readonly EntryPlan[], parts: string): Promise<number> {
  let needed = slotOverhead
  for (const plan of plans) {
    if (plan.how === 'keep' || (plan.how === 'chunks' && plan.adopt !== undefined)) continue
    const left = plan.how === 'copy' ? 0 : await allocated(partPath(parts, plan.entry.bin.cid))
    needed += Math.max(0, plan.entry.bin.size - left) + fileOverhead
    if (plan.how === 'chunks' && plan.patch !== undefined)
      needed += Math.max(0, plan.patch.size - (await allocated(patchPart(parts, plan.patch.cid)))) + fileOverhead
  }
  return needed
}

/** Free bytes of the file system that holds `dir`, or would hold it. */
export async function freeBytes(dir: string): Promise<number> {
  try {
    const { bavail, bsize } = await statfs(dir)
    return bavail * bsize
  } catch (error) {
    if (hasCode(error, 'ENOENT') && dirname(dir) !== dir) return freeBytes(dirname(dir))
    throw error
  }
}

/** Bytes of unfinished files that the plan has no use for. */
export async function stalePartBytes(parts: string, keep: ReadonlySet<string>): Promise<number> {
  let bytes = 0
  for (const name of await readdir(parts).catch(() => [])) {
    const stem = partStem(name)
    if (stem !== undefined && !keep.has(stem)) bytes += await allocated(join(parts, name))
  }
  return bytes
}

/** Bytes that removing `paths` below `dir` would free. */
export async function bytesOf(dir: string, paths: readonly string[]): Promise<number> {
  let bytes = 0
  for (const path of paths) {
    const state = await lstat(join(dir, path)).catch(() => undefined)
    if (state?.isDirectory() === true) bytes += await bytesOf(join(dir, path), await readdir(join(dir, path)))
    else bytes += (state?.blocks ?? 0) * 512
  }
  return bytes
}

export function noSpace(label: string, missing: number, needed: number): PsyblobError {
  return new PsyblobError(
    'no-space',
    `slot ${label} is too small: ${missing} bytes are missing, ${needed} are needed; nothing was written`,
    {
      hint: 'give the slot a larger partition or folder, or publish a smaller release',
    },
  )
}
