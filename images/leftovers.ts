// What a psyblob leaves behind when it is killed: mount points, mounts, loop devices. Each bears the number of its process, so that the next one clears up.
import { lstat, mkdtemp, readdir, readFile, readlink, rm, rmdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { hasCode } from '../store/mod.ts'
import { detachLoop, loopsOf } from './loop-list.ts'
import { mounts } from './mount-list.ts'
import type { Run } from './run.ts'

const prefix = 'psyblob-slot-'
/** In a folder of ours: which loop device is about to be made. */
const intention = 'loop'

/** A folder to mount at, or to note an intention in. */
export async function ownFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), `${prefix}${process.pid}-`))
}

/** True for a folder that a psyblob, this one or another, made for itself. */
export function isOfPsyblob(dir: string): boolean {
  return basename(dir).startsWith(prefix)
}

/** Notes that a loop device for `image` at `offset` is about to be made. The answer takes the note back. */
export async function noteLoop(image: string, offset: number): Promise<() => Promise<void>> {
  const dir = await ownFolder()
  await writeFile(join(dir, intention), JSON.stringify({ image, offset }))
  return () => rm(dir, { recursive: true, force: true })
}

/** Clears up after psyblobs that do not run any more. The loop device of a mount goes with it. */
export async function dropLeftovers(run: Run): Promise<void> {
  for (const name of await readdir(tmpdir()).catch(() => [])) {
    const dir = join(tmpdir(), name)
    if (!(await isAbandoned(name)) || !(await isOurs(dir))) continue
    for (let there = await isMounted(dir), tries = 0; there; there = await isMounted(dir))
      await run(['umount', ...(tries++ < 3 ? [] : ['-l']), dir])
    const noted = await readFile(join(dir, intention), 'utf8').catch(() => undefined)
    if (noted !== undefined) await dropLoop(noted, run)
    // a folder of ours holds nothing but that note; anything else in it is not ours to remove
    await rm(join(dir, intention), { force: true })
    await rmdir(dir).catch(() => undefined)
  }
}

/** The temporary folder is everybody's: a folder that another user gave such a name says nothing to us. */
async function isOurs(dir: string): Promise<boolean> {
  const state = await lstat(dir).catch(() => undefined)
  // one that something is mounted at has the owner and the rights of what is mounted; only root can have done that
  if (state?.isDirectory() !== true || state.uid !== process.geteuid?.()) return false
  return (state.mode & 0o077) === 0 || (await isMounted(dir))
}

async function isMounted(dir: string): Promise<boolean> {
  return (await mounts()).some((mount) => mount.dir === dir)
}

async function isAbandoned(name: string): Promise<boolean> {
  const owner = new RegExp(`^${prefix}(\\d+)-`).exec(name)?.[1]
  if (owner === undefined || Number(owner) === process.pid) return false
  return readlink(`/proc/${owner}/exe`).then(
    () => false,
    (error: unknown) => hasCode(error, 'ENOENT', 'ESRCH'),
  )
}

async function dropLoop(noted: string, run: Run): Promise<void> {
  let found: { readonly image?: unknown; readonly offset?: unknown }
  try {
    found = JSON.parse(noted)
  } catch {
    return
  }
  if (typeof found.image !== 'string') return
  for (const loop of await loopsOf(found.image, run)) if (loop.offset === found.offset) await detachLoop(loop.name, run)
}
