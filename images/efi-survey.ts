// What an EFI partition lacks of a release, where each file will wait, and whether there is room for it (spec/efisys.md 2).
import { dirname } from 'node:path'
import { isPsyblobError, PsyblobError, visible } from '../core/mod.ts'
import type { Authority, VerifiedManifest } from '../store/mod.ts'
import {
  bootFolder,
  cidAt,
  type EfiContent,
  type FileEntry,
  filesOf,
  following,
  idEntry,
  isStaged,
  loaderName,
  oldLoader,
  ownerOf,
  placeOf,
  readEfi,
  waitingPlace,
} from './efi-content.ts'
import type { EfiPartition } from './efi-partition.ts'

export type SurveyOptions = {
  readonly product: string
  readonly authority: Authority
  readonly release: VerifiedManifest
  readonly partition: EfiPartition
  /** Write every file again, take over another product's partition, and switch the boot loader without a trial. */
  readonly force: boolean
  readonly signal?: AbortSignal | undefined
}

/** What there is to do for one file. */
export type EfiLine = {
  readonly entry: FileEntry
  /** Where it lies until the release is put in force, unless it is in its place. */
  readonly waiting: string
  readonly isCurrent: boolean
  /** It need not be written: it is in its place, or waits. */
  readonly isHeld: boolean
  /** A boot loader that is another than the one in its place. */
  readonly isNewLoader: boolean
}

export type EfiSurvey = {
  readonly content: EfiContent
  readonly lines: readonly EfiLine[]
  readonly toWrite: readonly EfiLine[]
  readonly tries: boolean
}

/** Compares every byte that is there with the release. */
export async function surveyOf({ partition, release, product, authority, force, signal }: SurveyOptions): Promise<EfiSurvey> {
  const content = await readEfi(partition, { product, authority })
  if (!force) await refuseOther(partition, product)
  const lines: EfiLine[] = []
  for (const [at, entry] of filesOf(release.manifest).entries()) {
    signal?.throwIfAborted()
    const waiting = waitingPlace(entry, at)
    const isCurrent = (await cidAt(partition, placeOf(entry)).catch(ifCorrupt)) === entry.bin.cid
    const isHeld = isCurrent || (await cidAt(partition, waiting).catch(ifCorrupt)) === entry.bin.cid
    lines.push({ entry, waiting, isCurrent, isHeld, isNewLoader: loaderName(entry.path) !== undefined && !isCurrent })
  }
  const toWrite = lines.filter(({ entry, isHeld }) => !isHeld || (force && loaderName(entry.path) === undefined))
  const tries =
    !force &&
    lines.some((line) => line.isNewLoader) &&
    filesOf(release.manifest).some(({ path }) => path === idEntry) &&
    (await knowsTrials(partition, content))
  return { content, lines, toWrite, tries }
}

/** A file that cannot be read is one that has to be written. */
export function ifCorrupt(error: unknown): undefined {
  if (isPsyblobError(error, 'corrupt', 'malformed')) return undefined
  throw error
}

/** Throws `conflict` when another product has the partition: each would wipe out the other's boot loader. */
async function refuseOther(partition: EfiPartition, product: string): Promise<void> {
  const owner = await ownerOf(partition)
  if (owner === undefined || owner === product) return
  throw new PsyblobError('conflict', `the EFI partition ${visible(partition.label)} belongs to product ${visible(owner)}`, {
    hint: `say --force to give it to ${product}`,
  })
}

/** The boot loader in its place is one of ours: the manifest says so, or the release that was being sealed when the power went. */
async function knowsTrials(partition: EfiPartition, { sealed, next }: EfiContent): Promise<boolean> {
  const ours = [sealed.state === 'release' ? sealed.release : undefined, next].filter((release) => release !== undefined)
  for (const { manifest } of ours) {
    const files = filesOf(manifest)
    if (!files.some(({ path }) => path === idEntry)) continue
    for (const { path, bin } of files) {
      const name = loaderName(path)
      if (name !== undefined && (await cidAt(partition, `${bootFolder}/${name}.EFI`).catch(ifCorrupt)) === bin.cid) return true
    }
  }
  return false
}

/** Old and new lie side by side. Throws `no-space` before anything is written. */
export async function requireRoom(
  { partition, release }: Pick<SurveyOptions, 'partition' | 'release'>,
  { content, toWrite }: EfiSurvey,
): Promise<void> {
  const { files, label } = partition
  const { free, cluster } = await files.room()
  const clusters = (size: number) => Math.ceil(size / cluster) * cluster
  const there = await files.list()
  const goes = new Set([following.body, following.signatures].map((path) => path.toLowerCase()))
  for (const { entry, waiting } of toWrite) {
    goes.add(waiting.toLowerCase())
    const name = loaderName(entry.path)
    if (name !== undefined) goes.add(oldLoader(name).toLowerCase())
  }
  const isGoing = (path: string) => goes.has(path.toLowerCase()) || (content.next?.cid !== release.cid && isStaged(path))
  const freed = there.filter(({ path }) => isGoing(path)).reduce((all, { size }) => all + clusters(size), 0)
  const folders = new Set(there.map(({ path }) => dirname(path).toLowerCase()))
  const touched = new Set([
    dirname(following.body),
    ...toWrite.flatMap(({ entry, waiting }) => [dirname(placeOf(entry)), dirname(waiting)]),
  ])
  const { body, signatures } = release.signed
  const needed =
    toWrite.reduce((all, { entry }) => all + clusters(entry.bin.size), 0) +
    2 * (clusters(body.length) + clusters(signatures.length)) +
    // a folder may need a cluster more for the new names; one that is not there needs one for itself
    [...touched].reduce((all, folder) => all + cluster * (folders.has(folder.toLowerCase()) ? 1 : folder.split('/').length), 0)
  if (needed <= free + freed) return
  throw new PsyblobError(
    'no-space',
    `the EFI partition ${visible(label)} is too small: ${needed - free - freed} bytes are missing, ${needed} are needed; nothing was written`,
    { hint: 'remove files from it that nobody needs, or publish a smaller release' },
  )
}
