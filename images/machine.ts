// The machine a product is installed on: two slots and a boot loader, of this system, of a disk image, or made of folders.
import { open, readFile, realpath, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { type Place, PsyblobError, type Report, type SlotsTarget, visible } from '../core/mod.ts'
import { hasCode, translated } from '../store/mod.ts'
import type { Bootloader } from './bootloader.ts'
import { grub } from './bootloaders/grub.ts'
import { fatStateFiles } from './esp/fat.ts'
import { folderStateFiles } from './esp/folder.ts'
import type { StateFiles } from './esp/state-files.ts'
import { type Partition, readPartitions } from './gpt.ts'
import { deviceNumber, type MountedPlace, mountPlace, mounts } from './mounts.ts'
import { deviceOf, fileSystemLabel } from './places.ts'
import type { Run } from './run.ts'
import type { Slot, SlotName } from './slot.ts'
import { type DeviceSlot, deviceSlot } from './slots/device.ts'
import { folderSlot } from './slots/folder.ts'

export interface Machine {
  readonly slots: Readonly<Record<SlotName, Slot>>
  readonly bootloader: Bootloader
  /** The slot this system runs from, or that counts as such; undefined when none does. */
  readonly booted: SlotName | undefined
  /** The same text for everybody who means the same slots: what is locked. */
  readonly identity: string
  /** Puts everything back as it was. */
  close(): Promise<void>
}

export type MachineOptions = {
  /** An image file or a whole disk that stands for slots and EFI partition alike. */
  readonly disk: string | undefined
  /** Says which slot counts as booted. */
  readonly booted: SlotName | undefined
  readonly run: Run
  readonly report: Report
  readonly signal?: AbortSignal | undefined
  /** The kernel's command line. Default: that of this system. */
  readonly cmdline?: string
}

const labels = { a: 'psyopsOS-A', b: 'psyopsOS-B', esp: 'PSYOPSOSEFI' } as const

/** Finds everything, mounts nothing yet. Errors: `not-found`, `unsupported`, `usage`. */
export async function openMachine(target: SlotsTarget, options: MachineOptions): Promise<Machine> {
  return options.disk === undefined ? openPlaces(target, options) : openDisk(options.disk, options)
}

async function openPlaces(target: SlotsTarget, { booted, run, cmdline }: MachineOptions): Promise<Machine> {
  const places = { a: target.a ?? { label: labels.a }, b: target.b ?? { label: labels.b } }
  const make = (name: SlotName) => {
    const place = places[name]
    return 'dir' in place
      ? folderSlot(name, place.dir)
      : deviceSlot({ name, label: placeText(place), place: { device: () => deviceOf(place, run) }, run })
  }
  const slots = { a: make('a'), b: make('b') }
  const esp = lazyStateFiles(target.esp ?? { label: labels.esp }, run)
  const identities = await Promise.all([places.a, places.b].map(identityOf))
  if (identities[0] === identities[1])
    throw new PsyblobError('usage', `slots a and b are the same place: ${visible(placeText(places.a))}`, {
      hint: 'name two different ones',
    })
  return {
    slots,
    bootloader: grub(esp.files),
    booted: booted ?? bootedSlot(cmdline ?? (await readFile('/proc/cmdline', 'utf8').catch(() => '')), places),
    identity: `slots:${identities.join('|')}`,
    close: async () => {
      await closeAll([slots.a, slots.b])
      await esp.close()
    },
  }
}

function placeText(place: Place): string {
  if ('dir' in place) return resolve(place.dir)
  return 'device' in place ? place.device : place.label
}

async function identityOf(place: Place): Promise<string> {
  if ('label' in place) return `label:${place.label}`
  const path = resolve('dir' in place ? place.dir : place.device)
  return realpath(path).catch(() => path)
}

/** The slot that `psyopsos=LABEL` on the kernel's command line names. */
function bootedSlot(cmdline: string, places: Readonly<Record<SlotName, Place>>): SlotName | undefined {
  const label = /(?:^|\s)psyopsos=(\S+)/.exec(cmdline)?.[1]
  if (label === undefined) return undefined
  const named = (name: SlotName) => {
    const place = places[name]
    return 'label' in place ? place.label === label : label === labels[name]
  }
  return named('a') ? 'a' : named('b') ? 'b' : undefined
}

async function closeAll(slots: readonly (Slot | DeviceSlot)[]): Promise<void> {
  for (const slot of slots) if ('close' in slot) await slot.close()
}

/** The state files of an EFI partition that is looked for when it is first needed. */
function lazyStateFiles(place: Place, run: Run): { readonly files: StateFiles; close(): Promise<void> } {
  if ('dir' in place) return { files: folderStateFiles(resolve(place.dir)), close: async () => undefined }
  let mounted: MountedPlace | undefined
  let opened: Promise<StateFiles> | undefined
  const find = async (): Promise<StateFiles> => {
    const device = await deviceOf(place, run)
    const number = await deviceNumber(device)
    const isMounted = (await mounts()).some((mount) => mount.device === number)
    if (!isMounted) return fatStateFiles({ path: device, offset: 0, label: placeText(place), run })
    // through the mounted file system, for two writers of one FAT would not know of each other
    mounted = await mountPlace({ device, label: placeText(place), type: 'vfat', write: false, run })
    return folderStateFiles(mounted.dir)
  }
  const files = () => (opened ??= find())
  const writing = async () => {
    const found = await files()
    await mounted?.makeWritable()
    return found
  }
  return {
    files: {
      label: placeText(place),
      read: async (name) => (await files()).read(name),
      create: async (name, bytes) => (await writing()).create(name, bytes),
      writeSector: async (name, bytes) => (await writing()).writeSector(name, bytes),
    },
    close: async () => mounted?.close(),
  }
}

async function openDisk(disk: string, { booted, run }: MachineOptions): Promise<Machine> {
  const path = await realpath(disk).catch((error: unknown) => {
    if (hasCode(error, 'ENOENT', 'ENOTDIR'))
      throw new PsyblobError('not-found', `no disk or image ${visible(disk)}`, { hint: 'name an image file or a disk such as /dev/sdb' })
    throw translated(error, `opening ${disk}`)
  })
  const partitions = await readDisk(path)
  const find = async (label: string): Promise<Partition> => {
    const named = partitions.filter((partition) => partition.name === label)
    const candidates = named.length > 0 ? named : await labelled(path, partitions, label)
    const [found] = candidates
    if (found === undefined) {
      throw new PsyblobError('not-found', `${visible(disk)} has no partition ${label}`, {
        hint: `it has: ${partitions.map((partition) => visible(partition.name) || '(no name)').join(', ')}`,
      })
    }
    if (candidates.length > 1)
      throw new PsyblobError('usage', `${visible(disk)} has ${candidates.length} partitions called ${label}`, {
        hint: 'give each partition a label of its own',
      })
    return found
  }
  const make = async (name: SlotName): Promise<DeviceSlot> => {
    const { number, offset, size } = await find(labels[name])
    return deviceSlot({
      name,
      label: `${disk} partition ${number} (${labels[name]})`,
      place: await partitionPlace(path, { number, offset, size }),
      run,
    })
  }
  const slots = { a: await make('a'), b: await make('b') }
  const esp = await find(labels.esp)
  return {
    slots,
    bootloader: grub(fatStateFiles({ path, offset: esp.offset, label: `${disk} partition ${esp.number} (${labels.esp})`, run })),
    booted,
    identity: `disk:${path}`,
    close: () => closeAll([slots.a, slots.b]),
  }
}

async function readDisk(path: string): Promise<readonly Partition[]> {
  const file = await open(path, 'r').catch((error: unknown) => {
    throw translated(error, `opening ${path}`)
  })
  try {
    return await readPartitions(file, path)
  } catch (error) {
    throw translated(error, `reading ${path}`)
  } finally {
    await file.close()
  }
}

async function labelled(path: string, partitions: readonly Partition[], label: string): Promise<readonly Partition[]> {
  const found: Partition[] = []
  for (const partition of partitions) if ((await fileSystemLabel(path, partition.offset)) === label) found.push(partition)
  return found
}

/** A partition of a real disk has a device of its own, which may be mounted; one in an image gets a loop device. */
async function partitionPlace(disk: string, { number, offset, size }: Pick<Partition, 'number' | 'offset' | 'size'>) {
  if ((await stat(disk)).isBlockDevice()) {
    const device = `${disk}${/\d$/.test(disk) ? 'p' : ''}${number}`
    if ((await deviceNumber(device)) !== undefined) return { device: async () => device }
  }
  return { image: disk, offset, size }
}
