// A patch that would do: one of those a manifest names, from a blob that lies here. What its head says is believed only to reckon with.
import {
  type CID,
  type EntryBlob,
  isPsyblobError,
  type PatchCodec,
  type Preference,
  parsePatchHead,
  readPatchCodecs,
} from '../../core/mod.ts'
import type { Mirrors } from '../mirrors.ts'
import { MemorySink } from '../sinks.ts'
import { estimate, isBetter, type Way } from '../ways.ts'
import { leastMakingSeconds, makingSeconds } from './speed.ts'

/** What a node needs to apply a patch. */
export type PatchPlan = {
  readonly from: CID
  readonly cid: CID
  readonly size: number
  /** The file that holds the old blob. */
  readonly old: string
  /** What it was reckoned to take once it is here. */
  readonly seconds: number
}

export type Offer = { readonly patch: PatchPlan; readonly way: Way }

export type OfferOptions = {
  readonly mirrors: Mirrors
  /** The file here that is said to hold a blob; undefined when none is. */
  readonly fileOf: (cid: CID) => string | undefined
  /** How many bytes of a patch lie here already. */
  readonly gotOf: (cid: CID) => Promise<number>
  /** Bytes of the blob that are missing: a patch of more is none of use. */
  readonly missing: number
  /** Seconds that the chunks take: a patch that cannot be sooner on any machine is not asked for, nor reckoned with. Infinite: it is. */
  readonly seconds: number
  readonly prefer: Preference
  readonly warn: (why: string) => void
  readonly signal?: AbortSignal | undefined
}

/** Codecs are named right after the fixed part, and there are few. */
const asked = 1024

/** The best patch for a blob, with what it would cost. One small request. Undefined when there is none; `warn` hears why one will not do. */
export async function patchOffer(bin: EntryBlob, options: OfferOptions): Promise<Offer | undefined> {
  const { mirrors, fileOf, gotOf, missing } = options
  let best: Offer | undefined
  for (const { from, cid, size } of bin.patches ?? []) {
    const old = fileOf(from)
    const got = await gotOf(cid)
    if (old === undefined || size - got >= missing) continue
    const { forecast } = mirrors.link
    const least = (making: Parameters<typeof leastMakingSeconds>[0]) =>
      estimate('patch', { bytes: 0, requests: 1, work: leastMakingSeconds(making) }, forecast).seconds
    // what is made is at least what is missing
    if (least({ made: missing, groups: Number.POSITIVE_INFINITY, codec: undefined }) > options.seconds) continue
    const head = await headOf({ from, cid, size }, bin, options)
    if (head === undefined || least(head) > options.seconds) continue
    const bytes = Math.max(0, size - got)
    try {
      const { codec } = head
      const work = codec === undefined ? 0 : await makingSeconds({ ...head, codec })
      const way = estimate('patch', { bytes, requests: bytes === 0 ? 0 : 1, work }, forecast)
      const offer: Offer = { patch: { from, cid, size, old, seconds: work }, way }
      if (best === undefined || isBetter(way, best.way, options.prefer)) best = offer
    } catch (error) {
      if (!isPsyblobError(error, 'unsupported')) throw error
      options.warn(error.message)
    }
  }
  return best
}

type Head = { readonly made: number; readonly groups: number; readonly codec: PatchCodec | undefined }

async function headOf(
  { from, cid, size }: { readonly from: CID; readonly cid: CID; readonly size: number },
  bin: EntryBlob,
  { mirrors, warn, signal }: OfferOptions,
): Promise<Head | undefined> {
  const bytes = new Uint8Array(Math.min(asked, size))
  try {
    await mirrors.fetch(cid, { size, end: bytes.length, signal, isSpare: true }, new MemorySink(bytes, 0))
    const head = parsePatchHead(bytes, `patch ${cid}`)
    if (head.old.cid !== from || head.next.cid !== bin.cid || head.next.size !== bin.size) {
      warn(`patch ${cid} is one of other blobs`)
      return undefined
    }
    return { made: head.made, groups: head.groups, codec: readPatchCodecs(bytes, head)[0] }
  } catch (error) {
    if (!isPsyblobError(error)) throw error
    signal?.throwIfAborted()
    warn(error.message)
    return undefined
  }
}
