// The three published sets of Ed25519 vectors, where they are at hand: Wycheproof, speccheck, CCTV.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const folder = process.env['PSYBLOB_VECTORS'] ?? join(import.meta.dirname, '../../../shared/vectors')
export const isPublishedHere = existsSync(folder)
if (!isPublishedHere) console.log(`no published Ed25519 vectors in ${folder}: set PSYBLOB_VECTORS to run them`)

const read = (name: string): unknown => JSON.parse(readFileSync(join(folder, name), 'utf8'))
const hex = (text: string) => Uint8Array.from(Buffer.from(text, 'hex'))

export type Published = {
  readonly publicKey: Uint8Array
  readonly message: Uint8Array
  readonly signature: Uint8Array
  /** As its authors call it. */
  readonly name: string
  /** What its authors expect, where they say so. */
  readonly isValid: boolean | undefined
  readonly flags: readonly string[]
}

export function wycheproof(): readonly Published[] {
  type Case = { tcId: number; msg: string; sig: string; result: string }
  const { testGroups } = read('ed25519-wycheproof.json') as { testGroups: { publicKey: { pk: string }; tests: Case[] }[] }
  return testGroups.flatMap(({ publicKey, tests }) =>
    tests.map(({ tcId, msg, sig, result }) => ({
      publicKey: hex(publicKey.pk),
      message: hex(msg),
      signature: hex(sig),
      name: String(tcId),
      isValid: result === 'valid',
      flags: [],
    })),
  )
}

export function speccheck(): readonly Published[] {
  const cases = read('ed25519-speccheck.json') as { message: string; pub_key: string; signature: string }[]
  return cases.map(({ message, pub_key, signature }, at) => ({
    publicKey: hex(pub_key),
    message: hex(message),
    signature: hex(signature),
    name: String(at),
    isValid: undefined,
    flags: [],
  }))
}

export function cctv(): readonly Published[] {
  const cases = read('ed25519-cctv.json') as { key: string; sig: string; msg: string; flags: string[] | null }[]
  return cases.map(({ key, sig, msg, flags }, at) => ({
    publicKey: hex(key),
    message: Uint8Array.from(Buffer.from(msg)),
    signature: hex(sig),
    name: String(at),
    isValid: undefined,
    flags: flags ?? [],
  }))
}
