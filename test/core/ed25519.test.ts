import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { isStrict, publicKeyOf, signEd25519, verifyEd25519 } from '../../core/ed25519.ts'
import { signatureEngine } from '../../store/crypto.ts'

const root = join(import.meta.dirname, '../..')
const published = process.env['PSYBLOB_VECTORS'] ?? join(root, '../shared/vectors')
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

if (!existsSync(published)) console.log(`no published Ed25519 vectors in ${published}: set PSYBLOB_VECTORS to run them`)
const read = (name: string): unknown => JSON.parse(readFileSync(join(published, name), 'utf8'))

describe.skipIf(!existsSync(published))('published vectors', () => {
  test('all 151 of Wycheproof are judged as they are marked', () => {
    type File = { testGroups: { publicKey: { pk: string }; tests: { tcId: number; msg: string; sig: string; result: string }[] }[] }
    const tests = (read('ed25519-wycheproof.json') as File).testGroups.flatMap(({ publicKey, tests }) =>
      tests.map((each) => ({ ...each, key: publicKey.pk })),
    )
    const wrong = tests.filter(({ key, msg, sig, result }) => accepts(key, hex(msg), sig) !== (result === 'valid'))
    expect(wrong.map(({ tcId }) => tcId)).toEqual([])
    expect(tests).toHaveLength(151)
  })
  test('only case 3 of speccheck is accepted, as by libsodium', () => {
    const cases = read('ed25519-speccheck.json') as { message: string; pub_key: string; signature: string }[]
    expect(cases).toHaveLength(12)
    expect(cases.flatMap(({ pub_key, message, signature }, at) => (accepts(pub_key, hex(message), signature) ? [at] : []))).toEqual([3])
  })
  test('43 of the 914 of CCTV are accepted: none with a small-order point or a non-canonical encoding', () => {
    const cases = read('ed25519-cctv.json') as { key: string; sig: string; msg: string; flags: string[] | null }[]
    const accepted = cases.filter(({ key, sig, msg }) => accepts(key, Buffer.from(msg), sig))
    expect(cases).toHaveLength(914)
    expect(accepted).toHaveLength(43)
    expect(accepted.flatMap(({ flags }) => flags ?? []).filter((flag) => /^(low_order_[AR]|non_canonical_[AR])$/.test(flag))).toEqual([])
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
