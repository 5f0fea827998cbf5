// Refresh: the pointer of a channel, then the manifest it names. One request when nothing is new (spec/sync.md 1, spec/trust.md 2).
import {
  checkFreshness,
  checkRootFloor,
  checkRootLife,
  documents,
  isPsyblobError,
  limits,
  type PointedRelease,
  type Pointer,
  PsyblobError,
  type PublicKey,
  parsePointer,
  type Root,
  splitPointerFile,
  trustedNow,
} from '../core/mod.ts'
import { type Authority, authorityOf, pointedBy } from './authority.ts'
import { fetchManifest, keepManifest } from './fetch-manifest.ts'
import { keepForkedPointer, toldFork } from './fork.ts'
import type { LocalStore } from './local.ts'
import type { Mirrors } from './mirrors.ts'
import { type Followed, followRoots } from './roots.ts'
import { checkManifestHeader, type VerifiedManifest, type VerifiedPointer, verifyPointer } from './signed.ts'
import { type ProductState, type State, writeState } from './state.ts'

/** What a product is checked against. */
export type Trust = {
  readonly product: string
  /** The key of the composition. */
  readonly key: PublicKey
  /** What is made of it, as far as is known. */
  readonly authority: Authority
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
  /** Told when there are two lines of releases. */
  readonly fork: string | undefined
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
 * The newest release of a product. Writes nothing but newer roots into the state and the manifest, verified, into the store, and that only with `keep`.
 * Errors: `untrusted`, `rollback`, `expired`, `corrupt`, `malformed`, `unavailable`, `not-found`.
 */
export async function refresh(options: RefreshOptions & { readonly keep: boolean }): Promise<Refreshed> {
  const { trust, mirrors, store, clock, signal } = options
  const { product, key, channel, compat } = trust
  const repo = trust.repo ?? knownOf(options.state, trust)?.repo
  // once a root was seen there is no way back, whatever comes of the rest
  const persist = options.keep ? (learnt: State) => writeState(store.dir, learnt) : undefined
  const roots = { anchor: key, repo, mirrors, persist, signal }
  // a node that has no root yet learns from the pointer that there is one; one that has asks each time, for who has the pointer's key could keep silent
  const start: Followed = { authority: authorityOf(options.state, { key, repo }), state: options.state, news: false }
  let followed = start.authority.root === undefined ? start : await followRoots({ ...roots, state: start.state })
  let accepted = await readPointer({ ...options, ...followed }, { mayHaveRoot: true })
  if (accepted === 'there is a root') {
    followed = await followRoots({ ...roots, state: start.state })
    accepted = await readPointer({ ...options, ...followed }, { mayHaveRoot: false })
  }
  if (accepted === 'there is a root') throw new RangeError('a root was asked for twice')
  const { authority, state } = followed
  const known = knownOf(state, trust)
  const seen = known !== undefined && Object.hasOwn(known.channels, channel) ? known.channels[channel] : undefined
  if (authority.root !== undefined) checkRootLife(authority.root, trustedNow(clock, seen))
  const { pointer } = accepted
  const pointed = Object.hasOwn(pointer.products, product) ? pointer.products[product] : undefined
  if (pointed === undefined) {
    throw new PsyblobError('not-found', `channel ${channel} of ${pointer.repo} has no product ${product}`, {
      hint: `it has: ${Object.keys(pointer.products).join(', ') || 'none yet'}. psyblob publish ${product} DIR adds it`,
    })
  }
  checkRootFloor(authority.root, product, pointed.serial)
  checkSerial(product, pointed, known)
  const release = await fetchManifest({
    product,
    authority,
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
  const fork = await toldFork(release, known?.seen, { store, keep: options.keep })
  if (options.keep) await keepManifest(store, product, release, authority)
  const learnt: ProductState = {
    ...(known ?? firstKnown(state, trust, pointer.repo)),
    repo: pointer.repo,
    seen: { serial: pointed.serial, manifest: pointed.manifest },
    channels: {
      ...known?.channels,
      [channel]: { version: pointer.version, pointer: accepted.cid, issued: pointer.issued, expires: pointer.expires },
    },
  }
  const news = followed.news || seen?.pointer !== accepted.cid || known?.seen?.serial !== pointed.serial || known.repo !== pointer.repo
  return {
    release,
    pointer: accepted.bytes,
    state: { ...state, products: { ...state.products, [product]: learnt } },
    news,
    fork,
    expires: pointer.expires,
  }
}

type PointerRequest = Omit<RefreshOptions, 'state'> & Pick<Followed, 'authority' | 'state'> & { readonly keep: boolean }

/** The pointer of the channel, signed by whom `authority` names, and as new as it must be; or that a node without a root has to look for one. */
async function readPointer(
  { trust, mirrors, store, state, clock, signal, authority, keep }: PointerRequest,
  { mayHaveRoot }: { readonly mayHaveRoot: boolean },
): Promise<VerifiedPointer | 'there is a root'> {
  const { channel } = trust
  const known = knownOf(state, trust)
  const seen = known !== undefined && Object.hasOwn(known.channels, channel) ? known.channels[channel] : undefined
  const repo = authority.root?.repo ?? trust.repo ?? known?.repo
  const signers = pointedBy(authority, channel)
  const accepted = await mirrors.read(documents.pointer(channel), {
    limit: limits.pointer,
    signal,
    accept: async (bytes, remote) => {
      const what = `pointer ${channel} of ${remote.label}`
      // nothing is believed of it but that it is worth asking
      if (mayHaveRoot && authority.root === undefined && namesRoot(bytes)) return 'there is a root' as const
      const verified = verifyPointer(bytes, signers, what)
      if (keep) await keepForkedPointer(verified, seen, store)
      checkFreshness(verified.pointer, verified.cid, { channel, repo, seen, now: trustedNow(clock, seen), what })
      checkRootOf(verified.pointer, authority.root, mirrors.label)
      return verified
    },
  })
  if (accepted !== undefined) return accepted
  throw new PsyblobError('not-found', `no channel ${channel} at ${mirrors.label}`, {
    hint: 'check the address and the channel; psyblob publish makes a channel',
  })
}

function namesRoot(bytes: Uint8Array): boolean {
  try {
    return parsePointer(splitPointerFile(bytes, 'pointer').body).root > 0
  } catch (error) {
    if (isPsyblobError(error)) return false
    throw error
  }
}

/** Throws `untrusted` when the pointer was signed under a root that none of the remotes gives: somebody may be holding it back. */
function checkRootOf({ repo, root: wanted }: Pointer, root: Root | undefined, label: string): void {
  const got = root?.version ?? 0
  if (wanted <= got) return
  throw new PsyblobError(
    'untrusted',
    `the pointer is of root ${wanted} of ${repo}, and ${label} gives ${got === 0 ? 'none' : `only root ${got}`}`,
    {
      hint: 'a mirror is behind, or holds back who may sign: try again later, or another mirror',
    },
  )
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
