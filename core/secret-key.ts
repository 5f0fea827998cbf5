// Secret keys as minisign writes them, encrypted by a password or not (spec/minisign.md 2).
import { blake2b } from '@noble/hashes/blake2.js'
import { fromBase64, toBase64 } from './base64.ts'
import { publicKeyOf } from './ed25519.ts'
import { PsyblobError } from './errors.ts'
import { makePublicKey, type PublicKey } from './public-key.ts'

/** What reading and writing keys needs from the platform. */
export interface KeyEngine {
  /** scrypt (RFC 7914); `length` bytes. */
  scrypt(password: Uint8Array, salt: Uint8Array, cost: ScryptCost & { readonly length: number }): Promise<Uint8Array>
  /** Unpredictable bytes. */
  random(length: number): Uint8Array
}

export type ScryptCost = { readonly N: number; readonly r: number; readonly p: number }

export type SecretKey = {
  /** 32 bytes. */
  readonly seed: Uint8Array
  readonly publicKey: PublicKey
}

/** What a key file says without its password. */
export type SecretKeyFile = {
  readonly encrypted: boolean
  readonly cost: ScryptCost
  readonly salt: Uint8Array
  /** 104 bytes: id, seed, public key, checksum; XORed with scrypt's output when encrypted. */
  readonly body: Uint8Array
}

const fileBytes = 158
const bodyBytes = 104
const most = 2 ** 21
/** What minisign uses: 1 GiB and about four seconds. */
const defaultLimits = { operations: 33_554_432, memory: 1_073_741_824 } as const

/** N, r and p for the two limits in a key file, as libsodium's crypto_pwhash_scryptsalsa208sha256 picks them. */
export function scryptCost(operations: number, memory: number): ScryptCost {
  const r = 8
  const ops = Math.max(operations, 32768)
  const least = (maxN: number) => {
    let N = 2
    while (N <= maxN / 2 && N < 2 ** 53) N *= 2
    return N
  }
  if (ops < memory / 32) return { N: least(Math.floor(ops / (r * 4))), r, p: 1 }
  const N = least(Math.floor(memory / (r * 128)))
  return { N, r, p: Math.floor(Math.min(Math.floor(ops / 4 / N), 0x3fffffff) / r) }
}

/** Reads a key file without decrypting it. Throws `malformed`, or `unsupported` for a cost beyond 2 GiB. */
export function parseSecretKeyFile(source: string, what: string): SecretKeyFile {
  const lines = source.split('\n')
  if (lines.at(-1) === '') lines.pop()
  const bytes = lines.length === 2 && lines[0]?.startsWith('untrusted comment:') === true ? fromBase64(lines[1] ?? '') : undefined
  const text = (from: number, to: number) => String.fromCharCode(...(bytes?.subarray(from, to) ?? []))
  const kdf = text(2, 4)
  if (bytes?.length !== fileBytes || text(0, 2) !== 'Ed' || (kdf !== 'Sc' && kdf !== '\0\0') || text(4, 6) !== 'B2') {
    throw new PsyblobError('malformed', `${what}: not a secret key of minisign`, {
      hint: 'name a .key file made by psyblob key new or minisign -G',
    })
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  const cost = scryptCost(Number(view.getBigUint64(38, true)), Number(view.getBigUint64(46, true)))
  const encrypted = kdf === 'Sc'
  if (encrypted && (cost.N > most || cost.p > 16 || cost.p < 1)) {
    throw new PsyblobError('unsupported', `${what}: its password would take more than 2 GiB of memory to check`, {
      hint: 'make a key with psyblob key new or minisign -G',
    })
  }
  return { encrypted, cost, salt: bytes.slice(6, 38), body: bytes.slice(54) }
}

/** The key itself. Throws `usage` for a wrong or missing password, `malformed` when its parts do not belong together. */
export async function openSecretKey(
  file: SecretKeyFile,
  options: { readonly password: Uint8Array | undefined; readonly engine: KeyEngine; readonly what: string },
): Promise<SecretKey> {
  const { password, engine, what } = options
  let body = file.body
  if (file.encrypted) {
    if (password === undefined)
      throw new PsyblobError('usage', `${what} is encrypted and no password was given`, {
        hint: 'run it on a terminal, or set PSYBLOB_PASSWORD or --password-file',
      })
    const stream = await engine.scrypt(password, file.salt, { ...file.cost, length: bodyBytes })
    body = body.map((byte, at) => byte ^ (stream[at] as number))
  }
  const [id, seed, key, checksum] = [body.slice(0, 8), body.slice(8, 40), body.slice(40, 72), body.slice(72)]
  // a key made with -W has an all-zero checksum
  const unchecked = !file.encrypted && checksum.every((byte) => byte === 0)
  if (!unchecked && !same(checksum, checksumOf(id, seed, key))) {
    if (file.encrypted) throw new PsyblobError('usage', `wrong password for ${what}`, { hint: 'try again; nothing was changed' })
    throw new PsyblobError('malformed', `${what}: its checksum does not match`, { hint: 'restore the key file from a backup' })
  }
  if (!same(publicKeyOf(seed), key))
    throw new PsyblobError('malformed', `${what}: its public and secret parts do not belong together`, {
      hint: 'restore the key file from a backup',
    })
  return { seed, publicKey: makePublicKey(id, key) }
}

export function newSecretKey(engine: KeyEngine): SecretKey {
  const seed = engine.random(32)
  return { seed, publicKey: makePublicKey(engine.random(8), publicKeyOf(seed)) }
}

/** The file that minisign reads with -s: encrypted when there is a password. */
export async function formatSecretKeyFile(
  key: SecretKey,
  options: {
    readonly password: Uint8Array | undefined
    readonly engine: KeyEngine
    readonly limits?: { readonly operations: number; readonly memory: number }
  },
): Promise<string> {
  const { password, engine } = options
  const limits = options.limits ?? defaultLimits
  const { id, key: publicKey } = key.publicKey
  const bytes = new Uint8Array(fileBytes)
  bytes.set([0x45, 0x64, 0, 0, 0x42, 0x32])
  const body = bytes.subarray(54)
  body.set(id)
  body.set(key.seed, 8)
  body.set(publicKey, 40)
  if (password !== undefined) {
    const view = new DataView(bytes.buffer)
    const salt = engine.random(32)
    bytes.set([0x53, 0x63], 2)
    bytes.set(salt, 6)
    view.setBigUint64(38, BigInt(limits.operations), true)
    view.setBigUint64(46, BigInt(limits.memory), true)
    body.set(checksumOf(id, key.seed, publicKey), 72)
    const stream = await engine.scrypt(password, salt, { ...scryptCost(limits.operations, limits.memory), length: bodyBytes })
    for (let at = 0; at < bodyBytes; at++) body[at] = (body[at] as number) ^ (stream[at] as number)
  }
  return `untrusted comment: minisign ${password === undefined ? 'unencrypted' : 'encrypted'} secret key\n${toBase64(bytes)}\n`
}

function checksumOf(id: Uint8Array, seed: Uint8Array, key: Uint8Array): Uint8Array {
  return blake2b(Uint8Array.from([0x45, 0x64, ...id, ...seed, ...key]), { dkLen: 32 })
}

function same(one: Uint8Array, two: Uint8Array): boolean {
  let difference = one.length ^ two.length
  for (let at = 0; at < one.length; at++) difference |= (one[at] as number) ^ (two[at] ?? 0)
  return difference === 0
}
