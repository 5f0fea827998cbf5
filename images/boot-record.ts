// What the initramfs says of the boot (spec/initramfs.md 11): which disk, which slot, which boot loader.
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readLimited } from '../store/mod.ts'

export type BootRecord = {
  /** Devices, e.g. `/dev/vda` and `/dev/vda3`. */
  readonly disk: string
  readonly slot: string
}

/** Undefined on a system that something else started. */
export async function readBootRecord(path = '/run/psyblob/boot'): Promise<BootRecord | undefined> {
  const bytes = await readLimited(path, 4096)
  const text = bytes === undefined ? '' : Buffer.from(bytes).toString('latin1')
  const device = (name: string) => new RegExp(`^${name}=(/dev/[\\w-]+)$`, 'm').exec(text)?.[1]
  const [disk, slot] = [device('disk'), device('slot')]
  return disk === undefined || slot === undefined ? undefined : { disk, slot }
}

export type DiskPartition = {
  /** e.g. `/dev/vda3`. */
  readonly device: string
  /** As the partition table has it; empty without one. */
  readonly name: string
}

/** The partitions of a disk, as the kernel lists them, in the order of their numbers. */
export async function partitionsOf(disk: string, sys = '/sys/class/block'): Promise<readonly DiskPartition[]> {
  const folder = join(sys, disk.slice('/dev/'.length))
  const found: (DiskPartition & { readonly number: number })[] = []
  for (const entry of await readdir(folder).catch(() => [])) {
    const lines = (await readFile(join(folder, entry, 'uevent'), 'utf8').catch(() => '')).split('\n')
    const value = (key: string) => lines.find((line) => line.startsWith(`${key}=`))?.slice(key.length + 1)
    if (value('DEVTYPE') !== 'partition') continue
    found.push({ device: `/dev/${entry}`, name: value('PARTNAME') ?? '', number: Number(value('PARTN')) })
  }
  return found.sort((one, two) => one.number - two.number)
}
