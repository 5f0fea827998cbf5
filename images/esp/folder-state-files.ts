// The EFI partition as a folder: mounted somewhere, or a plain one for containers and tests.
import { open } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { PsyblobError } from '../../core/mod.ts'
import { flushFolder, hasCode, makeFolder, readFull, translated, writeAll } from '../../store/mod.ts'
import { blockBytes, sectorBytes } from '../environment-block.ts'
import type { StateFiles } from './state-files.ts'

export function folderStateFiles(dir: string): StateFiles {
  return {
    label: dir,
    read: (name) => readSome(join(dir, name)),
    async create(name, bytes) {
      const path = join(dir, name)
      try {
        await makeFolder(dirname(path))
        const file = await open(path, 'w', 0o644)
        try {
          await writeAll(file, bytes, 0)
          await file.sync()
        } finally {
          await file.close()
        }
        await flushFolder(dirname(path))
        await flushFolder(dir)
      } catch (error) {
        throw translated(error, `making the boot state ${path}`)
      }
    },
    // FAT has no atomic replace, so nothing here renames: one sector, written in place, is the unit that a power cut cannot split.
    async writeSector(name, bytes) {
      const path = join(dir, name)
      try {
        const file = await open(path, 'r+')
        try {
          const { bytesWritten } = await file.write(bytes, 0, sectorBytes, 0)
          if (bytesWritten !== sectorBytes)
            throw new PsyblobError('corrupt', `the boot state ${path} was written in part`, {
              hint: 'run the same command again; the other copy still holds',
            })
          await file.datasync()
        } finally {
          await file.close()
        }
      } catch (error) {
        throw translated(error, `writing the boot state ${path}`)
      }
    },
  }
}

/** Of a file that is too long only as much as it takes to know that: what FAT says after a power cut is told, never refused. */
async function readSome(path: string): Promise<Uint8Array | undefined> {
  try {
    const file = await open(path, 'r')
    try {
      const bytes = Buffer.alloc(blockBytes + 1)
      return bytes.subarray(0, await readFull(file, bytes, 0))
    } finally {
      await file.close()
    }
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return undefined
    throw translated(error, `reading ${path}`)
  }
}
