// Loop devices: a partition inside an image file as a block device.
import { realpath } from 'node:fs/promises'
import { PsyblobError, visible } from '../core/mod.ts'
import { dropAbandoned } from './mounts.ts'
import type { Run } from './run.ts'

type Listed = { readonly name: string; readonly offset: number; readonly 'back-file': string }

export type LoopOptions = { readonly image: string; readonly offset: number; readonly size: number; readonly run: Run }

/** A loop device for a part of `image`: one that shows exactly it already, or a new one. */
export async function attachLoop({ image, offset, size, run }: LoopOptions): Promise<string> {
  if (process.geteuid?.() !== 0)
    throw new PsyblobError('unsupported', `reading the partitions of ${visible(image)} needs root`, {
      hint: 'run it as root, or use folders as slots',
    })
  // before anything is looked for: an abandoned mount takes its loop device along when it goes
  await dropAbandoned(run)
  const path = await realpath(image)
  const { stdout } = await run(['losetup', '--json', '--output', 'NAME,OFFSET,BACK-FILE', '-j', path])
  const listed = stdout.length === 0 ? [] : (JSON.parse(stdout.toString('utf8')) as { loopdevices: readonly Listed[] }).loopdevices
  const there = listed.find((loop) => Number(loop.offset) === offset && loop['back-file'] === path)
  if (there !== undefined) return there.name
  const made = await run(['losetup', '--find', '--show', '--offset', String(offset), '--sizelimit', String(size), path])
  return made.stdout.toString('utf8').trim()
}

/** Lets go of the device: at once when nothing is mounted from it, else when that is unmounted, even if this process dies before. */
export async function detachLoop(device: string, run: Run): Promise<void> {
  await run(['losetup', '--detach', device], { allow: [1] })
}
