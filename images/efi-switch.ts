// The last steps of an update of the EFI partition: the boot loader is switched in one sector, then the manifest says so (spec/efisys.md 4).
import { PsyblobError, visible } from '../core/mod.ts'
import type { VerifiedManifest } from '../store/mod.ts'
import { bootFolder, cidAt, filesOf, following, loaderName, newLoader, placeOf, sealed } from './efi-content.ts'
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
 * have been cut short. Throws `corrupt` when a new one is not what the release says, `locked`, `conflict`.
 */
export async function switchLoaders(partition: EfiPartition, release: VerifiedManifest): Promise<void> {
  const { files } = partition
  for (const { path, bin } of filesOf(release.manifest)) {
    const name = loaderName(path)
    if (name === undefined) continue
    const current = await cidAt(partition, `${bootFolder}/${name}.EFI`)
    const beside = await cidAt(partition, newLoader(name))
    const pair = { folder: bootFolder, one: `${name}.EFI`, two: `${name}.NEW` }
    if (current !== bin.cid) {
      if (beside !== bin.cid) {
        throw new PsyblobError('corrupt', `${newLoader(name)}: expected ${bin.cid}, got ${beside ?? 'nothing'}`, {
          hint: `psyblob apply ${release.manifest.name} writes it again; the old boot loader is in its place`,
        })
      }
      const loaders = requireSwitch(partition)
      if (current === undefined) await loaders.rename({ ...pair, one: pair.two, two: pair.one })
      else {
        await makeReady(partition, name)
        await loaders.exchange(pair)
      }
    }
    if ((await cidAt(partition, newLoader(name))) === undefined) continue
    await files.remove(`${bootFolder}/${name}.OLD`)
    await requireSwitch(partition).rename({ ...pair, one: pair.two, two: `${name}.OLD` })
  }
}

/** The manifest says what the partition holds from now on. `before`: what it held, whose files go where the release has none of that name. */
export async function sealEfi(partition: EfiPartition, release: VerifiedManifest, before: VerifiedManifest | undefined): Promise<void> {
  const { files, state } = partition
  const kept = new Set(filesOf(release.manifest).map(({ path }) => path.toLowerCase()))
  for (const entry of before === undefined ? [] : filesOf(before.manifest))
    if (!kept.has(entry.path.toLowerCase())) await files.remove(placeOf(entry))
  const { body, signatures } = release.signed
  if (!(await isThere(partition, sealed.body, body)) || !(await isThere(partition, sealed.signatures, signatures))) {
    await files.write(sealed.signatures, signatures)
    await files.write(sealed.body, body)
  }
  await dropNext(partition)
  await dropTrial(state)
}

/** The release that was under way is not, any more. */
export async function dropNext({ files }: EfiPartition): Promise<void> {
  await files.remove(following.body)
  await files.remove(following.signatures)
}

async function isThere({ files }: EfiPartition, path: string, bytes: Uint8Array): Promise<boolean> {
  const there = await files.read(path)
  return there !== undefined && Buffer.compare(there, bytes) === 0
}

/** A folder's sector has 16 entries: more than so many empty files are never needed to come to the next. */
const mostFillers = 48
const filler = (at: number) => `FILL${String(at).padStart(2, '0')}.TMP`

/** Removes what a cut short `makeReady` left. */
export async function dropFillers({ files }: EfiPartition): Promise<void> {
  for (const { path } of await files.list()) if (/^EFI\/BOOT\/FILL\d\d\.TMP$/i.test(path)) await files.remove(path)
}

/**
 * Makes the new loader's entry lie in the sector of the old one's, where it does not: names before it are filled up until the next free
 * one is there. Throws `conflict` when that sector is full.
 */
export async function makeReady(partition: EfiPartition, name: string): Promise<void> {
  const { files } = partition
  const loaders = requireSwitch(partition)
  const [current, beside] = [`${name}.EFI`, `${name}.NEW`]
  if (await loaders.isReady({ folder: bootFolder, one: current, two: beside })) return
  const bytes = (await files.read(newLoader(name))) ?? new Uint8Array()
  await files.remove(newLoader(name))
  try {
    let found = false
    for (let at = 0; at < mostFillers && !found; at++) {
      await files.write(`${bootFolder}/${filler(at)}`, new Uint8Array())
      found = await loaders.isReady({ folder: bootFolder, one: current, two: filler(at) })
      if (found) await files.remove(`${bootFolder}/${filler(at)}`)
    }
    await files.write(newLoader(name), bytes)
  } finally {
    await dropFillers(partition)
  }
  if (await loaders.isReady({ folder: bootFolder, one: current, two: beside })) return
  throw new PsyblobError('conflict', `${current} and ${beside} lie in two sectors of ${bootFolder} on ${visible(partition.label)}`, {
    hint: `there are too many files in ${bootFolder}: move those that are not psyblob's elsewhere, then run the same command again`,
  })
}
