// A publisher: the keys that are at hand, and what the repository's root lets them sign (spec/root.md 5).
import {
  anySigner,
  documents,
  keyIdText,
  limits,
  PsyblobError,
  type Root,
  type SecretKey,
  type Signers,
  signPrehash,
  soleSigner,
} from '../core/mod.ts'
import { type Authority, pointedBy, releasedBy } from './authority.ts'
import type { Remote } from './remote.ts'
import { type VerifiedRoot, verifyFirstRoot, verifyRoot, withFormer } from './roots.ts'

export type Publisher = {
  readonly keys: readonly SecretKey[]
  readonly authority: Authority
  /** From the first on. */
  readonly roots: readonly Root[]
}

/** Who alone publishes to a repository without a root. */
export function solePublisher(key: SecretKey): Publisher {
  return { keys: [key], authority: { anchor: key.publicKey, root: undefined, former: {} }, roots: [] }
}

/** What the repository's roots let these keys sign. Throws `untrusted` when the roots do not hold together. */
export async function openPublisher(remote: Remote, keys: readonly SecretKey[], repo: string): Promise<Publisher> {
  const [first] = keys
  if (first === undefined) throw new PsyblobError('usage', 'no key to sign with', { hint: 'name one with --key' })
  const anchor = first.publicKey
  let authority: Authority = { anchor, root: undefined, former: {} }
  const roots = (await repositoryRoots(remote, repo)).map(({ root }) => root)
  for (const root of roots) authority = { anchor, root, former: withFormer(authority.former, authority.root, anchor) }
  return { keys, authority, roots }
}

/** The roots of a repository from the first on, each verified by the one before. Throws `untrusted`, `malformed`. */
export async function repositoryRoots(remote: Remote, repo: string): Promise<readonly VerifiedRoot[]> {
  const all: VerifiedRoot[] = []
  for (let version = 1; ; version++) {
    const body = await remote.read(documents.root(version), { limit: limits.root })
    if (body === undefined) return all
    const what = `root ${version} of ${remote.label}`
    const signatures = await remote.read(documents.rootSignature(version), { limit: limits.minisig })
    if (signatures === undefined)
      throw new PsyblobError('untrusted', `${what} has no signature beside it`, { hint: 'restore it from a copy of the repository' })
    const signed = { body, signatures }
    const before = all.at(-1)?.root
    all.push(
      before === undefined
        ? verifyFirstRoot(signed, { repo, what })
        : verifyRoot(signed, { before: before.roles.root, version, repo, what }),
    )
  }
}

/** One key of those that sign a channel, or signed it by an earlier root, or are at hand: enough for a publisher who goes on from what lies there. */
export function knownToSign({ keys, roots }: Publisher, channel: string): Signers {
  const named = roots.flatMap(({ roles: { pointer } }) =>
    [channel, '*'].flatMap((name) => (Object.hasOwn(pointer, name) ? [pointer[name] as Signers] : [])),
  )
  return anySigner([...keys.map(({ publicKey }) => soleSigner(publicKey)), ...named])
}

/** Throws `usage` when the keys do not suffice for a release and its pointer: asked before anything is written. */
export function requireKeys(
  { keys, authority }: Publisher,
  { product, channel }: { readonly product: string | undefined; readonly channel: string },
): void {
  if (product !== undefined) ableKeys(keys, releasedBy(authority, product), `a release of ${product}`)
  ableKeys(keys, pointedBy(authority, channel), `the channel ${channel}`)
}

type Signed = { readonly prehash: Uint8Array; readonly trustedComment: string }

/** The signature file of a release, by as many of the keys as must sign it. Throws `usage` when they are too few. */
export function signRelease({ keys, authority }: Publisher, product: string, signed: Signed): string {
  return signWith(keys, releasedBy(authority, product), { ...signed, what: `a release of ${product}` })
}

/** The signature file of a pointer. Throws `usage` when the keys are too few. */
export function signChannel({ keys, authority }: Publisher, channel: string, signed: Signed): string {
  return signWith(keys, pointedBy(authority, channel), { ...signed, what: `the channel ${channel}` })
}

function signWith(keys: readonly SecretKey[], signers: Signers, { what, ...signed }: Signed & { readonly what: string }): string {
  return ableKeys(keys, signers, what)
    .slice(0, limits.signatures)
    .map((secretKey) => signPrehash({ secretKey, ...signed }))
    .join('')
}

function ableKeys(keys: readonly SecretKey[], { threshold, keys: allowed }: Signers, what: string): readonly SecretKey[] {
  const able = keys.filter(
    ({ publicKey }, at) =>
      allowed.some(({ text }) => text === publicKey.text) && keys.findIndex((one) => one.publicKey.text === publicKey.text) === at,
  )
  if (able.length >= threshold) return able
  const ids = allowed.map(({ id }) => keyIdText(id)).join(', ')
  throw new PsyblobError('usage', `${what} is signed by ${threshold} of the keys ${ids}; --key gave ${able.length} of them`, {
    hint: 'name each key with a --key of its own; nothing was published',
  })
}
