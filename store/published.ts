// What a repository has of a product so far, each release verified before a publisher builds on it.
import { cidOf, documents, limits, type Manifest, type PointedRelease, PsyblobError, type Report } from '../core/mod.ts'
import { type Authority, knownBy } from './authority.ts'
import { blake3 } from './blake3.ts'
import type { RemoteWriter } from './remote.ts'
import { readListing } from './repository.ts'
import { verifyManifest } from './signed.ts'

type Trusted = { readonly pointed: PointedRelease; readonly authority: Authority; readonly report: Report }

/**
 * The manifest that a pointer names, signed by whom it must be: who may sign pointers may be somebody else. Undefined, and told, when its
 * signature is gone: what nobody signed is no release, and nothing is taken over from it.
 */
export async function publishedManifest(
  remote: RemoteWriter,
  product: string,
  { pointed, authority, report }: Trusted,
): Promise<Manifest | undefined> {
  const what = `manifest ${product}/${pointed.serial} of ${remote.label}`
  const body = await remote.read(documents.manifest(product, pointed.serial), { limit: limits.manifest })
  if (body === undefined || cidOf(blake3().digest(body)) !== pointed.manifest)
    throw new PsyblobError('corrupt', `the pointer names ${product} ${pointed.serial}, but its manifest is not at ${remote.label}`, {
      hint: `psyblob verify ${product} --remote --remote ${remote.label} shows what else is missing`,
    })
  const signatures = await remote.read(documents.manifestSignature(product, pointed.serial), { limit: limits.minisig })
  if (signatures !== undefined) return verifyManifest({ body, signatures }, knownBy(authority, product), what).manifest
  report({ type: 'warning', text: `${what} has no signature beside it: the next release does not follow it` })
  return undefined
}

type Placed = Pick<PointedRelease, 'serial' | 'manifest'>

async function placeOf(remote: RemoteWriter, product: string, serial: number, authority: Authority): Promise<Placed | undefined> {
  const body = await remote.read(documents.manifest(product, serial), { limit: limits.manifest })
  const signatures = await remote.read(documents.manifestSignature(product, serial), { limit: limits.minisig })
  if (body === undefined || signatures === undefined) return undefined
  const what = `manifest ${product}/${serial} of ${remote.label}`
  return { serial, manifest: verifyManifest({ body, signatures }, knownBy(authority, product), what).cid }
}

/** The release with the highest serial, whatever its channel: the chain of a product is one. */
export async function newestRelease(
  remote: RemoteWriter,
  product: string,
  authority: Authority,
  /** One whose signature was verified. */
  known: Placed | undefined,
): Promise<Placed | undefined> {
  const listed = (await readListing(remote))?.products[product]?.map((release) => release.serial) ?? []
  const highest = Math.max(1, ...listed)
  // the listing is a hint: it may be behind, or name what is not there
  let newest = known !== undefined && known.serial >= highest ? known : await placeOf(remote, product, highest, authority)
  newest ??= known
  for (let next = newest; next !== undefined; ) {
    newest = next
    next = await placeOf(remote, product, newest.serial + 1, authority)
  }
  return newest
}
