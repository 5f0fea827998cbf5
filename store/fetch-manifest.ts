// A manifest from the store or the remotes, verified; and its place in the store.
import { type CID, cidOf, documents, isPsyblobError, limits, PsyblobError, readXz } from '../core/mod.ts'
import type { Authority } from './authority.ts'
import { blake3 } from './blake3.ts'
import type { LocalStore } from './local.ts'
import type { Mirrors } from './mirrors.ts'
import type { Remote } from './remote.ts'
import { checkManifestHeader, type VerifiedManifest, verifyRelease } from './signed.ts'

export type ManifestRequest = {
  readonly product: string
  readonly serial: number
  readonly authority: Authority
  /** What the pointer says; undefined when somebody asks for a serial by hand. */
  readonly cid?: CID
  readonly size?: number
  readonly mirrors: Mirrors
  readonly store: LocalStore
  readonly signal?: AbortSignal | undefined
}

/** A manifest from the store or the remotes, with its signature verified. */
export async function fetchManifest(request: ManifestRequest): Promise<VerifiedManifest> {
  const { product, serial, authority, cid, mirrors, store } = request
  const what = `manifest ${product}/${serial}`
  const kept = await store.manifest(product, serial)
  if (kept !== undefined) {
    // a kept manifest that does not hold any more is fetched again: the store may be damaged, the remotes may not
    try {
      const verified = verifyRelease(kept, { authority, product }, `${what} in ${store.dir}`)
      if (cid === undefined || verified.cid === cid) return verified
    } catch (error) {
      if (!(error instanceof PsyblobError)) throw error
    }
  }
  const verified = cid === undefined ? await bySerial(request, what) : await byCid({ ...request, cid }, what)
  if (verified !== undefined) return verified
  throw new PsyblobError('not-found', `no ${what} at ${mirrors.label}`, { hint: `psyblob history ${product} lists what there is` })
}

/** The body that the pointer names, from whoever has it, and a signature of it, from whoever has that. */
async function byCid(
  { product, serial, authority, cid, size, mirrors, signal }: ManifestRequest & { readonly cid: CID },
  what: string,
): Promise<VerifiedManifest | undefined> {
  const named = (bytes: Uint8Array, where: string): Uint8Array => {
    if (size !== undefined && bytes.length !== size) {
      throw new PsyblobError('corrupt', `${where}: expected ${size} bytes, got ${bytes.length}`, {
        hint: 'the mirror may be behind; try again later',
      })
    }
    const got = cidOf(blake3().digest(bytes))
    if (got === cid) return bytes
    throw new PsyblobError('corrupt', `${where}: expected ${cid}, got ${got}`, {
      hint: 'the mirror is damaged or behind; try again later or ask its operator',
    })
  }
  const packed =
    size === undefined || size <= limits.compressedAbove
      ? undefined
      : await mirrors.read(documents.manifestXz(product, serial), {
          limit: size,
          isSpare: true,
          signal,
          accept: (bytes, remote) => {
            const where = `compressed ${what} of ${remote.label}`
            return named(readXz(bytes, size, where), where)
          },
        })
  const body =
    packed ??
    (await mirrors.read(documents.manifest(product, serial), {
      limit: size ?? limits.manifest,
      signal,
      accept: (bytes, remote) => named(bytes, `${what} of ${remote.label}`),
    }))
  if (body === undefined) return undefined
  const verified = await mirrors.read(documents.manifestSignature(product, serial), {
    limit: limits.minisig,
    signal,
    accept: (signatures, remote) => verifyRelease({ body, signatures }, { authority, product }, `${what} of ${remote.label}`),
  })
  if (verified !== undefined) return verified
  throw unsigned(`${what} at ${mirrors.label}`)
}

/** Body and signature from one remote, for nothing but the signature says that they are right: each answers for its own. */
async function bySerial(
  { product, serial, authority, mirrors, signal }: ManifestRequest,
  what: string,
): Promise<VerifiedManifest | undefined> {
  const accepted = async (body: Uint8Array, remote: Remote) => {
    const where = `${what} of ${remote.label}`
    const signatures = await remote.read(documents.manifestSignature(product, serial), { limit: limits.minisig, signal })
    if (signatures === undefined) throw unsigned(where)
    const release = verifyRelease({ body, signatures }, { authority, product }, where)
    checkManifestHeader(release.manifest, { name: product, serial }, where)
    return release
  }
  const options = { limit: limits.manifest, signal }
  return (
    (await mirrors.read(documents.manifest(product, serial), { ...options, accept: accepted })) ??
    (await mirrors.read(documents.manifestXz(product, serial), {
      ...options,
      isSpare: true,
      accept: (bytes, remote) => accepted(readXz(bytes, limits.manifest, `compressed ${what} of ${remote.label}`), remote),
    }))
  )
}

function unsigned(what: string): PsyblobError {
  return new PsyblobError('untrusted', `${what} has no signature beside it`, { hint: 'the publisher has to publish it again' })
}

/** Puts a verified manifest into the store, unless it is there. */
export async function keepManifest(store: LocalStore, product: string, release: VerifiedManifest, authority: Authority): Promise<void> {
  const { serial, repo } = release.manifest
  if (!(await isKept(store, product, release))) await store.putManifest(product, serial, release.signed)
  const latest = await store.link(product, 'latest')
  if (latest === serial) return
  if (latest === undefined || latest < serial || !(await isInForce())) await store.setLink(product, 'latest', serial)

  /** False when what is called latest would not be accepted now: keys were taken away, or the operator has changed whom to trust. */
  async function isInForce(): Promise<boolean> {
    const there = latest === undefined ? undefined : await store.manifest(product, latest)
    try {
      return there !== undefined && verifyRelease(there, { authority, product }, `manifest ${product}/${latest}`).manifest.repo === repo
    } catch (error) {
      if (isPsyblobError(error)) return false
      throw error
    }
  }
}

async function isKept(store: LocalStore, product: string, { manifest: { serial }, cid, signed }: VerifiedManifest): Promise<boolean> {
  const signatures = await store.signatures(product, serial)
  return signatures !== undefined && Buffer.compare(signatures, signed.signatures) === 0 && store.hasManifest(product, serial, cid)
}
