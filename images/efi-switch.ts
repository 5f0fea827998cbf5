// The last steps of an update of the EFI partition: the boot loader is switched in one sector, then the files that waited take their places, then the manifest says so (spec/efisys.md 4).
import { PsyblobError, visible } from '../core/mod.ts'
import type { VerifiedManifest } from '../store/mod.ts'
import {
  bootFolder,
  cidAt,
  filesOf,
  following,
  isStaged,
  loaderName,
  newLoader,
  oldLoader,
  placeOf,
  sealed,
  waitingPlace,
} from './efi-content.ts'
import type { EfiPartition } from './efi-partition.ts'
import type { LoaderSwitch } from './esp/efi-files.ts'
import { dropTrial } from './esp/loader-state.ts'

/** Throws `locked` when somebody has the partition mounted. */
export function requireSwitch({ loaders, label }: EfiPartition): LoaderSwitch {
  if (loaders !== undefined) return loaders
  throw new PsyblobError('locked', `the boot loader cannot be switched while ${visible(label)} is mounted`, {
    hint: 'unmount it, then run the same command again; the old boot loader is in its place and whole',
  })
}

/**
 * Puts the new boot loaders of a release into their places; the old ones stay as `.OLD`. Says nothing when they are there already: it may
 * have been cut short. Throws `corrupt` when a new one is not what the release says, `locked`.
 */
export async function switchLoaders(partition: EfiPartition, release: VerifiedManifest): Promise<void> {
  const { files } = partition
  for (const { path, bin } of filesOf(release.manifest)) {
    const name = loaderName(path)
    if (name === undefined) continue
    const current = `${bootFolder}/${name}.EFI`
    const [next, former] = [newLoader(name), oldLoader(name)]
    if ((await cidAt(partition, current)) !== bin.cid) {
      const beside = await cidAt(partition, next)
      if (beside !== bin.cid) throw lost(partition, release, `${next}: expected ${bin.cid}, got ${beside ?? 'nothing'}`)
      await requireSwitch(partition).promote({ current, next, former })
      const now = await cidAt(partition, current, { fresh: true })
      if (now !== bin.cid) throw lost(partition, release, `${current}: expected ${bin.cid}, got ${now ?? 'nothing'}`)
    }
    // the power went between the two: this is the one before
    if ((await cidAt(partition, next)) !== undefined) await files.move(next, former)
  }
}

function lost({ label }: EfiPartition, { manifest }: VerifiedManifest, what: string): PsyblobError {
  return new PsyblobError('corrupt', `on ${visible(label)}, ${visible(what)}`, {
    hint: `psyblob sync ${manifest.name} writes it again; if it happens twice, the disk is failing`,
  })
}

/**
 * Files that wait take their places, and the manifest says what the partition holds from now on. `before`: what it held, whose files go
 * where the release has none of that name. Throws `corrupt` when one that waits is not what the release says.
 */
export async function sealEfi(partition: EfiPartition, release: VerifiedManifest, before: VerifiedManifest | undefined): Promise<void> {
  const { files, state } = partition
  const entries = filesOf(release.manifest)
  // first what goes: a file may be in the way of a folder, or the other way round
  const kept = new Set(entries.map(({ path }) => path.toLowerCase()))
  for (const entry of before === undefined ? [] : filesOf(before.manifest))
    if (!kept.has(entry.path.toLowerCase())) await files.remove(placeOf(entry))
  for (const [at, entry] of entries.entries()) {
    if (loaderName(entry.path) !== undefined) continue
    const waiting = waitingPlace(entry, at)
    const got = await cidAt(partition, waiting)
    if (got === entry.bin.cid) await files.move(waiting, placeOf(entry))
    else if ((await cidAt(partition, placeOf(entry))) !== entry.bin.cid)
      throw lost(partition, release, `${waiting}: expected ${entry.bin.cid}, got ${got ?? 'nothing'}`)
  }
  const { body, signatures } = release.signed
  if (!(await isThere(partition, sealed.body, body)) || !(await isThere(partition, sealed.signatures, signatures))) {
    await files.write(sealed.signatures, signatures)
    await files.write(sealed.body, body)
  }
  await dropNext(partition)
  await dropTrial(state)
}

/** The release that was under way is not, any more: its manifest goes, and the files that waited. */
export async function dropNext({ files }: EfiPartition): Promise<void> {
  for (const { path } of await files.list()) if (isStaged(path)) await files.remove(path)
  await files.remove(following.body)
  await files.remove(following.signatures)
}

async function isThere({ files }: EfiPartition, path: string, bytes: Uint8Array): Promise<boolean> {
  const there = await files.read(path)
  return there !== undefined && Buffer.compare(there, bytes) === 0
}
