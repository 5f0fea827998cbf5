// A blob that is here already, copied to where an unfinished file lies.
import { constants, copyFile, open, rm } from 'node:fs/promises'
import { translated } from './files.ts'

/**
 * Copies a file that holds the blob already, sharing its bytes where the file system can (btrfs, xfs). What it was when it was planned it may
 * not be any more: reading back tells.
 */
export async function copyBlob(from: string, to: string): Promise<void> {
  try {
    await rm(to, { force: true })
    await copyFile(from, to, constants.COPYFILE_FICLONE)
    const file = await open(to, 'r+')
    await file.sync().finally(() => file.close())
  } catch (error) {
    throw translated(error, `writing ${to}`)
  }
}
