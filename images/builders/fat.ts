// A FAT file system inside an image, filled without mounting it; equal contents give equal bytes.
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fatFiles } from '../esp/fat-files.ts'
import type { BuildContext } from './builder.ts'

export const fatPrograms: readonly string[] = ['mkfs.vfat']

export type FatOptions = {
  readonly image: string
  /** Bytes from the start of the image. */
  readonly offset: number
  readonly size: number
  readonly label: string
  /** Eight hexadecimal digits. */
  readonly id: string
  readonly from: string
  /** True for a partition of a disk: 32 bits, as EFI partitions are. False: whatever fits. */
  readonly isPartition: boolean
}

export async function makeFat(options: FatOptions, { run, signal }: BuildContext): Promise<void> {
  const { image, offset, size, label, id, from, isPartition } = options
  // firmware may read nothing else from a disk; so small a file system has as many clusters as 32 bits ask for only with one sector each
  const kind = isPartition ? ['-F', '32', '-s', '1'] : []
  const words = [...kind, '--invariant', '-i', id, '-n', label, '--offset', String(offset / 512)]
  await run(['mkfs.vfat', ...words, image, String(size / 1024)], { signal })
  const files = fatFiles({ path: image, offset, label: image })
  const visit = async (folder: string, prefix: string): Promise<void> => {
    for (const name of (await readdir(folder)).sort()) {
      signal?.throwIfAborted()
      const source = join(folder, name)
      if ((await stat(source)).isDirectory()) await visit(source, `${prefix}${name}/`)
      else await files.write(`${prefix}${name}`, await readFile(source))
    }
  }
  await visit(from, '')
}
