// A patch that would do: one of those a manifest names, from a blob that lies here. What its head says is believed only to reckon with.
import {
  type CID,
  type EntryBlob,
  isPsyblobError,
  type PatchCodec,
  type Preference,
  PsyblobError,
  parsePatchHead,
  readFirstMade,
  readPatchCodecs,
} from '../../core/mod.ts'
import type { Meter } from '../meter.ts'
import type { Mirrors } from '../mirrors.ts'
import { MemorySink } from '../sinks.ts'
import { estimate, isBetter, type Way } from '../ways.ts'
import { isAlone } from './alone.ts'
import { isHeavy } from './encoders.ts'
import { isUnpackable } from './file-machine.ts'
import { mostTries } from './patch-part.ts'
import { leastMakingSeconds, type Making, makingSeconds } from './speed.ts'

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

export type Offer = {
  readonly patch: PatchPlan
  readonly way: Way
  /** No machine would be sooner by it than by chunks: it is told, not taken. */
  readonly isHopeless: boolean
}

/** With a reason for each patch that will not do. */
export type Offered = { readonly best: Offer | undefined; readonly reasons: readonly string[] }

export type OfferOptions = {
  readonly mirrors: Mirrors
  /** The file here that is said to hold a blob; undefined when none is. */
  readonly fileOf: (cid: CID) => string | undefined
  /** What lies here of a patch: its bytes, and how often it was begun and not ended. */
  readonly partOf: (cid: CID) => Promise<{ readonly got: number; readonly tries: number }>
  /** Bytes of the blob that are missing: a patch of more is none of use. */
  readonly missing: number
  /** Seconds that the chunks take: a patch that cannot be sooner on any machine is hopeless. Infinite: none is. */
  readonly seconds: number
  /** Hopeless ones are reckoned with all the same; else they are not even asked for. */
  readonly showsAll: boolean
  /** Counts what is asked for, but for what only somebody who shows all asks for: the run that follows does not. */
  readonly meter?: Meter | undefined
  readonly prefer: Preference
  readonly signal?: AbortSignal | undefined
}

/** Codecs are named right after the fixed part, and there are few. */
const asked = 1024

/** The best patch for a blob, with what it would cost. One small request each. */
export async function patchOffer(bin: EntryBlob, options: OfferOptions): Promise<Offered> {
  const { missing, seconds, showsAll } = options
  const { forecast } = options.mirrors.link
  const reasons: string[] = []
  let best: Offer | undefined
  for (const patch of bin.patches ?? []) {
    const old = options.fileOf(patch.from)
    if (old === undefined) continue
    const { got, tries } = await options.partOf(patch.cid)
    if (patch.size - got >= missing) continue
    if (tries >= mostTries) {
      reasons.push(`it was begun ${tries} times here and never ended`)
      continue
    }
    const isHopeless = (making: Parameters<typeof leastMakingSeconds>[0]) =>
      estimate('patch', { bytes: 0, requests: 1, work: leastMakingSeconds(making) }, forecast).seconds > seconds
    // what is made is at least what is missing
    const never = isHopeless({ made: missing, alone: 0, groups: Number.POSITIVE_INFINITY, codec: undefined })
    if (never && !showsAll) continue
    try {
      const ask = () => headOf(patch, bin, options)
      const head = await (never && options.meter !== undefined ? options.meter.uncounted(ask) : ask())
      const given = never || isHopeless(head)
      if (given && !showsAll) continue
      const { codec } = head
      const bytes = Math.max(0, patch.size - got)
      const work = codec === undefined ? 0 : await makingSeconds({ ...head, codec })
      const way = estimate('patch', { bytes, requests: bytes === 0 ? 0 : 1, work }, forecast)
      const offer: Offer = { patch: { ...patch, old, seconds: work }, way, isHopeless: given }
      if (best === undefined || isBetterOffer(offer, best, options.prefer)) best = offer
    } catch (error) {
      if (!isPsyblobError(error)) throw error
      options.signal?.throwIfAborted()
      reasons.push(error.message)
    }
  }
  return { best, reasons }
}

function isBetterOffer(one: Offer, other: Offer, prefer: Preference): boolean {
  return one.isHopeless === other.isHopeless ? isBetter(one.way, other.way, prefer) : other.isHopeless
}

type Head = Omit<Making, 'codec'> & { readonly codec: PatchCodec | undefined }

/** Throws `malformed` for a patch of other blobs, `unsupported` for one that this psyblob does not apply, and what fetching throws. */
async function headOf(
  { from, cid, size }: { readonly from: CID; readonly cid: CID; readonly size: number },
  bin: EntryBlob,
  { mirrors, signal }: OfferOptions,
): Promise<Head> {
  const bytes = new Uint8Array(Math.min(asked, size))
  await mirrors.fetch(cid, { size, end: bytes.length, signal, isSpare: true }, new MemorySink(bytes, 0))
  const head = parsePatchHead(bytes, `patch ${cid}`)
  if (head.old.cid !== from || head.next.cid !== bin.cid || head.next.size !== bin.size)
    throw new PsyblobError('malformed', `patch ${cid} is one of other blobs`)
  if (!isUnpackable(head.packing))
    throw new PsyblobError('unsupported', `patch ${cid} is made from an image that ${head.packing} packed, which is not undone here`)
  const codecs = readPatchCodecs(bytes, head)
  const first = readFirstMade(bytes, head)
  const alone = codecs.some(isHeavy) ? head.made : first.reduce((sum, made) => sum + (isAlone({ made }, codecs) ? made : 0), 0)
  return { made: head.made, alone: Math.min(alone, head.made), groups: head.groups, codec: codecs[0] }
}
