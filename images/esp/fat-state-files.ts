// The EFI partition unmounted, on a device or inside an image: mtools for the files, one pwrite for the sector. No vfat in the kernel needed.
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { PsyblobError, visible } from '../../core/mod.ts'
import { readFull, translated } from '../../store/mod.ts'
import { blockBytes, sectorBytes } from '../environment-block.ts'
import type { Run } from '../run.ts'
import type { StateFiles } from './state-files.ts'

export type FatOptions = {
  /** A block device or an image file. */
  readonly path: string
  /** Bytes from its start to the FAT file system. */
  readonly offset: number
  readonly label: string
  readonly run: Run
}

export function fatStateFiles({ path, offset, label, run }: FatOptions): StateFiles {
  const drive = `${path}@@${offset}`

  const read = async (name: string): Promise<Uint8Array | undefined> => {
    const { code, stdout, stderr } = await run(['mcopy', '-n', '-i', drive, `::/${name}`, '-'], { allow: [1] })
    if (code === 0) return stdout
    if (/not found|No such file|does not exist/i.test(stderr)) return undefined
    throw new PsyblobError(
      'command-failed',
      `reading ${name} on ${visible(label)}: ${visible(stderr.trim().split('\n').slice(-3).join('; '))}`,
      {
        hint: 'is there a FAT file system on it? mkfs.vfat makes one',
      },
    )
  }

  /** Byte offset of the file's first sector on the device (Microsoft FAT specification, 3 and 4). */
  const sectorOf = async (name: string): Promise<number> => {
    const { stdout } = await run(['mshowfat', '-i', drive, `::/${name}`])
    const cluster = Number(/<(\d+)/.exec(stdout.toString('latin1'))?.[1])
    const file = await open(path, 'r')
    try {
      const boot = Buffer.alloc(512)
      await readFull(file, boot, offset)
      const bytesPerSector = boot.readUInt16LE(11)
      const reserved = boot.readUInt16LE(14)
      const tables = boot.readUInt8(16) * (boot.readUInt16LE(22) || boot.readUInt32LE(36))
      const root = Math.ceil((boot.readUInt16LE(17) * 32) / bytesPerSector)
      const at = offset + (reserved + tables + root) * bytesPerSector + (cluster - 2) * boot.readUInt8(13) * bytesPerSector
      const found = Buffer.alloc(sectorBytes)
      // two ways to the same bytes: if they differ, this is not the sector, and nothing must be written
      if (Number.isSafeInteger(at) && at > offset) await readFull(file, found, at)
      const expected = await read(name)
      if (expected?.length !== blockBytes || Buffer.compare(found, expected.subarray(0, sectorBytes)) !== 0) {
        throw new PsyblobError('corrupt', `cannot find where ${name} lies on ${visible(label)}`, {
          hint: 'check the EFI partition with fsck.vfat; nothing was written',
        })
      }
      return at
    } finally {
      await file.close()
    }
  }

  return {
    label,
    read,
    async create(name, bytes) {
      const temporary = await mkdtemp(join(tmpdir(), 'psyblob-esp-'))
      try {
        const source = join(temporary, 'block')
        await writeFile(source, bytes)
        const folder = dirname(name)
        if (folder !== '.') await run(['mmd', '-D', 's', '-i', drive, `::/${folder}`], { allow: [1] })
        await run(['mcopy', '-o', '-i', drive, source, `::/${name}`])
        const file = await open(path, 'r+')
        await file.sync().finally(() => file.close())
      } finally {
        await rm(temporary, { recursive: true, force: true })
      }
    },
    async writeSector(name, bytes) {
      const at = await sectorOf(name)
      try {
        const file = await open(path, 'r+')
        try {
          const { bytesWritten } = await file.write(bytes, 0, sectorBytes, at)
          if (bytesWritten !== sectorBytes)
            throw new PsyblobError('corrupt', `the boot state ${name} was written in part`, {
              hint: 'run the same command again; the other copy still holds',
            })
          await file.datasync()
        } finally {
          await file.close()
        }
      } catch (error) {
        throw translated(error, `writing the boot state on ${label}`)
      }
    },
  }
}
