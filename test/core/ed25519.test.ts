import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { isStrict, publicKeyOf, signEd25519, verifyEd25519 } from '../../core/ed25519.ts'
import { signatureEngine } from '../../store/crypto.ts'
import { cctv, isPublishedHere, type Published, speccheck, wycheproof } from './published.ts'

const root = join(import.meta.dirname, '../..')
const hex = (text: string) => Uint8Array.from(Buffer.from(text, 'hex'))
const accepts = (key: string, message: Uint8Array, signature: string) =>
  verifyEd25519({ publicKey: hex(key), message, signature: hex(signature) }, signatureEngine.verify)

describe('our own vectors', () => {
  const folder = join(root, 'spec/vectors/ed25519')
  type Case = { what: string; publicKey: string; message: string; signature: string; expect: 'ok' | 'untrusted' }
  test.each(readdirSync(folder))('%s', (name) => {
    const { publicKey, message, signature, expect: expected } = JSON.parse(readFileSync(join(folder, name), 'utf8')) as Case
    expect(accepts(publicKey, hex(message), signature) ? 'ok' : 'untrusted').toBe(expected)
  })
  // OpenSSL refuses some of them as well; another engine, or another release of it, may not
  test.each(readdirSync(folder).filter((name) => /^(s|a|r|signature)-|^key-3/.test(name)))(
    '%s is refused even if the engine says yes',
    (name) => {
      const { publicKey, message, signature } = JSON.parse(readFileSync(join(folder, name), 'utf8')) as Case
      expect(verifyEd25519({ publicKey: hex(publicKey), message: hex(message), signature: hex(signature) }, () => true)).toBe(false)
    },
  )
})

const isAccepted = ({ publicKey, message, signature }: Published) =>
  verifyEd25519({ publicKey, message, signature }, signatureEngine.verify)

describe.skipIf(!isPublishedHere)('published vectors', () => {
  test('all 151 of Wycheproof are judged as they are marked', () => {
    const cases = wycheproof()
    expect(cases.filter((each) => isAccepted(each) !== each.isValid).map(({ name }) => name)).toEqual([])
    expect(cases).toHaveLength(151)
  })
  test('only case 3 of speccheck is accepted, as by libsodium', () => {
    const cases = speccheck()
    expect(cases).toHaveLength(12)
    expect(cases.filter(isAccepted).map(({ name }) => name)).toEqual(['3'])
  })
  test('43 of the 914 of CCTV are accepted: none with a small-order point or a non-canonical encoding', () => {
    const cases = cctv()
    const accepted = cases.filter(isAccepted)
    expect(cases).toHaveLength(914)
    expect(accepted).toHaveLength(43)
    expect(accepted.flatMap(({ flags }) => flags).filter((flag) => /^(low_order_[AR]|non_canonical_[AR])$/.test(flag))).toEqual([])
  })
})

describe('a signature', () => {
  const seed = new Uint8Array(32).fill(7)
  const publicKey = publicKeyOf(seed)
  const message = Buffer.from('release 17')
  const signature = signEd25519(seed, message)

  test('made here holds, and is the same every time', () => {
    expect(verifyEd25519({ publicKey, message, signature }, signatureEngine.verify)).toBe(true)
    expect(signEd25519(seed, message)).toEqual(signature)
  })
  test('does not hold after any one of its bits was flipped', () => {
    for (let bit = 0; bit < 512; bit++) {
      const changed = signature.map((byte, at) => (at === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte))
      expect(verifyEd25519({ publicKey, message, signature: changed }, signatureEngine.verify)).toBe(false)
    }
  })
  test('of a wrong length never reaches the engine', () => {
    const never = () => expect.unreachable('the engine was asked')
    for (const length of [0, 32, 63, 65])
      expect(verifyEd25519({ publicKey, message, signature: new Uint8Array(length) }, never)).toBe(false)
    for (const length of [0, 31, 33])
      expect(verifyEd25519({ publicKey: new Uint8Array(length).fill(9), message, signature }, never)).toBe(false)
  })
  test('that is strict says nothing about whether it holds', () => {
    expect(isStrict(publicKey, signature)).toBe(true)
    expect(verifyEd25519({ publicKey, message: Buffer.from('release 18'), signature }, signatureEngine.verify)).toBe(false)
  })
})
