// Two releases with one serial, or two pointers with one version: somebody signs behind somebody's back, or restored a backup (spec/trust.md 6).
import type { CID } from '../core/mod.ts'
import { type Evidence, keepEvidence } from './evidence.ts'
import type { LocalStore } from './local.ts'
import type { VerifiedManifest, VerifiedPointer } from './signed.ts'

type Seen = { readonly serial: number; readonly manifest: CID }

/**
 * What to tell when a release right after the one that was seen was made after another of that serial; with `keep` both stay here. It is no
 * refusal: who has the key would take care that it fits, and an honest publisher has to be able to go on after him.
 */
export async function toldFork(
  release: VerifiedManifest,
  seen: Seen | undefined,
  { store, keep }: { readonly store: LocalStore; readonly keep: boolean },
): Promise<string | undefined> {
  const { name, serial, previous } = release.manifest
  if (seen === undefined || serial !== seen.serial + 1 || previous === null || previous === seen.manifest) return undefined
  if (keep) {
    const there = await store.manifest(name, seen.serial)
    const documents: readonly Evidence[] = [
      { what: `${name}-${serial}`, cid: release.cid, ...release.signed },
      ...(there === undefined ? [] : [{ what: `${name}-${seen.serial}`, cid: seen.manifest, ...there }]),
    ]
    await keepEvidence(store, documents)
  }
  return `${name} ${serial} follows ${previous}, and serial ${seen.serial} was ${seen.manifest} here: two releases were signed with one serial; both are kept in .evidence of the store, ask the publisher`
}

/** Keeps a pointer that is another one than was seen with that version; checkFreshness refuses it. */
export async function keepForkedPointer(
  { pointer, cid, bytes }: VerifiedPointer,
  seen: { readonly version: number; readonly pointer: CID } | undefined,
  store: LocalStore,
): Promise<void> {
  if (seen === undefined || pointer.version !== seen.version || cid === seen.pointer) return
  await keepEvidence(store, [{ what: `${pointer.channel}-${pointer.version}`, cid, body: bytes }])
}
