// Following the roots of a repository: each signed by the one before and by itself, one version after the other (spec/root.md 3).
import {
  type CID,
  checkRootOrder,
  checkTrustedComment,
  cidOf,
  documents,
  limits,
  PsyblobError,
  type PublicKey,
  parseRoot,
  pointerSigners,
  type Root,
  releaseSigners,
  rootComment,
  type Signers,
  soleSigner,
  utf8Decode,
  verifySignatures,
} from '../core/mod.ts'
import { type Authority, authorityOf } from './authority.ts'
import { blake3 } from './blake3.ts'
import { prehash, signatureEngine } from './crypto.ts'
import type { Mirrors } from './mirrors.ts'
import type { KnownRoot, ProductState, State } from './state.ts'

export type SignedRoot = { readonly body: Uint8Array; readonly signatures: Uint8Array }
export type VerifiedRoot = { readonly root: Root; readonly cid: CID; readonly signed: SignedRoot }

type Step = {
  /** Who must have signed besides those whom the new root itself names: the root before, or the key of the composition. */
  readonly before: Signers
  readonly version: number
  readonly repo: string | undefined
  readonly what: string
}

/** Throws `untrusted`, `malformed`. */
export function verifyRoot(signed: SignedRoot, { before, version, repo, what }: Step): VerifiedRoot {
  const text = utf8Decode(signed.signatures, `signature of ${what}`)
  const digest = prehash(signed.body)
  const check = (signers: Signers) => verifySignatures({ text, prehash: digest, signers, engine: signatureEngine, what })
  const comments = check(before)
  // the keys it names count only now that those before have vouched for it
  const root = parseRoot(signed.body, what)
  comments.push(...check(root.roles.root))
  const cid = cidOf(blake3().digest(signed.body))
  for (const comment of comments) checkTrustedComment(comment, rootComment(root, cid), what)
  checkRootOrder(root, { version, repo }, what)
  return { root, cid, signed }
}

/** The first root of a repository, for its publisher: signed by itself. Throws `untrusted`, `malformed`. */
export function verifyFirstRoot(signed: SignedRoot, { repo, what }: Pick<Step, 'repo' | 'what'>): VerifiedRoot {
  return verifyRoot(signed, { before: parseRoot(signed.body, what).roles.root, version: 1, repo, what })
}

export type FollowOptions = {
  readonly anchor: PublicKey
  readonly repo: string | undefined
  readonly state: State
  readonly mirrors: Mirrors
  readonly persist?: ((state: State) => Promise<void>) | undefined
  readonly signal?: AbortSignal | undefined
}

export type Followed = { readonly authority: Authority /** With what was learnt. */; readonly state: State; readonly news: boolean }

/**
 * Takes every newer root that the remotes have, at most 256. What they have not is no failure. `persist` gets what was learnt, once, also when
 * a later one is refused: there is no way back.
 */
export async function followRoots(options: FollowOptions): Promise<Followed> {
  const { anchor, repo, state, persist } = options
  const progress: Followed[] = [{ state, authority: authorityOf(state, { key: anchor, repo }), news: false }]
  try {
    await follow(options, progress)
  } finally {
    const last = progress.at(-1) as Followed
    if (last.news) await persist?.(last.state)
  }
  return progress.at(-1) as Followed
}

async function follow({ anchor, repo, mirrors, signal }: FollowOptions, progress: Followed[]): Promise<void> {
  for (let steps = 0; steps < limits.rootSteps; steps++) {
    const current = progress.at(-1) as Followed
    const { root } = current.authority
    const version = (root?.version ?? 0) + 1
    const before = root === undefined ? soleSigner(anchor) : root.roles.root
    const next = await fetchRoot(mirrors, { before, version, repo: root?.repo ?? repo, what: `root ${version}` }, signal)
    if (next === undefined) return
    const learnt = withRoot(current.state, current.authority, next.root, utf8Decode(next.signed.body, 'root'))
    progress.push({ state: learnt, authority: authorityOf(learnt, { key: anchor, repo: next.root.repo }), news: true })
  }
}

/** Body and signature from one remote: each answers for its own. */
export async function fetchRoot(mirrors: Mirrors, step: Step, signal: AbortSignal | undefined): Promise<VerifiedRoot | undefined> {
  return mirrors.read(documents.root(step.version), {
    limit: limits.root,
    signal,
    // who invents a next root must not keep a node from what the others have
    isOptional: true,
    accept: async (body, remote) => {
      const what = `${step.what} of ${remote.label}`
      const signatures = await remote.read(documents.rootSignature(step.version), { limit: limits.minisig, signal })
      if (signatures === undefined)
        throw new PsyblobError('untrusted', `${what} has no signature beside it`, { hint: 'the publisher has to publish it again' })
      return verifyRoot({ body, signatures }, { ...step, what })
    },
  })
}

/** The state with a newer root in force. What was learnt from keys that are taken away does not count any more (fast-forward recovery). */
function withRoot(state: State, { anchor, root: before, former }: Authority, root: Root, body: string): State {
  const known: KnownRoot = { anchor: anchor.text, repo: root.repo, root: body, former: withFormer(former, before, anchor) }
  const others = (state.roots ?? []).filter((one) => one.anchor !== anchor.text || one.repo !== root.repo)
  // to forget one would be a way back to the single key
  if (others.length >= limits.knownRoots)
    throw new PsyblobError('conflict', `this store knows roots of ${others.length} repositories and keys, and takes no more`, {
      hint: 'name a store of its own for this repository with --store',
    })
  const products = Object.fromEntries(
    Object.entries(state.products).map(([product, facts]) =>
      facts.key === anchor.text && facts.repo === root.repo ? [product, kept(product, facts, { anchor, before, root })] : [product, facts],
    ),
  )
  return { ...state, products, roots: [...others, known] }
}

const mostFormer = 64

/** Keys of the roots before, by the names they signed for. */
export function withFormer(former: KnownRoot['former'], before: Root | undefined, anchor: PublicKey): KnownRoot['former'] {
  const added: Readonly<Record<string, Signers>> = before === undefined ? { '*': soleSigner(anchor) } : before.roles.release
  const names = new Set([...Object.keys(former), ...Object.keys(added)])
  return Object.fromEntries(
    [...names].map((name) => {
      const keys = [...(former[name] ?? []), ...(added[name]?.keys ?? []).map(({ text }) => text)]
      return [name, [...new Set(keys)].slice(-mostFormer)]
    }),
  )
}

type Rotation = { readonly anchor: PublicKey; readonly before: Root | undefined; readonly root: Root }

function kept(product: string, { seen, floor, channels, ...facts }: ProductState, { anchor, before, root }: Rotation): ProductState {
  const releases = isTakenAway(
    signersIn(before, anchor, (one) => releaseSigners(one, product)),
    signersIn(root, anchor, (one) => releaseSigners(one, product)),
  )
  const left = Object.entries(channels).filter(
    ([channel]) =>
      !isTakenAway(
        signersIn(before, anchor, (one) => pointerSigners(one, channel)),
        signersIn(root, anchor, (one) => pointerSigners(one, channel)),
      ),
  )
  const counters = releases ? {} : { ...(seen === undefined ? {} : { seen }), ...(floor === undefined ? {} : { floor }) }
  return { ...facts, ...counters, channels: Object.fromEntries(left) }
}

function signersIn(root: Root | undefined, anchor: PublicKey, find: (root: Root) => Signers): Signers | undefined {
  if (root === undefined) return soleSigner(anchor)
  try {
    return find(root)
  } catch (error) {
    if (error instanceof PsyblobError) return undefined
    throw error
  }
}

/** A key that signed before does not sign any more: it may have been stolen, and what it said of versions may be a lie. */
function isTakenAway(before: Signers | undefined, now: Signers | undefined): boolean {
  const left = new Set(now?.keys.map(({ key }) => key.join()))
  return before?.keys.some(({ key }) => !left.has(key.join())) ?? false
}
