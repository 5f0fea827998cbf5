// The patches of a release: for each image that changed, from what it was in the releases before (spec/patch.md 8).
import { stat } from 'node:fs/promises'
import {
  type Bytes,
  type ChunkIndex,
  type CID,
  cidOf,
  documents,
  type Entry,
  type EntryBlob,
  isPsyblobError,
  limits,
  type Manifest,
  type PointedRelease,
  parseChunkIndex,
  type Report,
} from '../../core/mod.ts'
import type { Authority } from '../authority.ts'
import { blake3 } from '../blake3.ts'
import { publishedManifest } from '../published.ts'
import type { RemoteWriter } from '../remote.ts'
import { makePatch, type PatchSide, worthIt } from './make.ts'
import type { CompressStream } from './streams.ts'

/** A patch as a manifest names it. */
export type PatchEntry = NonNullable<EntryBlob['patches']>[number]

export type PatchOptions = {
  readonly product: string
  readonly remote: RemoteWriter
  /** The release that the pointer names, verified. */
  readonly current: Manifest
  readonly pointed: PointedRelease
  readonly authority: Authority
  /** From how many releases before. */
  readonly count: number
  readonly compress: CompressStream | undefined
  readonly report: Report
  readonly signal?: AbortSignal | undefined
}

/** Smaller blobs are fetched sooner than a patch is applied. Bytes. */
const patchedAbove = 256 * 1024

export type PatchedRecords = { readonly records: readonly Entry[]; readonly made: number; readonly bytes: number }

/** The entries with their patches, which are blobs of the repository by then. The blobs of the release are there already. */
export async function patchRecords(records: readonly Entry[], options: PatchOptions): Promise<PatchedRecords> {
  const formers = await formerReleases(options)
  const kept = new Map(options.current.records.flatMap(({ bin }) => (bin?.patches === undefined ? [] : [[bin.cid, bin.patches] as const])))
  const patched: Entry[] = []
  const sum = { made: 0, bytes: 0 }
  for (const record of records) {
    const { bin } = record
    if (bin === null || bin.size < patchedAbove) {
      patched.push(record)
      continue
    }
    // what did not change is still come by as it was
    const patches: PatchEntry[] = [...(kept.get(bin.cid) ?? [])]
    const tried = new Set<CID>()
    for (const former of formers) {
      const old = former.records.find(({ path, role }) => path === record.path && role === record.role)?.bin ?? undefined
      if (
        old === undefined ||
        old.size < patchedAbove ||
        old.cid === bin.cid ||
        patches.some(({ from }) => from === old.cid) ||
        tried.has(old.cid)
      )
        continue
      tried.add(old.cid)
      if (patches.length === limits.patch.ofBlob) break
      const patch = await patchOf({ path: record.path, old, next: bin }, options)
      if (patch === undefined) continue
      patches.push(patch)
      sum.made++
      sum.bytes += patch.size
    }
    patched.push(patches.length === 0 ? record : { ...record, bin: { ...bin, patches } })
  }
  return { records: patched, ...sum }
}

/** Puts patches there again that the repository lost, where what they are made from is still there. Answers how many, and their bytes. */
export async function restorePatches(
  options: Pick<PatchOptions, 'remote' | 'current' | 'compress' | 'report' | 'signal'>,
): Promise<{ readonly blobs: number; readonly bytes: number }> {
  const { remote, current, report } = options
  const sum = { blobs: 0, bytes: 0 }
  for (const { path, bin } of current.records)
    for (const { from, cid, size } of bin?.patches ?? []) {
      if (bin === null || (await remote.has(cid, size, { hashed: true }))) continue
      const old = { cid: from, size: await sizeOf(remote.fileOf(from)) }
      const made = await make({ path, old, next: bin }, options)
      if (made !== undefined && cidOf(blake3().digest(made)) === cid) {
        await remote.put(cid, once(made))
        sum.blobs++
        sum.bytes += size
      } else
        report({ type: 'warning', text: `a patch of ${path} is lost and cannot be made again as it was: nodes fetch more in its place` })
    }
  return sum
}

/** The releases before the new one, the newest first. The chain ends where one is not there any more. */
async function formerReleases({ product, remote, current, pointed, authority, count, report }: PatchOptions): Promise<readonly Manifest[]> {
  const formers = [current]
  let serial = pointed.serial
  for (let { previous } = current; formers.length < count && previous !== null; ) {
    const before = await releaseBelow(remote, { product, serial, manifest: previous })
    if (before === undefined) break
    const manifest = await publishedManifest(remote, product, { pointed: before, authority, report })
    if (manifest === undefined) break
    formers.push(manifest)
    serial = before.serial
    previous = manifest.previous
  }
  return formers.slice(0, count)
}

/** Serials have gaps where a publish was cut short; a few of them are looked over. */
const mostGaps = 16

async function releaseBelow(
  remote: RemoteWriter,
  { product, serial, manifest }: { readonly product: string; readonly serial: number; readonly manifest: CID },
): Promise<PointedRelease | undefined> {
  for (let at = serial - 1; at > 0 && at >= serial - mostGaps; at--) {
    const body = await remote.read(documents.manifest(product, at), { limit: limits.manifest })
    if (body !== undefined && cidOf(blake3().digest(body)) === manifest) return { serial: at, manifest, size: body.length }
  }
  return undefined
}

type Change = { readonly path: string; readonly old: { readonly cid: CID; readonly size: number }; readonly next: EntryBlob }

/** The patch of one entry, if it is worth it. */
async function patchOf(change: Change & { readonly old: EntryBlob }, options: PatchOptions): Promise<PatchEntry | undefined> {
  const { remote, report } = options
  const bytes = await make(change, options)
  if (bytes === undefined) return undefined
  const chunks = await chunkBytes(remote, change)
  if (bytes.length > worthIt * chunks) {
    report({ type: 'trace', text: `no patch of ${change.path}: it would have ${bytes.length} bytes, the chunks have ${chunks}` })
    return undefined
  }
  const cid = cidOf(blake3().digest(bytes))
  await remote.put(cid, once(bytes))
  return { from: change.old.cid, cid, size: bytes.length }
}

async function make(
  { path, old, next }: Change,
  { remote, compress, report, signal }: Pick<PatchOptions, 'remote' | 'compress' | 'report' | 'signal'>,
): Promise<Uint8Array | undefined> {
  const side = ({ cid, size }: Change['old']): PatchSide => ({ path: remote.fileOf(cid), cid, size })
  // what is rotten there would be compared with itself
  for (const { cid, size } of [old, next]) if (!(await remote.has(cid, size, { hashed: true }))) return undefined
  let why: string | undefined
  try {
    const made = await makePatch({ old: side(old), next: side(next), name: path.slice(1), compress, report, signal })
    if (made.bytes !== undefined) return made.bytes
    why = made.why
  } catch (error) {
    // a release does not wait for its patches
    signal?.throwIfAborted()
    why = error instanceof Error ? error.message : 'unknown'
  }
  if (why !== undefined) report({ type: 'warning', text: `no patch of ${path}: ${why}; nodes fetch the chunks that changed` })
  return undefined
}

/** What a node that has the old blob and nothing else would fetch. */
async function chunkBytes(remote: RemoteWriter, { old, next }: Change & { readonly old: EntryBlob }): Promise<number> {
  const [before, after] = [await indexIn(remote, old), await indexIn(remote, next)]
  if (before === undefined || after === undefined) return next.size
  const known = new Set<string>()
  for (let chunk = 0; chunk < before.count; chunk++) known.add(digestText(before.digest(chunk)))
  let bytes = 0
  for (let chunk = 0; chunk < after.count; chunk++) if (!known.has(digestText(after.digest(chunk)))) bytes += after.length(chunk)
  return bytes
}

const digestText = (digest: Uint8Array): string => Buffer.from(digest).toString('latin1')

async function indexIn(remote: RemoteWriter, { size, index }: EntryBlob): Promise<ChunkIndex | undefined> {
  if (index === undefined) return undefined
  try {
    const pieces: Uint8Array[] = []
    for await (const piece of remote.get(index.cid, { size: index.size })) pieces.push(Uint8Array.from(piece))
    return parseChunkIndex(Buffer.concat(pieces), size, 'chunk index')
  } catch (error) {
    // an old index that is lost or damaged tells nothing
    if (isPsyblobError(error, 'not-found', 'unavailable', 'corrupt', 'malformed')) return undefined
    throw error
  }
}

async function* once(bytes: Uint8Array): Bytes {
  yield bytes
}

async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    ({ size }) => size,
    () => 0,
  )
}
