// Signatures as minisign writes them: `ED`, over BLAKE2b-512 of the file, with a trusted comment (spec/minisign.md 3).
import { fromBase64, toBase64 } from './base64.ts'
import { type RawVerify, signEd25519, verifyEd25519 } from './ed25519.ts'
import { PsyblobError } from './errors.ts'
import { limits } from './limits.ts'
import { keyIdText } from './public-key.ts'
import type { SecretKey } from './secret-key.ts'
import type { Signers } from './signers.ts'
import { utf8Encode } from './utf8.ts'

export type Signature = {
  /** 8 bytes: which key claims to have signed. */
  readonly keyId: Uint8Array
  /** 64 bytes, over the prehash. */
  readonly signature: Uint8Array
  readonly trustedComment: string
  /** 64 bytes, over signature and trusted comment. */
  readonly globalSignature: Uint8Array
}

const untrusted = 'untrusted comment: '
const trusted = 'trusted comment: '
const printable = /^[\x20-\x7e]*$/
/** With the tab, which stock minisign puts into its own comment: `timestamp:…<tab>file:…<tab>hashed`. */
const printableOrTab = /^[\t\x20-\x7e]*$/

/** Reads 1 to 16 blocks of exactly four lines, each ended by LF. Throws `malformed`; `untrusted` for the legacy algorithm. */
export function parseSignatures(text: string, what: string): readonly Signature[] {
  const refuse = (why: string): never => {
    throw new PsyblobError('malformed', `signature of ${what}: ${why}`, {
      hint: 'something else than a minisign signature lies there, or it was damaged: sign again, or ask the publisher',
    })
  }
  if (text.length > limits.minisig) refuse(`larger than ${limits.minisig} bytes`)
  const lines = text.split('\n')
  if (lines.pop() !== '') refuse('the last line is not ended')
  if (lines.length === 0 || lines.length % 4 !== 0) refuse(`expected blocks of four lines, got ${lines.length} lines`)
  if (lines.length / 4 > limits.signatures) refuse(`more than ${limits.signatures} signatures`)
  const signatures: Signature[] = []
  for (let at = 0; at < lines.length; at += 4) {
    const [first = '', second = '', third = '', fourth = ''] = lines.slice(at, at + 4)
    if (!first.startsWith(untrusted) || !printable.test(first)) refuse(`line ${at + 1} is no untrusted comment of printable characters`)
    if (!third.startsWith(trusted) || !printableOrTab.test(third)) refuse(`line ${at + 3} is no trusted comment of printable characters`)
    for (const [line, prefix, most] of [
      [first, untrusted, limits.untrustedComment],
      [third, trusted, limits.trustedComment],
    ] as const)
      if (line.length > prefix.length + most) refuse(`the ${prefix.trim().slice(0, -1)} is longer than ${most} characters`)
    const head = fromBase64(second)
    const tail = fromBase64(fourth)
    if (head?.length !== 74) return refuse(`line ${at + 2} is no signature in canonical base64`)
    if (tail?.length !== 64) return refuse(`line ${at + 4} is no signature in canonical base64`)
    const algorithm = String.fromCharCode(...head.subarray(0, 2))
    if (algorithm === 'Ed')
      throw new PsyblobError('untrusted', `signature of ${what}: a legacy signature, which is not accepted`, {
        hint: 'sign with minisign -S -H or psyblob sign',
      })
    if (algorithm !== 'ED') refuse('an algorithm that minisign does not have')
    signatures.push({
      keyId: head.slice(2, 10),
      signature: head.slice(10),
      trustedComment: third.slice(trusted.length),
      globalSignature: tail,
    })
  }
  return signatures
}

export type VerifyOptions = {
  /** The signature file. */
  readonly text: string
  /** BLAKE2b-512 of the signed bytes, 64 bytes. */
  readonly prehash: Uint8Array
  readonly signers: Signers
  readonly engine: { readonly verify: RawVerify }
  /** Names the signed thing in messages. */
  readonly what: string
}

/**
 * The trusted comments of as many distinct keys as it takes. Throws `untrusted` rather than answering false: a result nobody looks at must
 * not mean yes.
 */
export function verifySignatures({ text, prehash, signers, engine, what }: VerifyOptions): string[] {
  const { threshold, keys } = signers
  const signatures = parseSignatures(text, what)
  // keys of 32 bytes are counted: one key under two ids, or two signatures of it, are one
  const comments = new Map<string, string>()
  let claimed = false
  for (const { keyId, ...signature } of signatures) {
    for (const key of keys) {
      if (comments.size >= threshold) break
      if (keyIdText(keyId) !== keyIdText(key.id)) continue
      claimed = true
      const identity = key.key.join()
      if (!comments.has(identity) && holds(signature, { key: key.key, prehash, engine })) comments.set(identity, signature.trustedComment)
    }
  }
  if (comments.size >= threshold && threshold >= 1) return [...comments.values()]
  const wanted = keys.map(({ id }) => keyIdText(id)).join(', ')
  const got = [...new Set(signatures.map(({ keyId }) => keyIdText(keyId)))].join(', ')
  if (threshold > 1) {
    throw new PsyblobError(
      'untrusted',
      `${what}: expected signatures by ${threshold} of the keys ${wanted}, got ${comments.size} that hold (signed by ${got})`,
      {
        hint: 'signatures are missing: whoever signs names more keys with --key, or more signature files with --signature',
      },
    )
  }
  if (!claimed) {
    throw new PsyblobError('untrusted', `${what}: expected a signature by key ${wanted}, got ${got}`, {
      hint: 'check that the public key is the publisher’s and that the address is right (psyblob key show FILE.pub prints a key)',
    })
  }
  throw new PsyblobError('untrusted', `${what}: the signature by key ${wanted} does not hold`, {
    hint: 'the bytes were changed after they were signed: try another mirror, or ask the publisher',
  })
}

type Held = { readonly key: Uint8Array; readonly prehash: Uint8Array; readonly engine: { readonly verify: RawVerify } }

/** Both signatures of a block: over the prehash, and over that signature with its trusted comment. */
function holds({ signature, trustedComment, globalSignature }: Omit<Signature, 'keyId'>, { key, prehash, engine }: Held): boolean {
  const comment = utf8Encode(trustedComment)
  const whole = new Uint8Array(signature.length + comment.length)
  whole.set(signature)
  whole.set(comment, signature.length)
  return (
    verifyEd25519({ publicKey: key, message: prehash, signature }, engine.verify) &&
    verifyEd25519({ publicKey: key, message: whole, signature: globalSignature }, engine.verify)
  )
}

export type SignOptions = {
  readonly secretKey: SecretKey
  /** BLAKE2b-512 of the bytes to sign, 64 bytes. */
  readonly prehash: Uint8Array
  readonly trustedComment: string
  readonly untrustedComment?: string
}

/** One block of four lines. Throws `usage` for a comment that minisign's readers would refuse. */
export function signPrehash({ secretKey, prehash, trustedComment, untrustedComment }: SignOptions): string {
  const { seed, publicKey } = secretKey
  const first = untrustedComment ?? `signature from psyblob, key ${keyIdText(publicKey.id)}`
  for (const [comment, most] of [
    [trustedComment, 1024],
    [first, limits.untrustedComment],
  ] as const) {
    if (!printable.test(comment) || comment.length > most) {
      throw new PsyblobError('usage', `this comment of a signature is at most ${most} printable ASCII characters`, {
        hint: 'leave other characters out',
      })
    }
  }
  const signature = signEd25519(seed, prehash)
  const globalSignature = signEd25519(seed, Uint8Array.from([...signature, ...utf8Encode(trustedComment)]))
  return `${untrusted}${first}\n${toBase64(Uint8Array.from([0x45, 0x44, ...publicKey.id, ...signature]))}\n${trusted}${trustedComment}\n${toBase64(globalSignature)}\n`
}
