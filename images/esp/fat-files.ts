// The files of a FAT file system that nobody has mounted. Bytes first, then the table, then one sector of a folder: a power cut leaves the old or the new, and at most clusters that are nobody's (spec/efisys.md 5).
import { PsyblobError, pathTwin, visible } from '../../core/mod.ts'
import { type EfiFile, type EfiFiles, type LoaderNames, type LoaderSwitch, mostBytes, tooLong } from './efi-files.ts'
import {
  addEntry,
  entryCalled,
  exchange,
  type FatEntry,
  type FatFolder,
  newFolder,
  readFolder,
  removeEntry,
  rename,
  repoint,
  shareSector,
} from './fat-directory.ts'
import { checkFatName } from './fat-name.ts'
import { type FatPlace, FatVolume, pieceBytes } from './fat-volume.ts'

/** As deep as paths of manifests go, and no deeper: a folder that holds itself ends. */
const deepest = 32

/** Errors of all of them: `unsupported` when there is no FAT file system, `corrupt` when it makes no sense, `no-space`. */
export function fatFiles(place: FatPlace): EfiFiles & LoaderSwitch {
  const reading = <Result>(work: (volume: FatVolume) => Promise<Result>) => FatVolume.use(place, 'read', work)
  const writing = <Result>(work: (volume: FatVolume) => Promise<Result>) => FatVolume.use(place, 'write', work)
  return {
    label: place.label,
    list: () => reading(async (volume) => (await walk(volume)).files),
    read: (path, { fresh = false, limit = mostBytes } = {}) => reading((volume) => readFile(volume, path, { fresh, limit })),
    write: (path, bytes, { beside } = {}) => writing((volume) => writeFile(volume, path, bytes, beside)),
    remove: (path) => writing((volume) => removeFile(volume, path)),
    move: (from, to) => writing((volume) => moveFile(volume, from, to)),
    promote: (names) => writing((volume) => promote(volume, names)),
    room: () =>
      reading(async (volume) => {
        // what a power cut left taken by nobody is given back before the first write
        const { clusters } = await walk(volume)
        const lost = volume.used().filter((cluster) => !clusters.has(cluster)).length
        return { free: (volume.freeClusters() + lost) * volume.shape.clusterBytes, cluster: volume.shape.clusterBytes }
      }),
    mend: () => writing(mend),
  }
}

type Walked = {
  readonly files: readonly EfiFile[]
  /** All that files and folders take. */
  readonly clusters: ReadonlySet<number>
}

async function walk(volume: FatVolume): Promise<Walked> {
  const files: EfiFile[] = []
  const clusters = new Set<number>()
  const take = (chain: readonly number[], path: string) => {
    for (const cluster of chain) {
      if (clusters.has(cluster)) throw volume.damaged(`cluster ${cluster} of ${path} is another file's too`)
      clusters.add(cluster)
    }
  }
  const visit = async (cluster: number, folderPath: string, depth: number): Promise<void> => {
    const folder = await readFolder(volume, cluster)
    take(folder.cluster === 0 ? [] : volume.chain(folder.cluster), folderPath === '' ? '/' : folderPath)
    for (const entry of folder.entries) {
      if (entry.name === '.' || entry.name === '..') continue
      const path = folderPath === '' ? entry.name : `${folderPath}/${entry.name}`
      if (entry.isFolder) {
        if (depth === deepest || entry.cluster === 0) throw volume.damaged(`${path} is no folder`)
        await visit(entry.cluster, path, depth + 1)
      } else {
        take(volume.chain(entry.cluster), path)
        files.push({ path, size: entry.size })
      }
    }
  }
  await visit(0, '', 0)
  return { files, clusters }
}

async function mend(volume: FatVolume): Promise<void> {
  const { clusters } = await walk(volume)
  const lost = volume.used().filter((cluster) => !clusters.has(cluster))
  await volume.equalTables()
  if (lost.length > 0) await volume.free(lost)
}

type Found = { readonly folder: FatFolder; readonly name: string; readonly entry: FatEntry | undefined }

/** Where a path is or would be; undefined when a folder on the way is not there. */
export async function findFile(volume: FatVolume, path: string): Promise<Found | undefined> {
  const segments = path.split('/')
  let folder = await readFolder(volume)
  for (const segment of segments.slice(0, -1)) {
    const entry = entryCalled(folder, segment)
    if (entry?.isFolder !== true) return undefined
    folder = await readFolder(volume, folderCluster(volume, entry, path))
  }
  const name = segments.at(-1) as string
  return { folder, name, entry: entryCalled(folder, name) }
}

function folderCluster(volume: FatVolume, { isFolder, cluster, name }: FatEntry, path: string): number {
  if (isFolder && cluster !== 0) return cluster
  throw new PsyblobError('conflict', `${visible(name)} on ${visible(volume.label)} is in the way of ${visible(path)}`, {
    hint: 'a file lies where a folder has to be: move it away',
  })
}

function notFound(label: string, path: string): PsyblobError {
  return new PsyblobError('not-found', `no file ${visible(path)} on ${visible(label)}`, { hint: 'psyblob apply efisys writes it' })
}

export async function readFile(
  volume: FatVolume,
  path: string,
  { fresh, limit }: { readonly fresh: boolean; readonly limit: number },
): Promise<Uint8Array | undefined> {
  const entry = (await findFile(volume, path))?.entry
  if (entry === undefined || entry.isFolder) return undefined
  if (entry.size > limit) throw tooLong(`${path} on ${volume.label}`, entry.size, limit)
  const chain = volume.chain(entry.cluster)
  if (chain.length * volume.shape.clusterBytes < entry.size) throw volume.damaged(`${path} is shorter than it says`)
  const bytes = Buffer.alloc(entry.size)
  const reader = fresh ? await volume.freshReader() : undefined
  try {
    let done = 0
    for (const { at, length } of runsOf(volume, chain)) {
      if (done === bytes.length) break
      const piece = await (reader ?? volume).read(at, Math.min(length, bytes.length - done))
      done += piece.copy(bytes, done)
    }
  } finally {
    await reader?.close()
  }
  return bytes
}

/** Clusters that lie side by side are read and written at once. */
function runsOf(volume: FatVolume, chain: readonly number[]): readonly { readonly at: number; readonly length: number }[] {
  const { clusterBytes } = volume.shape
  const runs: { at: number; length: number }[] = []
  for (const cluster of chain) {
    const at = volume.placeOf(cluster)
    const last = runs.at(-1)
    if (last !== undefined && last.at + last.length === at && last.length + clusterBytes <= pieceBytes) last.length += clusterBytes
    else runs.push({ at, length: clusterBytes })
  }
  return runs
}

/** The folder of a path, with what is missing of it made. */
async function makeFolders(volume: FatVolume, path: string): Promise<FatFolder> {
  let folder = await readFolder(volume)
  for (const [depth, segment] of path.split('/').slice(0, -1).entries()) {
    const entry = entryCalled(folder, segment)
    if (entry === undefined) {
      checkFatName(segment)
      // a folder in the root names it as 0, whatever its cluster is
      folder = await newFolder(volume, folder, { name: segment, above: depth === 0 ? 0 : folder.cluster })
    } else folder = await readFolder(volume, folderCluster(volume, entry, path))
  }
  return folder
}

export async function writeFile(volume: FatVolume, path: string, bytes: Uint8Array, beside?: string): Promise<void> {
  const name = nameOf(path)
  checkFatName(name)
  const folder = await makeFolders(volume, path)
  const chain = volume.choose(Math.ceil(bytes.length / volume.shape.clusterBytes))
  let done = 0
  for (const { at, length } of runsOf(volume, chain)) {
    await volume.write(at, bytes.subarray(done, done + length))
    done += length
  }
  await volume.flush()
  if (chain.length > 0) await volume.link(chain)
  const neighbour = beside === undefined ? undefined : (await findFile(volume, beside))?.entry
  await put(volume, folder, { name, cluster: chain[0] ?? 0, size: bytes.length }, neighbour)
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

/** An entry for clusters that are nobody's yet; what one of that name had is free afterwards. */
async function put(
  volume: FatVolume,
  folder: FatFolder,
  { name, cluster, size }: { readonly name: string; readonly cluster: number; readonly size: number },
  beside?: FatEntry,
): Promise<void> {
  const old = entryCalled(folder, name)
  if (old?.isFolder === true) throw isFolder(volume, name)
  if (old === undefined) return addEntry(volume, folder, { name, cluster, size }, beside)
  const former = volume.chain(old.cluster)
  await repoint(volume, old, { cluster, size })
  if (former.length > 0) await volume.free(former)
}

function isFolder({ label }: FatVolume, name: string): PsyblobError {
  return new PsyblobError('conflict', `a folder on ${visible(label)} is called ${visible(name)}`, { hint: 'move it away' })
}

async function removeFile(volume: FatVolume, path: string): Promise<void> {
  const found = await findFile(volume, path)
  if (found?.entry === undefined || found.entry.isFolder) return
  const chain = volume.chain(found.entry.cluster)
  await removeEntry(volume, found.entry)
  if (chain.length > 0) await volume.free(chain)
  await removeEmpty(volume, path)
}

/** The folder of `path`, and the one above it, while they hold nothing. */
async function removeEmpty(volume: FatVolume, path: string): Promise<void> {
  const above = path.slice(0, Math.max(0, path.lastIndexOf('/')))
  if (above === '') return
  const found = await findFile(volume, above)
  if (found?.entry === undefined) return
  const folder = await readFolder(volume, found.entry.cluster)
  if (folder.entries.some(({ name }) => name !== '.' && name !== '..')) return
  const chain = volume.chain(folder.cluster)
  await removeEntry(volume, found.entry)
  await volume.free(chain)
  await removeEmpty(volume, above)
}

async function moveFile(volume: FatVolume, from: string, to: string): Promise<void> {
  const name = nameOf(to)
  checkFatName(name)
  if (pathTwin(from) === pathTwin(to)) return
  await makeFolders(volume, to)
  const source = (await findFile(volume, from))?.entry
  if (source === undefined || source.isFolder) throw notFound(volume.label, from)
  if ((await findFile(volume, to))?.entry?.isFolder === true) throw isFolder(volume, name)
  // two entries for one chain would be worse than none
  await removeEntry(volume, source)
  const found = await findFile(volume, to)
  if (found === undefined) throw notFound(volume.label, to)
  await put(volume, found.folder, { name, cluster: source.cluster, size: source.size })
  await removeEmpty(volume, from)
}

async function promote(volume: FatVolume, { current, next, former }: LoaderNames): Promise<void> {
  await removeFile(volume, former)
  const look = async () => {
    const found = await findFile(volume, next)
    if (found?.entry === undefined) throw notFound(volume.label, next)
    return { folder: found.folder, old: entryCalled(found.folder, nameOf(current)), added: found.entry }
  }
  const { folder, old, added } = await look()
  if (old === undefined) {
    if (!(await rename(volume, added, nameOf(current)))) await moveFile(volume, next, current)
  } else if (shareSector(old, added)) {
    await exchange(volume, old, added)
    if (!(await rename(volume, added, nameOf(former)))) await moveFile(volume, next, former)
  } else {
    // nobody names the new bytes for a moment, then one write lets the old entry have them; a cut before that loses the new ones, after it the old
    await removeEntry(volume, added)
    await repoint(volume, old, added)
    await addEntry(volume, await readFolder(volume, folder.cluster), { name: nameOf(former), cluster: old.cluster, size: old.size }, old)
  }
}
