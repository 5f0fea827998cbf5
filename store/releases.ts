// Finding a release by what a person calls it: `latest`, `current`, `previous`, a serial, a version label, a file.
import { basename, dirname, join } from 'node:path'
import { type CID, isPsyblobError, limits, PsyblobError, visible } from '../core/mod.ts'
import { fetchManifest } from './fetch-manifest.ts'
import { readLimited } from './files.ts'
import { type LinkName, type LocalStore, links } from './local.ts'
import type { Mirrors } from './mirrors.ts'
import type { Trust } from './refresh.ts'
import { readListing } from './repository.ts'
import { checkManifestHeader, type VerifiedManifest, verifyKept, verifyRelease } from './signed.ts'

export type ReleaseQuery = {
  readonly trust: Trust
  readonly store: LocalStore
  /** Asked when the store does not know the release. */
  readonly mirrors: Mirrors
  readonly signal?: AbortSignal | undefined
}

const wholeNumber = /^[1-9]\d{0,15}$/

/** The release that `name` means. Throws `not-found`, `untrusted`, or what fetching it throws. */
export async function findRelease(query: ReleaseQuery, name: string): Promise<VerifiedManifest> {
  const { trust, store } = query
  const { product } = trust
  if ((links as readonly string[]).includes(name)) {
    const serial = await store.link(product, name as LinkName)
    if (serial !== undefined) return bySerial(query, serial)
    throw new PsyblobError('not-found', `no ${name} release of ${product} is known here`, {
      hint: name === 'latest' ? `psyblob refresh ${product} asks the remotes` : `psyblob sync ${product} installs one`,
    })
  }
  if (wholeNumber.test(name)) {
    // a date may be a label and a number
    const numbered = await bySerial(query, Number(name)).catch((error: unknown) => {
      if (isPsyblobError(error, 'not-found')) return undefined
      throw error
    })
    if (numbered !== undefined) return numbered
  }
  const labelled = await byLabel(query, name)
  if (labelled !== undefined) return labelled
  throw new PsyblobError('not-found', `no release of ${product} is called ${visible(name)}`, {
    hint: `psyblob history ${product} lists serials and versions`,
  })
}

async function bySerial({ trust, store, mirrors, signal }: ReleaseQuery, serial: number): Promise<VerifiedManifest> {
  const release = await fetchManifest({ product: trust.product, serial, authority: trust.authority, store, mirrors, signal })
  checkManifestHeader(release.manifest, { name: trust.product, serial, repo: trust.repo }, `manifest ${trust.product}/${serial}`)
  return release
}

/** The newest release with that version label: in the store, then in the remotes' listing, which is a hint and checked. */
async function byLabel(query: ReleaseQuery, label: string): Promise<VerifiedManifest | undefined> {
  const { trust, store, mirrors } = query
  for (const serial of [...(await store.serials(trust.product))].reverse()) {
    const kept = await store.manifest(trust.product, serial)
    if (kept === undefined) continue
    try {
      const release = verifyKept(kept, trust, `manifest ${trust.product}/${serial}`)
      checkManifestHeader(release.manifest, { name: trust.product, serial, repo: trust.repo }, `manifest ${trust.product}/${serial}`)
      if (release.manifest.version === label) return release
    } catch (error) {
      if (!isPsyblobError(error)) throw error
    }
  }
  const listed = (await listing(mirrors))?.products[trust.product]?.findLast((release) => release.version === label)
  if (listed === undefined) return undefined
  const release = await bySerial(query, listed.serial)
  return release.manifest.version === label ? release : undefined
}

async function listing(mirrors: Mirrors) {
  return readListing({ label: mirrors.label, read: (name, options) => mirrors.read(name, { ...options, accept: (bytes) => bytes }) })
}

/** A manifest file with its `.minisig` beside it. If it lies in a repository folder, `repository` is that folder. */
export async function releaseAt(
  path: string,
  trust: Trust,
): Promise<{ readonly release: VerifiedManifest; readonly repository: string | undefined }> {
  const body = await readLimited(path, limits.manifest)
  if (body === undefined)
    throw new PsyblobError('not-found', `no manifest at ${visible(path)}`, {
      hint: 'name a manifest file, e.g. REPOSITORY/manifests/os/17 or a slot’s manifest',
    })
  const signatures = await readLimited(`${path}.minisig`, limits.minisig)
  if (signatures === undefined)
    throw new PsyblobError('untrusted', `no signature beside ${visible(path)}`, {
      hint: `${visible(basename(path))}.minisig has to lie in the same folder`,
    })
  const what = `manifest ${visible(path)}`
  const release = verifyRelease({ body, signatures }, trust, what)
  checkManifestHeader(release.manifest, { name: trust.product, repo: trust.repo }, what)
  const folder = dirname(dirname(path))
  return { release, repository: basename(folder) === 'manifests' ? join(folder, '..') : undefined }
}

export type HistoryLine = {
  readonly serial: number
  readonly version: string
  readonly created: string
  readonly manifest: CID
  readonly size: number
  readonly entries: number
}

/** The chain of a product from its newest release back, each link checked by its CID. Ends where neither store nor remotes go further. */
export async function* history(query: ReleaseQuery, newest: VerifiedManifest, limit: number): AsyncGenerator<HistoryLine> {
  let release: VerifiedManifest | undefined = newest
  for (let count = 0; release !== undefined && count < limit; count++) {
    const { manifest, cid } = release as VerifiedManifest
    const { serial, version, created, size, entries, previous } = manifest
    yield { serial, version, created, manifest: cid, size, entries }
    release = previous === null ? undefined : await before(query, serial, previous)
  }
}

/** The manifest named `previous`, which has some lower serial. */
async function before(query: ReleaseQuery, serial: number, previous: CID): Promise<VerifiedManifest | undefined> {
  // serials may have gaps where a publish was cut short, rarely more than one or two
  for (let lower = serial - 1; lower >= 1 && lower >= serial - 16; lower--) {
    try {
      const release = await bySerial(query, lower)
      if (release.cid === previous) return release
    } catch (error) {
      if (!isPsyblobError(error, 'not-found')) throw error
    }
  }
  return undefined
}
