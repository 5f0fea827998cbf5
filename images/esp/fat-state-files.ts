// The boot state on an EFI partition that nobody has mounted, on a device or inside an image. No vfat in the kernel needed.
import { PsyblobError, visible } from '../../core/mod.ts'
import { sectorBytes } from '../environment-block.ts'
import { findFile, readFile, writeFile } from './fat-files.ts'
import { type FatPlace, FatVolume } from './fat-volume.ts'
import type { StateFiles } from './state-files.ts'

export function fatStateFiles(place: FatPlace): StateFiles {
  return {
    label: place.label,
    read: (name) => FatVolume.use(place, 'read', (volume) => readFile(volume, name, { fresh: false, limit: 64 * 1024 })),
    create: (name, bytes) => FatVolume.use(place, 'write', (volume) => writeFile(volume, name, bytes)),
    writeSector: (name, bytes) =>
      FatVolume.use(place, 'write', async (volume) => {
        const entry = (await findFile(volume, name))?.entry
        const [first] = entry === undefined ? [] : volume.chain(entry.cluster)
        if (entry === undefined || first === undefined || entry.size < sectorBytes)
          throw new PsyblobError('corrupt', `cannot find where ${visible(name)} lies on ${visible(place.label)}`, {
            hint: 'check the EFI partition with fsck.vfat; nothing was written',
          })
        await volume.write(volume.placeOf(first), bytes.subarray(0, sectorBytes))
        await volume.flush()
      }),
  }
}
