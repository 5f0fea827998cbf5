// A FAT file system inside an image, filled without mounting it; equal contents give equal bytes.
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { BuildContext } from './builder.ts'

export const fatPrograms: readonly string[] = ['mkfs.vfat', 'mmd', 'mcopy']

export type FatOptions = {
  readonly image: string
  /** Bytes from the start of the image. */
  readonly offset: number
  readonly size: number
  readonly label: string
  /** Eight hexadecimal digits. */
  readonly id: string
  readonly from: string
  /** True for a partition whose files are changed in place: 32 bits, as EFI partitions are, and one sector a cluster. False: whatever fits. */
  readonly isPartition: boolean
}

/** FAT knows no time before this: 1980-01-01, seconds since 1970. */
const firstTime = 315_532_800

export async function makeFat(options: FatOptions, { run, epoch, signal }: BuildContext): Promise<void> {
  const { image, offset, size, label, id, from, isPartition } = options
  const env = { SOURCE_DATE_EPOCH: String(Math.max(firstTime, epoch)), TZ: 'UTC' }
  // one sector a cluster: the state files are found by their clusters, and the loader by its folder's sectors
  const kind = isPartition ? ['-F', '32', '-s', '1'] : []
  const words = [...kind, '--invariant', '-i', id, '-n', label, '--offset', String(offset / 512)]
  await run(['mkfs.vfat', ...words, image, String(size / 1024)], { env, signal })
  const drive = `${image}@@${offset}`
  const visit = async (folder: string, prefix: string): Promise<void> => {
    for (const name of (await readdir(folder)).sort()) {
      const source = join(folder, name)
      const path = `::${prefix}/${name}`
      if ((await stat(source)).isDirectory()) {
        await run(['mmd', '-D', 's', '-i', drive, path], { env, signal })
        await visit(source, `${prefix}/${name}`)
      } else await run(['mcopy', '-i', drive, source, path], { env, signal })
    }
  }
  await visit(from, '')
}
