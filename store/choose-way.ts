// Which way what is missing of a blob is come by: by a patch or by chunks (spec/sync.md 6).
import type { CID, EntryBlob, Preference, Report } from '../core/mod.ts'
import type { Meter } from './meter.ts'
import type { Mirrors } from './mirrors.ts'
import { type PatchPlan, patchOffer } from './patches/offer.ts'
import { estimate, isBetter, type Way } from './ways.ts'

/** A file here that is said to hold a blob. */
export type Holder = { readonly path: string; readonly size: number }

export type ChoiceOptions = {
  /** What is missing as chunks: bytes, and requests for them. */
  readonly missing: number
  readonly requests: number
  readonly prefer: Preference
  /** Without them less room is needed. */
  readonly patches: boolean
  /** Patches that cannot be sooner are reckoned with all the same. */
  readonly showsAll: boolean
  /** Does not count what is asked for only because all is shown. */
  readonly meter?: Meter | undefined
  readonly mirrors: Mirrors
  /** Any of them may have changed, also its size. */
  readonly holders: (cid: CID) => readonly Holder[]
  /** Reads the file: true when it is that blob. */
  readonly holds: (holder: Holder, cid: CID) => Promise<boolean>
  /** What lies here of a patch: its bytes, and how often it was begun and not ended. */
  readonly partOf: (cid: CID) => Promise<{ readonly got: number; readonly tries: number }>
  readonly report: Report
  readonly signal?: AbortSignal | undefined
}

/** The ways there are, the one that is taken first. A patch is taken only when what it is made from is here, byte for byte. */
export async function chooseWay(
  { path, bin }: { readonly path: string; readonly bin: EntryBlob },
  options: ChoiceOptions,
): Promise<{ readonly patch: PatchPlan | undefined; readonly ways: readonly Way[] }> {
  const { missing, requests, prefer, mirrors, holders, holds, report } = options
  if (missing === 0) return { patch: undefined, ways: [] }
  const { forecast } = mirrors.link
  const chunks = estimate('chunks', { bytes: missing, requests }, forecast)
  const whole = estimate('whole', { bytes: bin.size, requests: 1 }, forecast)
  if (!options.patches || (prefer === 'chunks' && !options.showsAll)) return { patch: undefined, ways: [chunks, whole] }
  const warn = (why: string | undefined) => {
    if (why !== undefined) report({ type: 'warning', text: `no patch of ${path} is used: ${why}; chunks are fetched instead` })
  }
  const { best, reasons } = await patchOffer(bin, {
    ...options,
    fileOf: (cid) => holders(cid)[0]?.path,
    // no patch is sooner than that: `chunks` has them told, and not taken
    seconds: prefer === 'time' ? chunks.seconds : prefer === 'bytes' ? Number.POSITIVE_INFINITY : 0,
  })
  if (best === undefined) {
    warn(reasons[0])
    return { patch: undefined, ways: [chunks, whole] }
  }
  const { patch, way } = best
  if (best.isHopeless || !isBetter(way, chunks, prefer)) return { patch: undefined, ways: [chunks, way, whole] }
  for (const old of holders(patch.from))
    if (await holds(old, patch.from)) return { patch: { ...patch, old: old.path }, ways: [way, chunks, whole] }
  warn(`${patch.old} is not what it was`)
  return { patch: undefined, ways: [chunks, whole] }
}
