// From received bytes to a document that may be believed: signature first, then parse, then compare (spec/trust.md 1).
import {
  type CID,
  checkNotRevoked,
  checkTrustedComment,
  cidOf,
  isPsyblobError,
  limits,
  type Manifest,
  manifestComment,
  type Pointer,
  PsyblobError,
  parseManifest,
  parsePointer,
  pointerComment,
  type Signers,
  splitPointerFile,
  utf8Decode,
  verifySignatures,
} from '../core/mod.ts'
import { type Authority, knownBy, releasedBy } from './authority.ts'
import { blake3 } from './blake3.ts'
import { prehash, signatureEngine } from './crypto.ts'
import type { SignedManifest } from './local.ts'

/** A manifest whose signature held; `body` is what was signed. */
export type VerifiedManifest = { readonly manifest: Manifest; readonly cid: CID; readonly signed: SignedManifest }
/** The same without those bytes: of a hundred thousand entries they are as much again. */
export type Release = Omit<VerifiedManifest, 'signed'>
export type VerifiedPointer = { readonly pointer: Pointer; readonly cid: CID; readonly bytes: Uint8Array }

/** Whose releases of what are believed. */
type Believed = { readonly authority: Authority; readonly product: string }

/** A release from outside: signed by all who must have signed it, and not taken back. Throws `untrusted` or `malformed`. `what` names it, e.g. `manifest os/17`. */
export function verifyRelease(signed: SignedManifest, { authority, product }: Believed, what: string): VerifiedManifest {
  const verified = verifyManifest(signed, releasedBy(authority, product), what)
  checkNotRevoked(authority.root, verified.manifest, verified.cid)
  return verified
}

/** A release that lies on this machine and was verified when it came: keys that were taken away since still tell what it is. */
export function verifyKept(signed: SignedManifest, { authority, product }: Believed, what: string): VerifiedManifest {
  const verified = verifyManifest(signed, knownBy(authority, product), what)
  checkNotRevoked(authority.root, verified.manifest, verified.cid)
  return verified
}

/** Whether a release that lies on this machine would be accepted anew. What only keys signed that were taken away since may be a thief's. */
export function isInForce({ signed, manifest }: VerifiedManifest, believed: Believed): boolean {
  try {
    verifyRelease(signed, believed, `manifest ${manifest.name}/${manifest.serial}`)
    return true
  } catch (error) {
    if (isPsyblobError(error)) return false
    throw error
  }
}

/** As `verifyKept`, of what is installed and has to be known to be replaced: also when it was taken back since. */
export function verifyInstalled(signed: SignedManifest, { authority, product }: Believed, what: string): VerifiedManifest {
  return verifyManifest(signed, knownBy(authority, product), what)
}

/** Throws `untrusted` (too few good signatures of `signers`) or `malformed`. */
export function verifyManifest(signed: SignedManifest, signers: Signers, what: string): VerifiedManifest {
  if (signed.signatures.length > limits.minisig)
    throw new PsyblobError('malformed', `signature of ${what}: larger than ${limits.minisig} bytes`)
  const comments = verifySignatures({
    text: utf8Decode(signed.signatures, `signature of ${what}`),
    prehash: prehash(signed.body),
    signers,
    engine: signatureEngine,
    what,
  })
  const manifest = parseManifest(signed.body, what)
  const cid = cidOf(blake3().digest(signed.body))
  for (const comment of comments) checkTrustedComment(comment, manifestComment(manifest, cid), what)
  return { manifest, cid, signed }
}

/** As `verifyManifest`, for a pointer file. Freshness is another question: core's `checkFreshness`. */
export function verifyPointer(bytes: Uint8Array, signers: Signers, what: string): VerifiedPointer {
  const { body, signatures } = splitPointerFile(bytes, what)
  const comments = verifySignatures({ text: signatures, prehash: prehash(body), signers, engine: signatureEngine, what })
  const pointer = parsePointer(body, what)
  const cid = cidOf(blake3().digest(body))
  for (const comment of comments) checkTrustedComment(comment, pointerComment(pointer, cid), what)
  return { pointer, cid, bytes }
}

/** What a manifest must say about itself when it was asked for; undefined parts are not compared. */
export type ManifestExpectation = {
  readonly name: string
  readonly serial?: number | undefined
  readonly repo?: string | undefined
  readonly compat?: string | undefined
}

/** Throws `untrusted` with both values when the header is not what was asked for. */
export function checkManifestHeader(manifest: Manifest, expected: ManifestExpectation, what: string): void {
  const refuse = (field: string, wanted: string | number, got: string | number, hint: string): never => {
    throw new PsyblobError('untrusted', `${what}: expected ${field} ${wanted}, got ${got}`, { hint })
  }
  const { name, serial, repo, compat } = expected
  if (manifest.name !== name) refuse('product', name, manifest.name, 'a manifest lies in the wrong place; ask the publisher')
  if (serial !== undefined && manifest.serial !== serial)
    refuse('serial', serial, manifest.serial, 'a manifest lies in the wrong place; ask the publisher')
  if (repo !== undefined && manifest.repo !== repo)
    refuse('repository', repo, manifest.repo, 'the release belongs to another repository; ask the publisher')
  if (compat !== undefined && manifest.compat !== compat) {
    refuse(
      'compatibility',
      compat,
      manifest.compat,
      'the release is made for another kind of machine: choose another channel or product, or state --compat when this machine is one',
    )
  }
}
