// The platform's side of signatures: OpenSSL through node:crypto (spec/minisign.md 4).
import { createHash, createPublicKey, randomBytes, scrypt, verify } from 'node:crypto'
import { type Bytes, type KeyEngine, PsyblobError, type RawVerify } from '../core/mod.ts'

/** SubjectPublicKeyInfo of an Ed25519 key, before its 32 bytes (RFC 8410). */
const prefix = Buffer.from('302a300506032b6570032100', 'hex')

const rawVerify: RawVerify = ({ publicKey, message, signature }) => {
  const key = createPublicKey({ key: Buffer.concat([prefix, publicKey]), format: 'der', type: 'spki' })
  return verify(null, message, key, signature)
}

export const signatureEngine: KeyEngine & { readonly verify: RawVerify } = {
  verify: rawVerify,
  random: (length) => plain(randomBytes(length)),
  scrypt: (password, salt, { N, r, p, length }) =>
    new Promise((resolve, reject) => {
      // OpenSSL needs 128 * N * r bytes and a little; its own limit is 32 MiB
      const maxmem = 128 * N * r + 128 * r * p + 1024 * 1024
      scrypt(password, salt, length, { N, r, p, maxmem }, (error, key) =>
        error === null ? resolve(plain(key)) : reject(withoutMemory(error, maxmem)),
      )
    }),
}

function withoutMemory(cause: Error, bytes: number): PsyblobError {
  return new PsyblobError(
    'unsupported',
    `the password of a secret key takes ${Math.ceil(bytes / 2 ** 20)} MiB of memory to check, and that failed: ${cause.message}`,
    {
      hint: 'use the key on a machine with more memory, or one without a password: psyblob key new OUT --no-password',
      cause,
    },
  )
}

/** BLAKE2b-512 of `bytes`, 64 bytes: what a signature is made over. */
export function prehash(bytes: Uint8Array): Uint8Array {
  return plain(createHash('blake2b512').update(bytes).digest())
}

/** The same for bytes that do not fit into memory. */
export async function prehashOf(bytes: Bytes): Promise<Uint8Array> {
  const hash = createHash('blake2b512')
  for await (const piece of bytes) hash.update(piece)
  return plain(hash.digest())
}

/** No Buffer leaves here: its `slice` shares memory where that of a Uint8Array copies. */
function plain(bytes: Buffer): Uint8Array {
  return Uint8Array.from(bytes)
}
