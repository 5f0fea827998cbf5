// The releases that patches are made from: the one that the pointer names, and those before it as far as they can be believed (spec/patch.md 8.1).
import {
  type CID,
  cidOf,
  documents,
  isPsyblobError,
  limits,
  type Manifest,
  type PointedRelease,
  PsyblobError,
  type Report,
} from '../../core/mod.ts'
import type { Authority } from '../authority.ts'
import { blake3 } from '../blake3.ts'
import { publishedManifest } from '../published.ts'
import type { RemoteWriter } from '../remote.ts'

export type FormerOptions = {
  readonly product: string
  readonly remote: RemoteWriter
  /** The release that the pointer names, verified. */
  readonly current: Manifest
  readonly pointed: PointedRelease
  readonly authority: Authority
  /** How many of them. */
  readonly count: number
  readonly report: Report
  readonly signal?: AbortSignal | undefined
}

/** Serials have gaps where a publish was cut short; a few of them are looked over. */
const mostGaps = 16

/** The newest first. The chain ends where a release is not there any more, and with a warning where it is not what was signed. */
export async function formerReleases(options: FormerOptions): Promise<readonly Manifest[]> {
  const { product, current, count, report, signal } = options
  const formers = [current]
  let { serial } = options.pointed
  for (let { previous } = current; formers.length < count && previous !== null; ) {
    signal?.throwIfAborted()
    try {
      const before = await releaseBelow(options, { serial, manifest: previous })
      if (before === undefined) break
      const manifest = await signedRelease(options, before)
      formers.push(manifest)
      serial = before.serial
      previous = manifest.previous
    } catch (error) {
      if (!isPsyblobError(error)) throw error
      signal?.throwIfAborted()
      const text = `no patches from releases before ${product} ${serial}: ${error.message}; nodes that are farther behind fetch chunks`
      report({ type: 'warning', text })
      break
    }
  }
  return formers.slice(0, count)
}

/** Where the release `manifest` lies; undefined when nothing lies there. Throws `corrupt` when it is something else. */
async function releaseBelow(
  { product, remote }: FormerOptions,
  { serial, manifest }: { readonly serial: number; readonly manifest: CID },
): Promise<PointedRelease | undefined> {
  let others = 0
  for (let at = serial - 1; at > 0 && at >= serial - mostGaps; at--) {
    const body = await remote.read(documents.manifest(product, at), { limit: limits.manifest })
    if (body === undefined) continue
    if (cidOf(blake3().digest(body)) === manifest) return { serial: at, manifest, size: body.length }
    others++
  }
  if (others === 0) return undefined
  throw new PsyblobError('corrupt', `the one that it follows is not what it was at ${remote.label}`, { hint: 'put it back from a copy' })
}

async function signedRelease({ product, remote, authority }: FormerOptions, pointed: PointedRelease): Promise<Manifest> {
  // a former release that lost its signature is told in other words than one to build on
  const manifest = await publishedManifest(remote, product, { pointed, authority, report: () => undefined })
  if (manifest !== undefined) return manifest
  throw new PsyblobError('untrusted', `manifest ${product}/${pointed.serial} of ${remote.label} has no signature beside it`, {
    hint: 'put it back from a copy',
  })
}
