// Loop devices: a partition inside an image file as a block device.
import { realpath } from 'node:fs/promises'
import { PsyblobError, visible } from '../core/mod.ts'
import { dropLeftovers, noteLoop } from './leftovers.ts'
import { detachLoop, loopsOf } from './loop-list.ts'
import { deviceNumber, mounts } from './mount-list.ts'
import type { Run } from './run.ts'

export type LoopOptions = {
  readonly image: string
  readonly number: number
  readonly offset: number
  readonly size: number
  readonly run: Run
}

/** A block device that shows a partition of an image. */
export type Loop = {
  readonly device: string
  /** To be called when it is mounted: from then on the kernel drops a device that was made here when it is unmounted, even if we die. */
  letGo(): Promise<void>
}

/**
 * A loop device for a part of `image`: one that shows it already, or a new one. Never a second one for the same bytes: two file
 * systems mounted over them would not know of each other.
 */
export async function attachLoop({ image, number, offset, size, run }: LoopOptions): Promise<Loop> {
  if (process.geteuid?.() !== 0)
    throw new PsyblobError('unsupported', `reading the partitions of ${visible(image)} needs root`, {
      hint: 'run it as root, or use folders as slots',
    })
  // before anything is looked for: an abandoned mount takes its loop device along when it goes
  await dropLeftovers(run)
  const path = await realpath(image)
  for (const loop of await loopsOf(path, run)) {
    const theirs = (device: string): Loop => ({ device, letGo: async () => undefined })
    // a whole image that was attached by hand has devices for its partitions
    if (loop.offset === 0 && (await deviceNumber(`${loop.name}p${number}`)) !== undefined) return theirs(`${loop.name}p${number}`)
    if (loop.offset !== offset || (loop.sizeLimit !== 0 && loop.sizeLimit < size)) continue
    const own = await deviceNumber(loop.name)
    if (!loop.isReadOnly || (await mounts()).some((mount) => mount.device === own)) return theirs(loop.name)
  }
  const done = await noteLoop(path, offset)
  try {
    const made = await run(['losetup', '--find', '--show', '--offset', String(offset), '--sizelimit', String(size), path])
    const device = made.stdout.toString('utf8').trim()
    return { device, letGo: () => detachLoop(device, run).finally(done) }
  } catch (error) {
    await done()
    throw error
  }
}
