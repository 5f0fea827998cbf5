// The machine a product is installed on: two slots and a boot loader, of this system, of a disk image, or made of folders.
import { open, readFile, realpath, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { isPsyblobError, type Place, PsyblobError, type Report, type SlotsTarget, visible } from '../core/mod.ts'
import { hasCode, translated } from '../store/mod.ts'
import { readBootRecord } from './boot-record.ts'
import type { Bootloader } from './bootloader.ts'
import { grub } from './bootloaders/grub.ts'
import { fatStateFiles } from './esp/fat-state-files.ts'
import { folderStateFiles } from './esp/folder-state-files.ts'
import type { StateFiles } from './esp/state-files.ts'
import { type Partition, readPartitions } from './gpt.ts'
import { deviceNumber, mounts } from './mount-list.ts'
import { type MountedPlace, mountPlace } from './mounts.ts'
import { deviceOf, fileSystemLabel } from './places.ts'
import type { Run } from './run.ts'
import { type Slot, type SlotName, slotNames } from './slot.ts'
import { type DevicePlace, type DeviceSlot, deviceSlot } from './slots/device.ts'
import { folderSlot } from './slots/folder.ts'

export interface Machine {
  readonly slots: Readonly<Record<SlotName, Slot>>
  readonly bootloader: Bootloader
  /** The slot this system runs from, or that counts as such; undefined when none does. */
  readonly booted: SlotName | undefined
  /** What is locked, one text a slot, sorted: the same for everybody who means that slot, by whatever name. */
  readonly identities: readonly string[]
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
  /** The folder of the local store, which no slot may contain. */
  readonly store: string
  /** The kernel's command line. Default: that of this system. */
  readonly cmdline?: string | undefined
  /** The file in which the initramfs says what it booted. Default: that of this system. */
  readonly record?: string | undefined
}

export const labels = { a: 'psyopsOS-A', b: 'psyopsOS-B', esp: 'PSYOPSOSEFI' } as const

/** Finds everything, mounts nothing yet. Errors: `not-found`, `unsupported`, `usage`. */
export async function openMachine(target: SlotsTarget, options: MachineOptions): Promise<Machine> {
  return options.disk === undefined ? openPlaces(target, options) : openDisk(options.disk, options)
}

async function openPlaces(target: SlotsTarget, { booted, run, cmdline, record, report, store }: MachineOptions): Promise<Machine> {
  const places = { a: target.a ?? { label: labels.a }, b: target.b ?? { label: labels.b } }
  const make = (name: SlotName) => {
    const place = places[name]
    return 'dir' in place
      ? folderSlot(name, place.dir, run)
      : deviceSlot({ name, label: placeText(place), place: { device: () => deviceOf(place, run) }, run })
  }
  const slots = { a: make('a'), b: make('b') }
  const esp = lazyStateFiles(target.esp ?? { label: labels.esp }, run)
  const identities = await Promise.all([places.a, places.b].map((place) => identityOf(place, run)))
  await refuseNested([
    ...Object.entries({ a: places.a, b: places.b, esp: target.esp }).flatMap(([name, place]) =>
      place !== undefined && 'dir' in place ? [{ name, dir: place.dir }] : [],
    ),
    { name: 'store', dir: store },
  ])
  if (identities[0] === identities[1])
    throw new PsyblobError('usage', `slots a and b are the same place: ${visible(placeText(places.a))}`, {
      hint: 'name two different ones',
    })
  return {
    slots,
    bootloader: grub(esp.files),
    booted: booted ?? (await bootedPlace(places, identities, { cmdline, record })),
    identities: identities.toSorted(),
    close: () => closeAll([slots.a, slots.b, esp], report),
  }
}

export function placeText(place: Place): string {
  if ('dir' in place) return resolve(place.dir)
  return 'device' in place ? place.device : place.label
}

/** Two names of one thing give one text: a device by its number, a folder that is there by its inode. */
export async function identityOf(place: Place, run: Run): Promise<string> {
  if ('dir' in place) {
    const path = resolve(place.dir)
    const state = await stat(path).catch(() => undefined)
    return state === undefined ? `path:${await settled(path)}` : `inode:${state.dev}:${state.ino}`
  }
  try {
    return `device:${await deviceNumber(await deviceOf(place, run))}`
  } catch (error) {
    // what is not there cannot be written either
    if (!isPsyblobError(error)) throw error
    return `place:${placeText(place)}`
  }
}

/** What is no part of a release is removed from a slot: nothing that is needed may lie in one. Throws `usage`. */
async function refuseNested(folders: readonly { readonly name: string; readonly dir: string }[]): Promise<void> {
  const settledFolders = await Promise.all(folders.map(async ({ name, dir }) => ({ name, dir: await settled(resolve(dir)) })))
  for (const slot of settledFolders.filter(({ name }) => name === 'a' || name === 'b')) {
    const inner = settledFolders.find((other) => other !== slot && other.dir.startsWith(slot.dir === '/' ? '/' : `${slot.dir}/`))
    if (inner === undefined) continue
    const what = inner.name === 'esp' ? 'the EFI folder' : inner.name === 'store' ? 'the store' : `slot ${inner.name}`
    throw new PsyblobError('usage', `${what}, ${visible(inner.dir)}, lies inside slot ${slot.name}, ${visible(slot.dir)}`, {
      hint: 'everything in a slot is replaced by an update: name folders that lie beside each other',
    })
  }
}

/** The path with the links in the part of it that is there resolved. */
async function settled(path: string): Promise<string> {
  const parent = dirname(path)
  return realpath(path).catch(async () => (parent === path ? path : join(await settled(parent), basename(path))))
}

/** The slot this system runs from: the one on the device that the initramfs has mounted, else what the kernel was told. */
async function bootedPlace(
  places: Readonly<Record<SlotName, Place>>,
  identities: readonly string[],
  { cmdline, record }: Pick<MachineOptions, 'cmdline' | 'record'>,
): Promise<SlotName | undefined> {
  const booted = await readBootRecord(record)
  const number = booted === undefined ? undefined : await deviceNumber(booted.slot)
  // devices can be compared: slots on another disk with the same labels are not what runs here
  if (number !== undefined && slotNames.every((name) => !('dir' in places[name])))
    return slotNames.find((_, at) => identities[at] === `device:${number}`)
  return bootedSlot(cmdline ?? (await readFile('/proc/cmdline', 'utf8').catch(() => '')), places)
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

/** Closes every one, whatever becomes of the others. The work is done by then: what cannot be put back is told, and fails nothing. */
async function closeAll(things: readonly (Slot | DeviceSlot | Closable)[], report: Report): Promise<void> {
  const bugs: unknown[] = []
  for (const thing of things) {
    if (!('close' in thing)) continue
    try {
      await thing.close()
    } catch (error) {
      if (isPsyblobError(error)) report({ type: 'warning', text: `not put back as it was: ${error.message}` })
      else bugs.push(error)
    }
  }
  if (bugs.length > 0) throw bugs[0]
}

type Closable = { close(): Promise<void> }

/** The state files of an EFI partition that is looked for when it is first needed. */
export function lazyStateFiles(place: Place, run: Run): Closable & { readonly files: StateFiles } {
  if ('dir' in place) return { files: folderStateFiles(resolve(place.dir)), close: async () => undefined }
  let mounted: MountedPlace | undefined
  let opened: Promise<StateFiles> | undefined
  const find = async (): Promise<StateFiles> => {
    const device = await deviceOf(place, run)
    const number = await deviceNumber(device)
    const isMounted = (await mounts()).some((mount) => mount.device === number)
    if (!isMounted) return fatStateFiles({ path: device, offset: 0, label: placeText(place) })
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

/** The partitions of a disk or image, by name, else by the label of their file system. Errors: `not-found`, `usage`, `unsupported`. */
export async function openPartitions(
  disk: string,
): Promise<{ readonly path: string; readonly find: (label: string) => Promise<Partition> }> {
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
  return { path, find }
}

async function openDisk(disk: string, { booted, run, report, cmdline }: MachineOptions): Promise<Machine> {
  const { path, find } = await openPartitions(disk)
  const places = { a: await partitionPlace(path, await find(labels.a)), b: await partitionPlace(path, await find(labels.b)) }
  const make = (name: SlotName): DeviceSlot =>
    deviceSlot({ name, label: `${disk} partition ${places[name].number} (${labels[name]})`, place: places[name], run })
  const slots = { a: make('a'), b: make('b') }
  const esp = await partitionPlace(path, await find(labels.esp))
  // a partition of a real disk may be mounted: then through its file system, never behind its back
  const state =
    'device' in esp
      ? lazyStateFiles({ device: await esp.device() }, run)
      : {
          files: fatStateFiles({ path, offset: esp.offset, label: `${disk} partition ${esp.number} (${labels.esp})` }),
          close: async () => undefined,
        }
  return {
    slots,
    bootloader: grub(state.files),
    booted: booted ?? (await bootedPartition(places, { run, cmdline })),
    identities: (await Promise.all([places.a, places.b].map((place) => partitionIdentity(path, place)))).sort(),
    close: () => closeAll([slots.a, slots.b, state], report),
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

type PartitionPlace = { readonly number: number } & DevicePlace

/** A partition of a real disk has a device of its own, which may be mounted; one in an image gets a loop device. */
export async function partitionPlace(disk: string, { number, offset, size }: Partition): Promise<PartitionPlace> {
  if ((await stat(disk)).isBlockDevice()) {
    const device = `${disk}${/\d$/.test(disk) ? 'p' : ''}${number}`
    if ((await deviceNumber(device)) !== undefined) return { number, device: async () => device }
  }
  return { number, image: disk, offset, size }
}

export async function partitionIdentity(disk: string, place: PartitionPlace): Promise<string> {
  if ('device' in place) return `device:${await deviceNumber(await place.device())}`
  const { dev, ino } = await stat(disk)
  return `inode:${dev}:${ino}:${place.offset}`
}

/** The slot this system runs from, when the disk is a real one of this machine. In an image no slot is. */
async function bootedPartition(
  places: Readonly<Record<SlotName, PartitionPlace>>,
  { run, cmdline }: Pick<MachineOptions, 'run' | 'cmdline'>,
): Promise<SlotName | undefined> {
  const byLabel = { a: { label: labels.a }, b: { label: labels.b } }
  const name = bootedSlot(cmdline ?? (await readFile('/proc/cmdline', 'utf8').catch(() => '')), byLabel)
  const place = name === undefined ? undefined : places[name]
  if (name === undefined || place === undefined || !('device' in place)) return undefined
  const booted = await deviceOf(byLabel[name], run).catch((error: unknown) => {
    if (isPsyblobError(error)) return undefined
    throw error
  })
  // the same label on another disk of this machine: then this disk is not the one it runs from
  return booted !== undefined && (await deviceNumber(booted)) !== (await deviceNumber(await place.device())) ? undefined : name
}
