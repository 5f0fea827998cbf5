// The key that nodes trust before the first root: each channel's pointer says by whose signature it goes on, and the root must have that one too (spec/root.md 5.3).
import {
  documents,
  isPsyblobError,
  keyIdText,
  limits,
  PsyblobError,
  type PublicKey,
  parseSignatures,
  type Root,
  soleSigner,
  splitPointerFile,
  verifySignatures,
  visible,
} from '../core/mod.ts'
import { prehash, signatureEngine } from './crypto.ts'
import type { RemoteWriter } from './remote.ts'
import type { SignedRoot } from './roots.ts'
import { verifyPointer } from './signed.ts'

export type AnchorOptions = {
  readonly remote: RemoteWriter
  /** Public keys that nodes are known to trust. */
  readonly anchors: readonly PublicKey[]
  /** Default: all that the repository has. */
  readonly channels: readonly string[] | undefined
  readonly what: string
}

/** The signature file of a root, as text. */
type FirstRoot = { readonly root: Root; readonly body: SignedRoot['body']; readonly text: string }

/**
 * Throws `untrusted` when nodes would not believe a first root: one of `anchors`, or the key that signs the pointer of a channel, did not sign it,
 * or its signature does not hold. Answers the ids of keys that sign pointers and are not at hand: that they signed the root could not be verified.
 */
export async function requireAnchors(first: FirstRoot, { remote, anchors, channels, what }: AnchorOptions): Promise<readonly string[]> {
  for (const key of anchors) requireSignature(first, key, what)
  const { root, release, pointer } = first.root.roles
  const known = [...anchors, ...[root, ...Object.values(release), ...Object.values(pointer)].flatMap(({ keys }) => keys)]
  const unverified = new Set<string>()
  for (const channel of channels ?? (await remote.channels())) {
    const name = `pointer ${channel}`
    const bytes = await remote.read(documents.pointer(channel), { limit: limits.pointer })
    if (bytes === undefined && channels !== undefined)
      throw new PsyblobError('not-found', `no channel ${visible(channel)} at ${remote.label}`, {
        hint: 'check the name given by --channel',
      })
    if (bytes === undefined) continue
    const claimed = parseSignatures(splitPointerFile(bytes, name).signatures, name).map(({ keyId }) => keyIdText(keyId))
    const candidates = known.filter(({ id }) => claimed.includes(keyIdText(id)))
    if (candidates.length > 0) {
      verifyPointer(bytes, { threshold: 1, keys: candidates }, name)
      const signers = candidates.filter((key) => isHeld(() => verifyPointer(bytes, soleSigner(key), name)))
      if (!signers.some((key) => isHeld(() => requireSignature(first, key, what))))
        refuse(
          what,
          channel,
          signers.map(({ id }) => keyIdText(id)),
        )
      continue
    }
    // nobody's key that is at hand: the ids are all there is to compare
    if (anchors.length > 0)
      throw new PsyblobError(
        'untrusted',
        `${name} of ${remote.label} is signed by key ${claimed.join(', ')}, which is none of those given by --old-key`,
        {
          hint: 'name that key with another --old-key; with --channel only the channels that are named have to go on',
        },
      )
    const signed = new Set(parseSignatures(first.text, what).map(({ keyId }) => keyIdText(keyId)))
    const both = claimed.filter((id) => signed.has(id))
    if (both.length === 0) refuse(what, channel, claimed)
    for (const id of both) unverified.add(id)
  }
  return [...unverified]
}

function requireSignature({ body, text }: FirstRoot, key: PublicKey, what: string): void {
  try {
    verifySignatures({ text, prehash: prehash(body), signers: soleSigner(key), engine: signatureEngine, what })
  } catch (cause) {
    if (!isPsyblobError(cause, 'untrusted')) throw cause
    throw new PsyblobError('untrusted', cause.message, { cause, hint })
  }
}

const hint = 'sign it with the key that nodes trust as well: psyblob root sign FILE --key KEY; it need not be among the keys of the root'

function refuse(what: string, channel: string, ids: readonly string[]): never {
  throw new PsyblobError('untrusted', `${what} is not signed by key ${ids.join(', ')}, which nodes of the channel ${channel} trust now`, {
    hint,
  })
}

function isHeld(check: () => unknown): boolean {
  try {
    check()
    return true
  } catch (error) {
    if (isPsyblobError(error, 'untrusted')) return false
    throw error
  }
}
