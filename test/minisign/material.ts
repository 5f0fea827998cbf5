// What mutations begin with: a small file, keys, and signature files that are valid, or that a lenient verifier would take.
import { createHash, createPrivateKey, sign } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { formatSecretKeyFile, newSecretKey, type SecretKey } from '../../core/mod.ts'
import { prehash, signatureEngine } from '../../store/crypto.ts'
import {
  add,
  base,
  challenge,
  decode,
  encode,
  L,
  littleEndian,
  multiply,
  type Point,
  smallPoints,
  spellings,
  toBytes,
} from '../core/curve.ts'
import type { Random } from './random.ts'
import type { Stock } from './stock.ts'

/** What is signed. */
export const file = 'os.json'

/** Texts are latin1: one character a byte. */
export type Material = {
  readonly key: SecretKey
  /** BLAKE2b-512 of the file. */
  readonly digest: Uint8Array
  /** By psyblob's own hand and by stock minisign; one and two blocks; a legacy one. */
  readonly files: readonly string[]
  /** S that is not the least, R and A of other orders, R in other spellings: each with a rightly signed rest. */
  readonly forged: readonly string[]
  /** A block over the file; all of it rightly signed, whatever the comments are. */
  readonly block: (trustedComment: string, untrustedComment: string) => string
  /** By somebody else; when `isBorrowed`, under the id of the key. */
  readonly foreign: (isBorrowed: boolean) => string
}

/** Writes the file into `dir`. */
export async function makeMaterial(dir: string, stock: Stock, random: Random): Promise<Material> {
  const engine = { ...signatureEngine, random: (length: number) => Uint8Array.from(random.bytes(length)) }
  const [key, other] = [newSecretKey(engine), newSecretKey(engine)]
  const body = Uint8Array.from(random.bytes(3000))
  writeFileSync(join(dir, file), body)
  writeFileSync(join(dir, 'os.key'), await formatSecretKeyFile(key, { password: undefined, engine }), { mode: 0o600 })
  const stockFile = (...words: readonly string[]) => {
    stock.sign('os.key', file, '', words)
    return readFileSync(join(dir, `${file}.minisig`), 'latin1')
  }
  const digest = prehash(body)
  const block = (trustedComment: string, untrustedComment: string) =>
    blockOf(key, signRaw(key.seed, digest), { trustedComment, untrustedComment })
  const foreign = (isBorrowed: boolean) => {
    const id = isBorrowed ? key.publicKey.id : other.publicKey.id
    const comments = { trustedComment: 'by another', untrustedComment: 'signature' }
    return blockOf({ ...other, publicKey: { ...other.publicKey, id } }, signRaw(other.seed, digest), comments)
  }
  const ours = block('psyblob type=manifest repo=org.example.os name=os serial=17', 'signature from psyblob')
  const stocks = [stockFile(), stockFile('-t', 'a comment', '-c', 'another'), stockFile('-l')]
  const forged = Array.from({ length: 120 }, (_, at) => forgedFile(key, digest, random, at % 2 === 0))
  return { key, digest, files: [ours, ours, ...stocks, `${ours}${foreign(false)}`, `${foreign(false)}${ours}`], forged, block, foreign }
}

/** Ed25519 by OpenSSL: a thousand times as quick as the portable one. */
function signRaw(seed: Uint8Array, message: Uint8Array): Uint8Array {
  const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed])
  return Uint8Array.from(sign(null, message, createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })))
}

type Comments = { readonly trustedComment: string; readonly untrustedComment: string }

function blockOf({ seed, publicKey }: SecretKey, signature: Uint8Array, comments: Comments, globally?: Uint8Array): string {
  const { trustedComment, untrustedComment } = comments
  const head = Buffer.concat([Buffer.from('ED'), publicKey.id, signature]).toString('base64')
  const tail = globally ?? signRaw(seed, signedComment(signature, trustedComment))
  return `untrusted comment: ${untrustedComment}\n${head}\ntrusted comment: ${trustedComment}\n${Buffer.from(tail).toString('base64')}\n`
}

const signedComment = (signature: Uint8Array, comment: string) => Uint8Array.from([...signature, ...Buffer.from(comment, 'latin1')])

/** One of its two signatures is not made as it should be. */
function forgedFile(key: SecretKey, digest: Uint8Array, random: Random, isFirst: boolean): string {
  const comments = { trustedComment: 'a comment', untrustedComment: 'signature' }
  if (isFirst) return blockOf(key, forge(key, digest, random), comments)
  const signature = signRaw(key.seed, digest)
  return blockOf(key, signature, comments, forge(key, signedComment(signature, comments.trustedComment), random))
}

function forge({ seed, publicKey }: SecretKey, message: Uint8Array, random: Random): Uint8Array {
  const secret = createHash('sha512').update(seed).digest().subarray(0, 32)
  secret[0] = (secret[0] ?? 0) & 0xf8
  secret[31] = ((secret[31] ?? 0) & 0x7f) | 0x40
  const nonce = littleEndian(random.bytes(32)) % L
  const small = random.pick(smallPoints)
  const mixed = encode(add(multiply(nonce, base), small))
  const [R, r] = random.pick([
    [mixed, nonce],
    [encode(multiply(nonce, base)), nonce],
    [random.pick(spellings(small)), 0n],
  ] as const)
  // some verifiers hash the point, and not the bytes it came as
  const hashed = random.below(4) === 0 ? encode(decode(R) as Point) : R
  const S = (r + challenge(hashed, publicKey.key, message) * littleEndian(secret)) % L
  return Uint8Array.from([
    ...R,
    ...toBytes(S + L * BigInt(random.pick([0, 0, 1, 2, 7, 8, 15].filter((times) => S + L * BigInt(times) < 2n ** 256n)))),
  ])
}
