// The EFI partition of this machine, of a disk image, or a folder that stands for it.
import { stat, statfs } from 'node:fs/promises'
import { resolve } from 'node:path'
import { type EspTarget, PsyblobError, type Report, visible } from '../core/mod.ts'
import type { EfiFiles, LoaderSwitch } from './esp/efi-files.ts'
import { fatFiles } from './esp/fat-files.ts'
import { fatStateFiles } from './esp/fat-state-files.ts'
import { type FatPlace, FatVolume } from './esp/fat-volume.ts'
import { folderFiles } from './esp/folder-files.ts'
import { folderStateFiles } from './esp/folder-state-files.ts'
import type { StateFiles } from './esp/state-files.ts'
import { identityOf, labels, lazyStateFiles, openPartitions, partitionIdentity, partitionPlace, placeText } from './machine.ts'
import { deviceNumber, mounts } from './mount-list.ts'
import { mountPlace } from './mounts.ts'
import { deviceOf } from './places.ts'
import type { Run } from './run.ts'

export interface EfiPartition {
  /** For people. Not yet safe to print. */
  readonly label: string
  /** What is locked: the same for everybody who means this partition. */
  readonly identity: string
  readonly files: EfiFiles
  readonly state: StateFiles
  /** Undefined when somebody has it mounted: two writers of one FAT do not know of each other. */
  readonly loaders: LoaderSwitch | undefined
  /** To be called before the first byte is written. */
  makeWritable(): Promise<void>
  /** Puts everything back as it was. */
  close(): Promise<void>
}

export type EfiPartitionOptions = { readonly disk: string | undefined; readonly run: Run; readonly report: Report }

/** Errors: `not-found`, `unsupported` (no FAT), `usage`. */
export async function openEfiPartition(target: EspTarget, options: EfiPartitionOptions): Promise<EfiPartition> {
  const { disk, run } = options
  const place = target.esp ?? { label: labels.esp }
  if (disk !== undefined) return openOnDisk(disk, options)
  if ('dir' in place) return openFolder(resolve(place.dir), `${await identityOf(place, run)}`)
  return openDevice(await deviceOf(place, run), { label: placeText(place), run })
}

/** FAT as statfs(2) calls it. */
const fatMagic = 0x4d44

async function openFolder(dir: string, identity: string): Promise<EfiPartition> {
  const there = await stat(dir).catch(() => undefined)
  if (there === undefined) {
    throw new PsyblobError('not-found', `no EFI partition: no folder ${visible(dir)}`, {
      hint: 'name the folder where it is mounted, a device, or LABEL=PSYOPSOSEFI with --esp; or a disk with --disk',
    })
  }
  if (!there.isDirectory())
    throw new PsyblobError('usage', `${visible(dir)} is no folder`, {
      hint: 'name a folder, a device such as /dev/sda1, or an image of a whole disk with --disk',
    })
  const files = folderFiles(dir)
  const isFat = (await statfs(dir)).type === fatMagic
  return {
    label: dir,
    identity,
    files,
    state: folderStateFiles(dir),
    loaders: isFat ? undefined : files,
    makeWritable: async () => undefined,
    close: async () => undefined,
  }
}

async function openDevice(device: string, { label, run }: { readonly label: string; readonly run: Run }): Promise<EfiPartition> {
  const number = await deviceNumber(device)
  const identity = `device:${number}`
  if (!(await mounts()).some((mount) => mount.device === number)) return openFat({ path: device, offset: 0, label }, identity)
  const mounted = await mountPlace({ device, label, type: 'vfat', write: false, run })
  const state = lazyStateFiles({ device }, run)
  return {
    label,
    identity,
    files: folderFiles(mounted.dir),
    state: state.files,
    loaders: undefined,
    makeWritable: () => mounted.makeWritable(),
    close: async () => {
      await state.close().finally(() => mounted.close())
    },
  }
}

async function openOnDisk(disk: string, { run }: EfiPartitionOptions): Promise<EfiPartition> {
  const { path, find } = await openPartitions(disk)
  const place = await partitionPlace(path, await find(labels.esp))
  const label = `${disk} partition ${place.number} (${labels.esp})`
  if ('device' in place) return openDevice(await place.device(), { label, run })
  return openFat({ path, offset: place.offset, label }, await partitionIdentity(path, place))
}

async function openFat(place: FatPlace, identity: string): Promise<EfiPartition> {
  await FatVolume.use(place, 'read', async () => undefined)
  const files = fatFiles(place)
  return {
    label: place.label,
    identity,
    files,
    state: fatStateFiles(place),
    loaders: files,
    makeWritable: () => files.mend(),
    close: async () => undefined,
  }
}
