// Everybody who has a key in the model, by name. Keys follow from the seed of the world, so that a history can be told again.
import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto'
import { type PublicKey, parsePublicKey } from '../../core/mod.ts'
import { prehash } from '../../store/crypto.ts'

/** PKCS #8 of an Ed25519 key, before its seed of 32 bytes (RFC 8410). */
const prefix = Buffer.from('302e020100300506032b657004220420', 'hex')

type Person = { readonly secret: KeyObject; readonly publicKey: PublicKey }

export class People {
  readonly #seed: string
  readonly #all = new Map<string, Person>()

  constructor(seed: string) {
    this.#seed = seed
  }

  #person(name: string): Person {
    const known = this.#all.get(name)
    if (known !== undefined) return known
    const digest = createHash('sha512').update(`${this.#seed} ${name}`).digest()
    const secret = createPrivateKey({ key: Buffer.concat([prefix, digest.subarray(0, 32)]), format: 'der', type: 'pkcs8' })
    const key = createPublicKey(secret).export({ format: 'der', type: 'spki' }).subarray(-32)
    const publicKey = parsePublicKey(Buffer.concat([Buffer.from('Ed'), digest.subarray(32, 40), key]).toString('base64'))
    const made = { secret, publicKey }
    this.#all.set(name, made)
    return made
  }

  keyOf(name: string): PublicKey {
    return this.#person(name).publicKey
  }

  /** A block of a signature file (minisign.md 3); with `as`, under the id of somebody else. */
  block(name: string, body: Uint8Array, comment: string, as = name): string {
    const { secret } = this.#person(name)
    // node:crypto signs a hundred times quicker than the product, which signs once a release
    const signature = sign(null, prehash(body), secret)
    const whole = sign(null, Buffer.concat([signature, Buffer.from(comment)]), secret)
    const head = Buffer.concat([Buffer.from('ED'), this.keyOf(as).id, signature]).toString('base64')
    return `untrusted comment: of the model\n${head}\ntrusted comment: ${comment}\n${whole.toString('base64')}\n`
  }
}
