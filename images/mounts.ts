// Mounting a file system for a while and putting everything back.
import { rmdir } from 'node:fs/promises'
import { isPsyblobError, PsyblobError, visible } from '../core/mod.ts'
import { dropLeftovers, isOfPsyblob, ownFolder } from './leftovers.ts'
import { deviceNumber, type Mount, mounts } from './mount-list.ts'
import type { Run } from './run.ts'

export interface MountedPlace {
  readonly dir: string
  /** Makes it writable if it is not. */
  makeWritable(): Promise<void>
  /** Puts everything back as it was. */
  close(): Promise<void>
}

export type MountOptions = {
  readonly device: string
  readonly label: string
  readonly type: string
  readonly write: boolean
  readonly run: Run
}

/** Mounts `device` unless it is mounted already. Errors: `unsupported` (not root), `command-failed`. */
export async function mountPlace({ device, label, type, write, run }: MountOptions, again = true): Promise<MountedPlace> {
  const number = await deviceNumber(device)
  await dropLeftovers(run)
  const there = await mountOf(number)
  if (there !== undefined && !isOfPsyblob(there.dir)) return borrowed(there, write, run)
  if (process.geteuid?.() !== 0)
    throw new PsyblobError('unsupported', `mounting ${visible(label)} needs root`, { hint: 'run it as root, or use folders as slots' })
  const dir = await ownFolder()
  let writable = write
  try {
    // another psyblob looks at it too: a mount of our own, which stays when the other one goes
    if (there !== undefined && (await bound(there, number, dir, run))) writable = false
    else await run(['mount', '-t', type, '-o', `${write ? 'rw' : 'ro'},nodev,nosuid,noexec`, device, dir])
    if (write && !writable) {
      await run(['mount', '-o', 'remount,rw', dir])
      writable = true
    }
  } catch (error) {
    if ((await mounts()).some((mount) => mount.dir === dir)) await run(['umount', dir])
    await rmdir(dir)
    // it came between our look and our mount
    if (again && (await mountOf(number)) !== undefined) return mountPlace({ device, label, type, write, run }, false)
    if (!isPsyblobError(error, 'command-failed')) throw error
    throw new PsyblobError('command-failed', `cannot mount ${visible(label)}: ${error.message}`, {
      cause: error,
      hint: `is there a file system of type ${type} on it? mkfs.${type} makes one`,
    })
  }
  return {
    dir,
    async makeWritable() {
      if (!writable) await run(['mount', '-o', 'remount,rw', dir])
      writable = true
    },
    close: () => unmount(run, dir),
  }
}

async function mountOf(device: string | undefined): Promise<Mount | undefined> {
  const all = (await mounts()).filter((mount) => mount.device === device)
  return all.find((mount) => !isOfPsyblob(mount.dir)) ?? all[0]
}

/** Mounts the same file system at `dir` as well. False when it went away meanwhile. */
async function bound(there: Mount, device: string | undefined, dir: string, run: Run): Promise<boolean> {
  const { code } = await run(['mount', '--bind', there.dir, dir], { allow: [1, 32] })
  if (code !== 0) return false
  if ((await mounts()).some((mount) => mount.dir === dir && mount.device === device)) return true
  await run(['umount', dir], { allow: [32] })
  return false
}

/** Somebody else's mount: used as it is, made writable only for a while. */
async function borrowed(mount: Mount, write: boolean, run: Run): Promise<MountedPlace> {
  let changed = false
  const makeWritable = async () => {
    if (mount.writable || changed) return
    await run(['mount', '-o', 'remount,rw', mount.dir])
    changed = true
  }
  if (write) await makeWritable()
  return {
    dir: mount.dir,
    makeWritable,
    async close() {
      if (changed) await run(['mount', '-o', 'remount,ro', mount.dir])
      changed = false
    },
  }
}

/** Somebody may look at the files at this very moment: a few more tries, then it is let go of as soon as they are done. */
async function unmount(run: Run, dir: string): Promise<void> {
  for (let tries = 0; tries < 5; tries++) {
    const { code } = await run(['umount', dir], { allow: [32] })
    if (code === 0) return rmdir(dir)
    await new Promise((done) => setTimeout(done, 100))
  }
  await run(['umount', '-l', dir])
  await rmdir(dir)
}
