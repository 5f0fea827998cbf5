// Makes a patch: looks into both images, finds out who encoded the new one, and keeps of each group only what came out byte for byte.
import { open } from 'node:fs/promises'
import {
  type CID,
  formatPatchHead,
  type GroupOutline,
  isPsyblobError,
  outline,
  type PatchCodec,
  type PatchGroup,
  type Piece,
  parsePatch,
  type Report,
} from '../../core/mod.ts'
import { blake3 } from '../blake3.ts'
import { readFull, translated } from '../files.ts'
import { pool } from '../pool.ts'
import { contentOf, type ImageContent } from './content.ts'
import { codecsOf } from './encoders.ts'
import { isUnpackable } from './file-machine.ts'
import type { PackedGroup, Setting } from './job.ts'
import { probe } from './probe.ts'
import { type CompressStream, packStream } from './streams.ts'
import { Threads } from './threads.ts'

export type PatchSide = { readonly path: string; readonly cid: CID; readonly size: number }

export type MakeOptions = {
  readonly old: PatchSide
  readonly next: PatchSide
  /** For people. */
  readonly name: string
  readonly compress: CompressStream | undefined
  readonly report: Report
  readonly signal?: AbortSignal | undefined
}

export type MadePatch = { readonly bytes: Uint8Array /** `zstd-1.5.5` level 15. */; readonly codec: PatchCodec }
/** Why there is none, for people; undefined when these are no images that patches are made of. */
export type NoPatch = { readonly bytes: undefined; readonly why: string | undefined }

/** Pieces that an encoder is tried with. */
const probed = 64
/** What is smaller by less than a fifth is not worth the work of a node. */
export const worthIt = 0.8

export async function makePatch(options: MakeOptions): Promise<MadePatch | NoPatch> {
  const { old, next, report, name, signal } = options
  const [before, after] = [await contentOf(old.path), await contentOf(next.path)]
  if (before === undefined || after === undefined) return { bytes: undefined, why: undefined }
  if (!isUnpackable(before.packing)) return { bytes: undefined, why: `nodes do not undo ${before.packing}, as ${name} was packed before` }
  const copies = await copiesOf({ old, before }, { next, after })
  const changed = after.pieces.filter((_, number) => copies[number] === undefined)
  const codec = await probe({ image: { path: next.path, size: next.size }, content: after, pieces: changed, most: probed, report, signal })
  if (codec === undefined)
    return { bytes: undefined, why: `nothing here compresses as ${after.packing} of ${name} was compressed${optionsText(after)}` }
  const groups = outline({ old: before, next: after, size: next.size, copies })
  const total = groups.reduce((sum, group) => sum + rawBytes(group), 0)
  const threads = new Threads(settingOf(options, { before, after, codec }))
  const packed: (PackedGroup | undefined)[] = []
  let done = 0
  const stop = () => void threads.end()
  signal?.addEventListener('abort', stop)
  try {
    report({ type: 'step', step: `patch ${name}`, about: `from the release before, with ${codec.name}` })
    await pool(
      groups.map((group, number) => async () => {
        packed[number] = await makeGroup(group, { threads, options })
        done += rawBytes(group)
        report({ type: 'bytes', done, total })
      }),
      { workers: threads.width, signal },
    )
  } finally {
    signal?.removeEventListener('abort', stop)
    await threads.end()
  }
  // threads that were ended have answered that they failed: that is no reason why there is no patch
  signal?.throwIfAborted()
  const made = packed.filter((group) => group !== undefined)
  if (made.length < groups.length) return { bytes: undefined, why: `a part of ${name} does not come out as it is` }
  const bytes = assembled(options, { before, codec, groups: made, outlines: groups })
  try {
    // what nobody may read is not published
    parsePatch(bytes, bytes.length, 'the patch')
    return { bytes, codec }
  } catch (error) {
    if (isPsyblobError(error, 'malformed')) return { bytes: undefined, why: error.message }
    throw error
  }
}

type Contents = { readonly before: ImageContent; readonly after: ImageContent }

function optionsText({ packing, level, filter }: ImageContent): string {
  if (filter === 'other') return ' (with its filters or its dictionary)'
  if (packing === 'xz') return ` (dictionary of ${2 ** (level ?? 0)} bytes${filter === undefined ? '' : `, ${filter}`})`
  return level === undefined ? '' : ` (level ${level})`
}

function settingOf({ old, next }: MakeOptions, { before, after, codec }: Contents & { readonly codec: PatchCodec }): Setting {
  return {
    old: { path: old.path, size: old.size },
    packing: before.packing,
    codecs: codecsOf(codec),
    next: { side: { path: next.path, size: next.size }, packing: after.packing },
  }
}

/** Where in the old blob the same bytes lie, for each piece of the new one. */
async function copiesOf(
  { old, before }: { readonly old: PatchSide; readonly before: ImageContent },
  { next, after }: { readonly next: PatchSide; readonly after: ImageContent },
): Promise<readonly (number | undefined)[]> {
  const known = new Map<string, number>()
  for (const [number, name] of (await digestsOf(old.path, before.pieces)).entries())
    if (!known.has(name)) known.set(name, (before.pieces[number] as Piece).at)
  return (await digestsOf(next.path, after.pieces)).map((name) => known.get(name))
}

/** Each piece by its bytes as they are stored. */
async function digestsOf(path: string, pieces: readonly Piece[]): Promise<readonly string[]> {
  const engine = blake3()
  const file = await open(path, 'r').catch((error: unknown) => {
    throw translated(error, `reading ${path}`)
  })
  try {
    let [window, from] = [Buffer.alloc(0), 0]
    const names: string[] = []
    for (const { at, length } of pieces) {
      if (at < from || at + length > from + window.length) {
        const wanted = Buffer.allocUnsafeSlow(Math.max(length, 4 * 1024 * 1024))
        window = wanted.subarray(0, await readFull(file, wanted, at))
        from = at
      }
      names.push(Buffer.from(engine.digest(window.subarray(at - from, at - from + length))).toString('latin1'))
    }
    return names
  } finally {
    await file.close()
  }
}

type GroupWork = { readonly threads: Threads; readonly options: MakeOptions }

/**
 * A group that was carried out from its packed bytes and compared. Pieces that came out otherwise are brought along instead, and what cannot
 * be made that way is made in a simpler one. Undefined when nothing helps.
 */
async function makeGroup(group: GroupOutline, { threads, options }: GroupWork): Promise<PackedGroup | undefined> {
  for (let outlined: GroupOutline | undefined = group; outlined !== undefined; ) {
    options.signal?.throwIfAborted()
    const packed = await packGroup(outlined, { threads, options })
    const checked = packed === undefined ? undefined : await threads.run({ do: 'check', group: outlined, packed })
    if (checked?.did !== 'check') outlined = simpler(outlined)
    else if (checked.isRight) return packed
    else outlined = checked.wrong.length === 0 ? simpler(outlined) : withLiterals(outlined, new Set(checked.wrong))
  }
  return undefined
}

async function packGroup(group: GroupOutline, { threads, options }: GroupWork): Promise<PackedGroup | undefined> {
  const made = await threads.run({ do: 'make', group })
  if (made.did !== 'make') return undefined
  const { control, differences, inserted } = made.streams
  const streams: PackedGroup['streams'][number][] = []
  for (const bytes of [control, differences, inserted])
    streams.push({ ...(await packStream(bytes, options.compress, options.signal)), raw: bytes.length })
  return { made: made.made, streams }
}

/** Tables are taken as any other bytes, and at last everything is brought along as it is. */
function simpler(group: GroupOutline): GroupOutline | undefined {
  const { steps } = group
  if (steps.some((step) => step.do === 'unit' && step.unit.tables !== undefined)) return withoutTables(group)
  const places = steps.flatMap((step) => (step.do === 'emit' ? [step.piece.at] : []))
  return places.length === 0 ? undefined : withLiterals(group, new Set(places))
}

/** The same group, with the pieces at these places brought along as they are. */
function withLiterals(group: GroupOutline, places: ReadonlySet<number>): GroupOutline {
  const isWrong = (piece: Piece) => places.has(piece.at)
  return {
    ...group,
    steps: group.steps.flatMap((step): GroupOutline['steps'] => {
      if (step.do === 'emit' && isWrong(step.piece)) return [{ do: 'literal', at: step.piece.at, length: step.piece.length }]
      if (step.do !== 'unit') return [step]
      const pieces = step.unit.pieces.filter((piece) => !isWrong(piece))
      if (pieces.length === step.unit.pieces.length) return [step]
      return pieces.length === 0 ? [] : [{ do: 'unit', unit: { sources: step.unit.sources, pieces } }]
    }),
  }
}

function withoutTables(group: GroupOutline): GroupOutline {
  return {
    ...group,
    steps: group.steps.map((step): GroupOutline['steps'][number] =>
      step.do === 'unit' ? { do: 'unit', unit: { sources: step.unit.sources, pieces: step.unit.pieces } } : step,
    ),
  }
}

function rawBytes({ steps, length }: GroupOutline): number {
  return Math.min(length, 1) + steps.reduce((sum, step) => sum + (step.do === 'emit' ? step.piece.raw : 0), 0)
}

type Parts = {
  readonly before: ImageContent
  readonly codec: PatchCodec
  readonly outlines: readonly GroupOutline[]
  readonly groups: readonly PackedGroup[]
}

function assembled({ old, next }: MakeOptions, { before, codec, outlines, groups }: Parts): Uint8Array {
  const table = groups.map(({ made, streams }, number): PatchGroup => {
    const { at, length } = outlines[number] as GroupOutline
    const described = streams.map(({ packing, raw, bytes }) => ({ packing, raw, packed: bytes.length }))
    return { at, length, made, from: 0, streams: described as unknown as PatchGroup['streams'] }
  })
  const head = formatPatchHead({
    old: { cid: old.cid, size: old.size },
    next: { cid: next.cid, size: next.size },
    packing: before.packing,
    codecs: codecsOf(codec),
    groups: table,
  })
  return Buffer.concat([head, ...groups.flatMap(({ streams }) => streams.map(({ bytes }) => bytes))])
}
