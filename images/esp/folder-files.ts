// The files of an EFI partition in a folder: a plain one, or one where a FAT file system is mounted.
import { readdir, readFile, rename, rm, rmdir, stat, statfs } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { PsyblobError, pathTwin, visible } from '../../core/mod.ts'
import { flushFolder, hasCode, makeFolder, translated, writeWhole } from '../../store/mod.ts'
import { type EfiFile, type EfiFiles, type LoaderSwitch, mostBytes, tooLong } from './efi-files.ts'

/** In a folder: a plain one, or one where a FAT file system is mounted. */
export function folderFiles(dir: string): EfiFiles & LoaderSwitch {
  /** The path as the names on the disk are written; the wanted one where nothing is called so. */
  const place = async (path: string): Promise<string> => {
    let found = dir
    for (const segment of path.split('/')) {
      const names = await readdir(found).catch(() => [])
      found = join(found, names.find((name) => name === segment) ?? names.find((name) => pathTwin(name) === pathTwin(segment)) ?? segment)
    }
    return found
  }
  /** The folders above that hold nothing any more. */
  const dropEmpty = async (file: string): Promise<void> => {
    for (let folder = dirname(file); folder.startsWith(`${dir}/`); folder = dirname(folder)) {
      const isGone = await rmdir(folder).then(
        () => true,
        () => false,
      )
      if (!isGone) break
    }
  }
  return {
    label: dir,
    async list() {
      const files: EfiFile[] = []
      const visit = async (folder: string): Promise<void> => {
        for (const entry of await readdir(join(dir, folder), { withFileTypes: true })) {
          const path = folder === '' ? entry.name : `${folder}/${entry.name}`
          if (entry.isDirectory()) await visit(path)
          else if (entry.isFile()) files.push({ path, size: (await stat(join(dir, path))).size })
        }
      }
      await visit('').catch((error: unknown) => {
        throw translated(error, `reading ${dir}`)
      })
      return files
    },
    async read(path, { limit = mostBytes } = {}) {
      const file = await place(path)
      const size = (await stat(file).catch(() => undefined))?.size ?? 0
      if (size > limit) throw tooLong(file, size, limit)
      return readFile(file).catch((error: unknown) => {
        if (hasCode(error, 'ENOENT', 'ENOTDIR', 'EISDIR')) return undefined
        throw translated(error, `reading ${file}`)
      })
    },
    write: async (path, bytes) => writeWhole(await place(path), bytes),
    async remove(path) {
      const file = await place(path)
      await rm(file, { force: true })
      await dropEmpty(file)
    },
    async room() {
      const { bavail, bsize } = await statfs(dir)
      return { free: bavail * bsize, cluster: bsize }
    },
    async move(from, to) {
      const [source, target] = [await place(from), await place(to)]
      try {
        await makeFolder(dirname(target))
        await rename(source, target)
        await flushFolder(dirname(target))
        await flushFolder(dirname(source))
      } catch (error) {
        if (hasCode(error, 'ENOENT'))
          throw new PsyblobError('not-found', `no file ${visible(source)}`, { hint: 'psyblob apply efisys writes it' })
        throw translated(error, `moving ${source} to ${target}`)
      }
      await dropEmpty(source)
    },
    // the old one gets its second name first, so that `current` is replaced in one step
    async promote({ current, next, former }) {
      const [target, source, kept] = [await place(current), await place(next), await place(former)]
      const old = await readFile(target).catch(() => undefined)
      if (old !== undefined) await writeWhole(kept, old)
      await rename(source, target)
      await flushFolder(dirname(target))
    },
    mend: async () => undefined,
  }
}
