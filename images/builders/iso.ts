// `build iso`: a release as an ISO image that UEFI firmware boots from a CD or a stick (spec/disk.md 6).
import { cp, mkdir, open, readdir, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import type { Component } from '../../core/mod.ts'
import { putFileInPlace } from './aside.ts'
import type { Artifact, BuildContext } from './builder.ts'
import { mebibyte, uuidOf } from './disk-layout.ts'
import { fatPrograms, makeFat } from './fat.ts'
import { type LaidOut, layOutEfisys, layOutOs, type SourceOptions } from './signed-release.ts'

export const isoPrograms: readonly string[] = ['xorriso', ...fatPrograms]

/** What GRUB looks for where there are no slots, and what the kernel is told. */
const volume = 'PSYOPSOSISO'

export type IsoOptions = {
  readonly out: string
  readonly os: Component
  readonly efisys: Component
  readonly source: SourceOptions
  readonly version: string | undefined
}

export type BuiltIso = {
  readonly artifact: Artifact
  readonly os: LaidOut
  readonly efisys: LaidOut
  /** Of the file system, as blkid and GRUB give it. */
  readonly uuid: string
}

/** Errors: those of fetching, `usage` (no boot loader), `command-failed`. */
export async function buildIso({ out, source, version, ...products }: IsoOptions, context: BuildContext): Promise<BuiltIso> {
  const { run, report, work, epoch, signal } = context
  const os = await layOutOs(products.os, { dir: join(work, 'os'), options: source, version })
  const efisys = await layOutEfisys(products.efisys, { dir: join(work, 'efisys'), options: source, version: undefined })
  const guid = uuidOf(`psyblob iso/1\n${os.sha256}\n${efisys.sha256}\n`)
  const boot = join(work, 'efi.img')
  // as small as it can be: firmware is told its size in 16 bits
  const size = Math.ceil((efisys.size * 1.05) / mebibyte + 1) * mebibyte
  const file = await open(boot, 'wx')
  await file.truncate(size).finally(() => file.close())
  const id = guid.slice(0, 8)
  await makeFat({ image: boot, offset: 0, size, label: 'PSYOPSOSEFI', id, from: efisys.dir, isPartition: false }, context)
  // the time of folders is that of what was laid out just now
  const tree = join(work, 'tree')
  await mkdir(tree)
  await cp(os.dir, tree, { recursive: true })
  await settleTimes(tree, epoch)
  report({ type: 'step', step: 'ISO image' })
  const image = join(work, 'image.iso')
  // the kernel is told the slot by this time, which is all the UUID that ISO 9660 has: that of the release, and a hundredth that is its own
  const made = isoDate(Date.parse(os.manifest.created) / 1000, Number.parseInt(guid.slice(-2), 16) % 100)
  await run(
    [
      'xorriso',
      ...['-no_rc', '-report_about', 'WARNING', '-abort_on', 'FAILURE', '-as', 'mkisofs', '-quiet', '-o', image],
      ...['-V', volume, '-r', '-J', '-joliet-long', `--modification-date=${made}`, '--set_all_file_dates', isoDate(epoch, 0)],
      ...['-uid', '0', '-gid', '0', '--gpt_disk_guid', guid],
      ...['-partition_offset', '16', '-append_partition', '2', '0xef', boot, '-appended_part_as_gpt'],
      ...['--boot-catalog-hide', '-e', '--interval:appended_partition_2:all::', '-no-emul-boot', '-isohybrid-gpt-basdat'],
      tree,
      // the time of an inode's last change is in the image too, and nothing else sets it
      ...['--', '-alter_date_r', 'c', `=${epoch}`, '/', '--'],
    ],
    { env: { SOURCE_DATE_EPOCH: String(epoch), TZ: 'UTC' }, signal },
  )
  await putFileInPlace(image, out)
  const uuid = made.replace(/^(\d{4})(..)(..)(..)(..)(..)(..)$/, '$1-$2-$3-$4-$5-$6-$7')
  return { artifact: { name: 'iso', path: out, size: (await stat(out)).size }, os, efisys, uuid }
}

async function settleTimes(dir: string, epoch: number): Promise<void> {
  for (const name of (await readdir(dir, { recursive: true })).sort().reverse()) await utimes(join(dir, name), epoch, epoch)
  await utimes(dir, epoch, epoch)
}

/** YYYYMMDDhhmmsscc (ECMA-119, 8.4.26.1). */
function isoDate(seconds: number, hundredths: number): string {
  const text = new Date(seconds * 1000).toISOString().replace(/[-:T]/g, '').slice(0, 14)
  return `${text}${String(hundredths).padStart(2, '0')}`
}
