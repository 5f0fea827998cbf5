// Refresh: the pointer of a channel, then the manifest it names. One request when nothing is new (spec/sync.md 1, spec/trust.md 2).
import {
  type CID,
  checkFreshness,
  cidOf,
  documents,
  isPsyblobError,
  limits,
  type PointedRelease,
  PsyblobError,
  type PublicKey,
  trustedNow,
} from '../core/mod.ts'
import { blake3 } from './blake3.ts'
import type { LocalStore } from './local.ts'
import type { Mirrors } from './mirrors.ts'
import { checkManifestHeader, type VerifiedManifest, verifyManifest, verifyPointer } from './signed.ts'
import type { ProductState, State } from './state.ts'

/** What a product is checked against. */
export type Trust = {
  readonly product: string
  readonly key: PublicKey
  readonly channel: string
  /** Stated in the composition; otherwise pinned on first use. */
  readonly repo: string | undefined
  readonly compat: string
}

export type Refreshed = {
  readonly release: VerifiedManifest
  /** The pointer's bytes, signature included. */
  readonly pointer: Uint8Array
  /** The state with what was learnt; the caller persists it when everything held. */
  readonly state: State
  /** False when the state is as it was. */
  readonly news: boolean
  readonly expires: string
}

export type RefreshOptions = {
  readonly trust: Trust
  readonly mirrors: Mirrors
  readonly store: LocalStore
  readonly state: State
  /** Milliseconds since 1970. */
  readonly clock: number
  readonly signal?: AbortSignal | undefined
}

/** The product's part of the state; facts learnt with another key or repository do not count: the operator has changed whom to trust. */
export function knownOf(state: State, trust: Pick<Trust, 'product' | 'key' | 'repo'>): ProductState | undefined {
  const known = Object.hasOwn(state.products, trust.product) ? state.products[trust.product] : undefined
  if (known === undefined || known.key !== trust.key.text) return undefined
  return trust.repo === undefined || trust.repo === known.repo ? known : undefined
}

/** A hold is the operator's word, whatever key or repository counts now. */
export function holdOf(state: State, product: string): ProductState['hold'] {
  return Object.hasOwn(state.products, product) ? state.products[product]?.hold : undefined
}

/** What is known of a product of which nothing counts yet. */
export function firstKnown(state: State, trust: Trust, repo: string): ProductState {
  const hold = holdOf(state, trust.product)
  return { key: trust.key.text, repo, channels: {}, ...(hold === undefined ? {} : { hold }) }
}

/**
 * The newest release of a product. Writes nothing but the manifest, verified, into the store, and that only with `keep`.
 * Errors: `untrusted`, `rollback`, `expired`, `corrupt`, `malformed`, `unavailable`, `not-found`.
 */
export async function refresh(options: RefreshOptions & { readonly keep: boolean }): Promise<Refreshed> {
  const { trust, mirrors, store, state, clock, signal } = options
  const { product, key, channel, compat } = trust
  const known = knownOf(state, trust)
  const seen = known !== undefined && Object.hasOwn(known.channels, channel) ? known.channels[channel] : undefined
  const repo = trust.repo ?? known?.repo
  const accepted = await mirrors.read(documents.pointer(channel), {
    limit: limits.pointer,
    signal,
    accept: (bytes, remote) => {
      const what = `pointer ${channel} of ${remote.label}`
      const verified = verifyPointer(bytes, key, what)
      checkFreshness(verified.pointer, verified.cid, { channel, repo, seen, now: trustedNow(clock, seen), what })
      return verified
    },
  })
  if (accepted === undefined) {
    throw new PsyblobError('not-found', `no channel ${channel} at ${mirrors.label}`, {
      hint: 'check the address and the channel; psyblob publish makes a channel',
    })
  }
  const { pointer } = accepted
  const pointed = Object.hasOwn(pointer.products, product) ? pointer.products[product] : undefined
  if (pointed === undefined) {
    throw new PsyblobError('not-found', `channel ${channel} of ${pointer.repo} has no product ${product}`, {
      hint: `it has: ${Object.keys(pointer.products).join(', ') || 'none yet'}. psyblob publish ${product} DIR adds it`,
    })
  }
  checkSerial(product, pointed, known)
  const release = await fetchManifest({
    product,
    key,
    serial: pointed.serial,
    cid: pointed.manifest,
    size: pointed.size,
    mirrors,
    store,
    signal,
  })
  checkManifestHeader(
    release.manifest,
    { name: product, serial: pointed.serial, repo: pointer.repo, compat },
    `manifest ${product}/${pointed.serial}`,
  )
  if (options.keep) await keepManifest(store, product, release, key)
  const learnt: ProductState = {
    ...(known ?? firstKnown(state, trust, pointer.repo)),
    repo: pointer.repo,
    seen: { serial: pointed.serial, manifest: pointed.manifest },
    channels: {
      ...known?.channels,
      [channel]: { version: pointer.version, pointer: accepted.cid, issued: pointer.issued, expires: pointer.expires },
    },
  }
  const news = seen?.pointer !== accepted.cid || known?.seen?.serial !== pointed.serial || known.repo !== pointer.repo
  return {
    release,
    pointer: accepted.bytes,
    state: { ...state, products: { ...state.products, [product]: learnt } },
    news,
    expires: pointer.expires,
  }
}

function checkSerial(product: string, pointed: PointedRelease, known: ProductState | undefined): void {
  const least = Math.max(known?.seen?.serial ?? 0, known?.floor ?? 0)
  if (pointed.serial < least) {
    throw new PsyblobError('rollback', `${product}: serial ${pointed.serial} is older than ${least}, which was seen before`, {
      hint: 'to go back on purpose, the publisher publishes the old content again; this machine can go back by psyblob rollback',
    })
  }
  if (pointed.serial === known?.seen?.serial && pointed.manifest !== known.seen.manifest) {
    throw new PsyblobError(
      'untrusted',
      `${product}: serial ${pointed.serial} was ${known.seen.manifest} before and is ${pointed.manifest} now`,
      {
        hint: 'two releases were signed with one serial; ask the publisher before anything else',
      },
    )
  }
}

export type ManifestRequest = {
  readonly product: string
  readonly serial: number
  readonly key: PublicKey
  /** What the pointer says; undefined when somebody asks for a serial by hand. */
  readonly cid?: CID
  readonly size?: number
  readonly mirrors: Mirrors
  readonly store: LocalStore
  readonly signal?: AbortSignal | undefined
}

/** A manifest from the store or the remotes, with its signature verified. */
export async function fetchManifest(request: ManifestRequest): Promise<VerifiedManifest> {
  const { product, serial, key, cid, mirrors, store } = request
  const what = `manifest ${product}/${serial}`
  const kept = await store.manifest(product, serial)
  if (kept !== undefined) {
    // a kept manifest that does not hold any more is fetched again: the store may be damaged, the remotes may not
    try {
      const verified = verifyManifest(kept, key, `${what} in ${store.dir}`)
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
  { product, serial, key, cid, size, mirrors, signal }: ManifestRequest & { readonly cid: CID },
  what: string,
): Promise<VerifiedManifest | undefined> {
  const body = await mirrors.read(documents.manifest(product, serial), {
    limit: size ?? limits.manifest,
    signal,
    accept: (bytes, remote) => {
      const where = `${what} of ${remote.label}`
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
    },
  })
  if (body === undefined) return undefined
  const verified = await mirrors.read(documents.manifestSignature(product, serial), {
    limit: limits.minisig,
    signal,
    accept: (signatures, remote) => verifyManifest({ body, signatures }, key, `${what} of ${remote.label}`),
  })
  if (verified !== undefined) return verified
  throw unsigned(`${what} at ${mirrors.label}`)
}

/** Body and signature from one remote, for nothing but the signature says that they are right: each answers for its own. */
async function bySerial({ product, serial, key, mirrors, signal }: ManifestRequest, what: string): Promise<VerifiedManifest | undefined> {
  return mirrors.read(documents.manifest(product, serial), {
    limit: limits.manifest,
    signal,
    accept: async (body, remote) => {
      const where = `${what} of ${remote.label}`
      const signatures = await remote.read(documents.manifestSignature(product, serial), { limit: limits.minisig, signal })
      if (signatures === undefined) throw unsigned(where)
      const release = verifyManifest({ body, signatures }, key, where)
      checkManifestHeader(release.manifest, { name: product, serial }, where)
      return release
    },
  })
}

function unsigned(what: string): PsyblobError {
  return new PsyblobError('untrusted', `${what} has no signature beside it`, { hint: 'the publisher has to publish it again' })
}

/** Puts a verified manifest into the store, unless it is there. `key` verified it. */
export async function keepManifest(store: LocalStore, product: string, release: VerifiedManifest, key: PublicKey): Promise<void> {
  const { serial } = release.manifest
  const kept = await store.manifest(product, serial)
  const same = (one: Uint8Array, two: Uint8Array | undefined) => two !== undefined && Buffer.compare(one, two) === 0
  if (!same(release.signed.body, kept?.body) || !same(release.signed.signatures, kept?.signatures))
    await store.putManifest(product, serial, release.signed)
  const latest = await store.link(product, 'latest')
  if (latest === undefined || latest < serial || !(await isOfRepository(release.manifest.repo)))
    await store.setLink(product, 'latest', serial)

  /** False when what is called latest is another publisher's or repository's: the operator has changed whom to trust. */
  async function isOfRepository(repo: string): Promise<boolean> {
    const there = latest === undefined ? undefined : await store.manifest(product, latest)
    try {
      return there !== undefined && verifyManifest(there, key, `manifest ${product}/${latest}`).manifest.repo === repo
    } catch (error) {
      if (isPsyblobError(error)) return false
      throw error
    }
  }
}
