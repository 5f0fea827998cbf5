// Patches that a repository had and lost: made again where what they are made from is still there, else done without (spec/patch.md 8.6).
import { stat } from 'node:fs/promises'
import { type CID, isPsyblobError, type Manifest } from '../../core/mod.ts'
import { type Change, type PatchEntry, type PatchPlace, storePatch } from './patch-blob.ts'

/** A blob and the patches that the release before names for it. */
type Patched = { readonly path: string; readonly next: Change['next']; readonly patches: readonly PatchEntry[] }

export type KeptPatches = {
  /** Those that a next release may name. */
  readonly patches: readonly PatchEntry[]
  /** Those of them that were made again. */
  readonly made: readonly PatchEntry[]
  /** From which blobs there were some that are given up. */
  readonly lost: readonly CID[]
}

/** What is left of the patches of a blob that did not change. With `isMaking` what is lost is made again; what cannot be is told of. */
export async function keptPatches(
  { path, next, patches }: Patched,
  place: PatchPlace & { readonly isMaking: boolean },
): Promise<KeptPatches> {
  const { isMaking, report } = place
  const kept: { patches: PatchEntry[]; made: PatchEntry[]; lost: CID[] } = { patches: [], made: [], lost: [] }
  const fail = (why: string) =>
    report({ type: 'warning', text: `a patch of ${path} is lost${why}: the release goes without it, and nodes fetch chunks in its place` })
  for (const patch of patches) {
    if (await isThere(patch, place)) {
      kept.patches.push(patch)
      continue
    }
    if (!isMaking) fail('')
    // it may come out otherwise now: this release is free to name another one
    const again = isMaking ? await storeAgain({ path, from: patch.from, next }, place, { isRight: () => true, fail }) : undefined
    if (again === undefined) kept.lost.push(patch.from)
    else for (const list of [kept.patches, kept.made]) list.push(again)
  }
  return kept
}

/** Puts the patches of a release there again that the repository lost. Answers how many, and their bytes; what cannot be put back is told of. */
export async function restorePatches(release: Manifest, place: PatchPlace): Promise<{ readonly blobs: number; readonly bytes: number }> {
  const sum = { blobs: 0, bytes: 0 }
  for (const { path, bin } of release.records)
    for (const patch of bin?.patches ?? []) {
      if (bin === null || (await isThere(patch, place))) continue
      const fail = (why: string) =>
        place.report({
          type: 'warning',
          text: `a patch of ${path} is lost${why}: nodes fetch chunks in its place, and the next release that differs gets another one, or none`,
        })
      const again = await storeAgain({ path, from: patch.from, next: bin }, place, { isRight: ({ cid }) => cid === patch.cid, fail })
      if (again === undefined) continue
      sum.blobs++
      sum.bytes += again.size
    }
  return sum
}

/** What cannot be read is as good as lost. */
async function isThere({ cid, size }: PatchEntry, { remote, signal }: PatchPlace): Promise<boolean> {
  signal?.throwIfAborted()
  try {
    return await remote.has(cid, size, { hashed: true })
  } catch (error) {
    if (isPsyblobError(error)) return false
    throw error
  }
}

type Again = { readonly path: string; readonly from: CID; readonly next: Change['next'] }
type Judges = { readonly isRight: (patch: PatchEntry) => boolean; readonly fail: (why: string) => void }

async function storeAgain({ path, from, next }: Again, place: PatchPlace, { isRight, fail }: Judges): Promise<PatchEntry | undefined> {
  const old = { cid: from, size: await sizeOf(place.remote.fileOf(from)) }
  const because = (why: string | undefined) => fail(` and cannot be made again${why === undefined ? '' : ` (${why})`}`)
  const isWanted = async (patch: PatchEntry) => {
    if (!isRight(patch)) because('it comes out otherwise than it was')
    return isRight(patch)
  }
  return storePatch({ path, old, next }, place, { isWanted, fail: because })
}

/** 0 when there is none. */
async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    ({ size }) => size,
    () => 0,
  )
}
