// The files of an EFI partition, wherever it is: in a folder, or on a device or in an image that nobody has mounted.
import { mkdtemp, open, readdir, readFile, rename, rm, rmdir, stat, statfs, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { hasCode, translated, writeWhole } from '../../store/mod.ts'
import type { Run } from '../run.ts'
import { exchangeEntries, type FatPair, type FatPlace, renameEntry, shareSector, withVolume } from './fat-directory.ts'
import type { FatVolume } from './fat-volume.ts'

export type EfiFile = { /** Segments with `/` between them, none before the first. */ readonly path: string; readonly size: number }

/** Names are the same whatever their case. */
export interface EfiFiles {
  /** For people. */
  readonly label: string
  list(): Promise<readonly EfiFile[]>
  /** Undefined when there is no such file. */
  read(path: string): Promise<Uint8Array | undefined>
  /** Makes the file and the folders above it, or replaces it. Not atomic. */
  write(path: string, bytes: Uint8Array): Promise<void>
  /** Nothing happens when there is no such file. A folder that is empty then goes as well. */
  remove(path: string): Promise<void>
  /** What is free, and what files are a multiple of. */
  room(): Promise<{ readonly free: number; readonly cluster: number }>
}

/** What no power cut may split. */
export interface LoaderSwitch {
  /** True when `exchange` can do it as they lie now. */
  isReady(pair: FatPair): Promise<boolean>
  /** Each of two files gets the bytes of the other. */
  exchange(pair: FatPair): Promise<void>
  /** `one` is called `two` from now on; there is no `two`. */
  rename(pair: FatPair): Promise<void>
}

/** On a device or in an image: mtools writes, for the kernel may have no vfat. */
export function fatFiles(place: FatPlace, run: Run): EfiFiles & LoaderSwitch {
  const drive = `${place.path}@@${place.offset}`
  const looking = <Result>(work: (volume: FatVolume) => Promise<Result>) => withVolume(place, 'r', (_, volume) => work(volume))
  const flush = async () => {
    const file = await open(place.path, 'r+')
    await file.sync().finally(() => file.close())
  }
  return {
    label: place.label,
    list: () =>
      looking(async (volume) => {
        const files: EfiFile[] = []
        const visit = async (folder: string, depth: number): Promise<void> => {
          for (const { name, isFolder, size } of (await volume.folder(folder)) ?? []) {
            const path = folder === '' ? name : `${folder}/${name}`
            if (!isFolder) files.push({ path, size })
            else if (name !== '.' && name !== '..' && depth < 32) await visit(path, depth + 1)
          }
        }
        await visit('', 0)
        return files
      }),
    read: (path) =>
      looking(async (volume) => {
        const found = await volume.find(path)
        return found === undefined ? undefined : volume.read(found)
      }),
    async write(path, bytes) {
      const temporary = await mkdtemp(join(tmpdir(), 'psyblob-esp-'))
      try {
        const source = join(temporary, 'file')
        await writeFile(source, bytes)
        const folders = dirname(path) === '.' ? [] : dirname(path).split('/')
        for (let depth = 1; depth <= folders.length; depth++) {
          const folder = folders.slice(0, depth).join('/')
          const isThere = await looking(async (volume) => (await volume.folder(folder)) !== undefined)
          if (!isThere) await run(['mmd', '-D', 's', '-i', drive, `::/${folder}`])
        }
        await run(['mcopy', '-o', '-i', drive, source, `::/${path}`])
        await flush()
      } catch (error) {
        throw translated(error, `writing ${path} on ${place.label}`)
      } finally {
        await rm(temporary, { recursive: true, force: true })
      }
    },
    async remove(path) {
      const found = await looking((volume) => volume.find(path))
      if (found === undefined) return
      await run(['mdel', '-i', drive, `::/${path}`])
      for (let folder = dirname(path); folder !== '.'; folder = dirname(folder)) {
        const left = await looking(async (volume) => (await volume.folder(folder))?.filter(({ name }) => name !== '.' && name !== '..'))
        if (left === undefined || left.length > 0) break
        await run(['mrd', '-i', drive, `::/${folder}`])
      }
      await flush()
    },
    room: () => looking(async (volume) => ({ free: volume.freeBytes, cluster: volume.clusterBytes })),
    isReady: (pair) => shareSector(place, pair),
    exchange: (pair) => exchangeEntries(place, pair),
    rename: (pair) => renameEntry(place, pair),
  }
}

/** In a folder: a plain one, or one where a FAT file system is mounted. */
export function folderFiles(dir: string): EfiFiles & LoaderSwitch {
  /** The path as the names on the disk are written; the wanted one where nothing is called so. */
  const place = async (path: string): Promise<string> => {
    let found = dir
    for (const segment of path.split('/')) {
      const names = await readdir(found).catch(() => [])
      found = join(found, names.find((name) => name === segment) ?? names.find((name) => twin(name) === twin(segment)) ?? segment)
    }
    return found
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
    async read(path) {
      const file = await place(path)
      return readFile(file).catch((error: unknown) => {
        if (hasCode(error, 'ENOENT', 'ENOTDIR', 'EISDIR')) return undefined
        throw translated(error, `reading ${file}`)
      })
    },
    write: async (path, bytes) => writeWhole(await place(path), bytes),
    async remove(path) {
      const file = await place(path)
      await rm(file, { force: true })
      for (let folder = dirname(file); folder.startsWith(`${dir}/`); folder = dirname(folder)) {
        const isGone = await rmdir(folder).then(
          () => true,
          () => false,
        )
        if (!isGone) break
      }
    },
    async room() {
      const { bavail, bsize } = await statfs(dir)
      return { free: bavail * bsize, cluster: bsize }
    },
    isReady: async () => true,
    async exchange({ folder, one, two }) {
      // the old one first becomes a second name beside, so that `one` is replaced in one step
      const [left, right] = [await place(`${folder}/${one}`), await place(`${folder}/${two}`)]
      const old = await readFile(left)
      await rename(right, left)
      await writeWhole(right, old)
    },
    async rename({ folder, one, two }) {
      await rename(await place(`${folder}/${one}`), await place(`${folder}/${two}`))
    },
  }
}

function twin(name: string): string {
  return name.normalize('NFC').toLowerCase()
}
