// From what a composition says to a device: labels of file systems and of partitions.
import { open, readlink, realpath, stat } from 'node:fs/promises'
import { type Place, PsyblobError, visible } from '../core/mod.ts'
import { hasCode, readFull, translated } from '../store/mod.ts'
import { partitionsOf, readBootRecord } from './boot-record.ts'
import type { Run } from './run.ts'

/** The partition with that label on the disk this system was started from: another disk may carry the same labels. */
async function onBootDisk(label: string): Promise<string | undefined> {
  const record = await readBootRecord()
  if (record === undefined) return undefined
  const partitions = await partitionsOf(record.disk)
  const named = partitions.find(({ name }) => name === label)
  if (named !== undefined) return named.device
  for (const { device } of partitions) if ((await fileSystemLabel(device, 0).catch(() => undefined)) === label) return device
  return undefined
}

/** The device with that label of its file system or its partition. Throws `not-found`. */
async function deviceWithLabel(label: string, run: Run): Promise<string> {
  const own = await onBootDisk(label)
  if (own !== undefined) return own
  for (const folder of ['by-label', 'by-partlabel']) {
    const path = `/dev/disk/${folder}/${encodeLabel(label)}`
    if ((await readlink(path).catch(() => undefined)) !== undefined) return realpath(path)
  }
  // no udev: ask the devices themselves
  for (const argv of [
    ['blkid', '-L', label],
    ['blkid', '-t', `PARTLABEL=${label}`, '-o', 'device'],
  ] as const) {
    const { code, stdout } = await run([...argv], { allow: [2] })
    const device = stdout.toString('utf8').trim().split('\n')[0]
    if (code === 0 && device !== undefined && device !== '') return device
  }
  throw new PsyblobError('not-found', `no partition is labelled ${visible(label)}`, {
    hint: 'is the disk attached? Name folders or devices with --slot-a, --slot-b and --esp, or an image with --disk',
  })
}

/** As udev writes labels in /dev/disk: anything unusual as \xNN. */
function encodeLabel(label: string): string {
  return label.replace(/[^\w#+.:=@-]/g, (character) =>
    Buffer.from(character).reduce((text, byte) => `${text}\\x${byte.toString(16).padStart(2, '0')}`, ''),
  )
}

/** The block device of a place that is no folder. */
export async function deviceOf(place: Exclude<Place, { readonly dir: string }>, run: Run): Promise<string> {
  if ('label' in place) return deviceWithLabel(place.label, run)
  const state = await stat(place.device).catch((error: unknown) => {
    if (hasCode(error, 'ENOENT', 'ENOTDIR'))
      throw new PsyblobError('not-found', `no device ${visible(place.device)}`, { hint: 'is the disk attached? lsblk lists what there is' })
    throw translated(error, `opening ${place.device}`)
  })
  if (!state.isBlockDevice())
    throw new PsyblobError('usage', `${visible(place.device)} is no block device`, {
      hint: 'name a device such as /dev/sda3, a folder, or an image file with --disk',
    })
  return realpath(place.device)
}

/** The label of the ext4 or FAT file system that begins at `offset`; undefined for any other. */
export async function fileSystemLabel(path: string, offset: number): Promise<string | undefined> {
  const file = await open(path, 'r')
  try {
    const bytes = Buffer.alloc(2048)
    await readFull(file, bytes, offset)
    const text = (from: number, length: number) => bytes.toString('latin1', from, from + length).replace(/[\0 ]+$/, '')
    if (bytes.readUInt16LE(1024 + 0x38) === 0xef53) return text(1024 + 0x78, 16)
    if (bytes.readUInt16LE(510) !== 0xaa55) return undefined
    if (text(82, 5) === 'FAT32') return text(71, 11)
    return text(54, 3) === 'FAT' ? text(43, 11) : undefined
  } finally {
    await file.close()
  }
}
