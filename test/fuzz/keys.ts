// Keys and signatures that inputs are made from, the same in every run.
import { createHash } from 'node:crypto'
import { publicKeyOf } from '../../core/ed25519.ts'
import { parsePublicKey, type SecretKey, signPrehash } from '../../core/mod.ts'
import { makePublicKey } from '../../core/public-key.ts'
import { prehashOf } from '../../store/mod.ts'
import { utf8 } from './seeds.ts'

/** The key of spec/minisign.md 6. */
export const exampleKey: SecretKey = {
  seed: new Uint8Array(createHash('sha256').update('psyblob test key one').digest()),
  publicKey: parsePublicKey('RWQBAgMEBQYHCOqvviARd8aHQGkkUp/ZXgfZWnyIt9Pl+a7TiPAMPC4Q'),
}

export function keyNumber(number: number): SecretKey {
  const seed = new Uint8Array(createHash('sha256').update(`fuzz key ${number}`).digest())
  return {
    seed,
    publicKey: makePublicKey(
      Uint8Array.from({ length: 8 }, (_, at) => at + number),
      publicKeyOf(seed),
    ),
  }
}

export async function signed(secretKey: SecretKey, file: string, trustedComment: string): Promise<string> {
  return signPrehash({ secretKey, prehash: await hashed(file), trustedComment })
}

/** BLAKE2b-512. */
export function hashed(file: string): Promise<Uint8Array> {
  return prehashOf(
    (async function* () {
      yield utf8(file)
    })(),
  )
}
