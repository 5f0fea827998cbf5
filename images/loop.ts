// Loop devices: a partition inside an image file as a block device.
import { realpath } from 'node:fs/promises'
import { PsyblobError, visible } from '../core/mod.ts'
import { deviceNumber, dropAbandoned, mounts } from './mounts.ts'
import type { Run } from './run.ts'

type Listed = {
  readonly name: string
  readonly offset: number | string
  readonly sizelimit: number | string
  readonly ro: boolean
  readonly 'back-file': string
  readonly 'back-maj:min': string
}

export type LoopOptions = {
  readonly image: string
  readonly number: number
  readonly offset: number
  readonly size: number
  readonly write: boolean
  readonly run: Run
}

/** A block device that shows a partition of an image. */
export type Loop = { readonly device: string /** Made here, so to be let go of here. */; readonly made: boolean }

async function listed(run: Run, of: readonly string[]): Promise<readonly Listed[]> {
  const { stdout } = await run(['losetup', '--json', '--output', 'NAME,OFFSET,SIZELIMIT,RO,BACK-FILE,BACK-MAJ:MIN', ...of])
  return stdout.length === 0 ? [] : (JSON.parse(stdout.toString('utf8')) as { loopdevices: readonly Listed[] }).loopdevices
}

/**
 * A loop device for a part of `image`: one that shows it already, or a new one. Never a second one for the same bytes: two file
 * systems mounted over them would not know of each other.
 */
export async function attachLoop({ image, number, offset, size, write, run }: LoopOptions): Promise<Loop> {
  if (process.geteuid?.() !== 0)
    throw new PsyblobError('unsupported', `reading the partitions of ${visible(image)} needs root`, {
      hint: 'run it as root, or use folders as slots',
    })
  // before anything is looked for: an abandoned mount takes its loop device along when it goes
  await dropAbandoned(run)
  const path = await realpath(image)
  const all = (await listed(run, ['-j', path])).filter((loop) => loop['back-file'] === path)
  for (const loop of all) {
    // a whole image that was attached by hand has devices for its partitions
    if (Number(loop.offset) === 0 && (await deviceNumber(`${loop.name}p${number}`)) !== undefined)
      return { device: `${loop.name}p${number}`, made: false }
    const limit = Number(loop.sizelimit)
    if (Number(loop.offset) !== offset || (limit !== 0 && limit < size)) continue
    const own = await deviceNumber(loop.name)
    const inUse = (await mounts()).some((mount) => mount.device === own)
    if (!loop.ro || !write || inUse) return { device: loop.name, made: false }
  }
  const made = await run(['losetup', '--find', '--show', '--offset', String(offset), '--sizelimit', String(size), path])
  return { device: made.stdout.toString('utf8').trim(), made: true }
}

/** A loop device that shows a file of the file system with that `major:minor`: somebody runs from it. */
export async function loopInside(device: string, run: Run): Promise<string | undefined> {
  return (await listed(run, [])).find((loop) => loop['back-maj:min'].trim() === device)?.name
}

/** Lets go of the device: at once when nothing is mounted from it, else when that is unmounted, even if this process dies before. */
export async function detachLoop(device: string, run: Run): Promise<void> {
  await run(['losetup', '--detach', device], { allow: [1] })
}
