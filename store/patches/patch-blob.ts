// One patch as a blob of a repository: made of blobs that lie there, and put beside them. A release does not wait for it, whatever goes wrong.
import { type Bytes, type CID, cidOf, type EntryBlob, isPsyblobError, type Report } from '../../core/mod.ts'
import { blake3 } from '../blake3.ts'
import type { RemoteWriter } from '../remote.ts'
import { type MadePatch, makePatch, type NoPatch, type PatchSide } from './make.ts'
import type { CompressStream } from './streams.ts'

/** A patch as a manifest names it. */
export type PatchEntry = NonNullable<EntryBlob['patches']>[number]

/** Where patches are made, and by what. */
export type PatchPlace = {
  readonly remote: RemoteWriter
  readonly compress: CompressStream | undefined
  readonly report: Report
  readonly signal?: AbortSignal | undefined
}

type Sized = { readonly cid: CID; readonly size: number }
/** What an entry was, and what it is. */
export type Change = { readonly path: string; readonly old: Sized; readonly next: Sized }

type Judges = {
  /** Whether a patch that was made is put there. */
  readonly isWanted: (patch: PatchEntry) => Promise<boolean>
  /** Hears why there is none, for people; of undefined when these are no images that patches are made of. */
  readonly fail: (why: string | undefined) => void
}

/** The patch of a change, stored. Undefined when there is none, which `fail` hears of, or when it is not wanted. Throws when it is interrupted. */
export async function storePatch(change: Change, place: PatchPlace, { isWanted, fail }: Judges): Promise<PatchEntry | undefined> {
  const { remote, signal } = place
  try {
    const made = await madePatch(change, place)
    if (made.bytes === undefined) {
      fail(made.why)
      return undefined
    }
    const { bytes } = made
    const patch = { from: change.old.cid, cid: cidOf(blake3().digest(bytes)), size: bytes.length }
    if (!(await isWanted(patch))) return undefined
    await remote.put(patch.cid, once(bytes))
    return patch
  } catch (error) {
    if (!isPsyblobError(error)) throw error
    signal?.throwIfAborted()
    fail(error.message)
    return undefined
  }
}

async function madePatch({ path, old, next }: Change, { remote, compress, report, signal }: PatchPlace): Promise<MadePatch | NoPatch> {
  // what is rotten there would be compared with itself
  const isWhole = ({ cid, size }: Sized) => remote.has(cid, size, { hashed: true })
  const none = (why: string): NoPatch => ({ bytes: undefined, why })
  if (!(await isWhole(old))) return none(`blob ${old.cid}, which it would be made from, is missing at ${remote.label} or damaged`)
  if (!(await isWhole(next))) return none(`blob ${next.cid} at ${remote.label} is damaged: publish the same folder again`)
  const side = ({ cid, size }: Sized): PatchSide => ({ path: remote.fileOf(cid), cid, size })
  try {
    return await makePatch({ old: side(old), next: side(next), name: path.slice(1), compress, report, signal })
  } catch (error) {
    // encoders fail in words of their own
    signal?.throwIfAborted()
    return { bytes: undefined, why: error instanceof Error ? error.message : 'unknown' }
  }
}

async function* once(bytes: Uint8Array): Bytes {
  yield bytes
}
