import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { prehash, prehashOf, signatureEngine } from '../../store/crypto.ts'

const text = (value: string) => new Uint8Array(Buffer.from(value))

describe('the prehash', () => {
  test('comes as a plain array, as scrypt and random bytes do', async () => {
    const scrypt = await signatureEngine.scrypt(text('a'), text('b'), { N: 2, r: 8, p: 1, length: 8 })
    for (const each of [prehash(text('abc')), scrypt, signatureEngine.random(8)]) expect(Buffer.isBuffer(each)).toBe(false)
  })
  test('is BLAKE2b-512 of RFC 7693', () => {
    const abc =
      'ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d17d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923'
    expect(Buffer.from(prehash(text('abc'))).toString('hex')).toBe(abc)
  })
  test('of a stream is that of its bytes, whatever the pieces', async () => {
    const whole = Uint8Array.from({ length: 100_000 }, (_, at) => at * at)
    for (const step of [1000, 4096, 99_999]) {
      async function* pieces() {
        for (let at = 0; at < whole.length; at += step) yield whole.subarray(at, at + step)
      }
      expect(Buffer.from(await prehashOf(pieces()))).toEqual(Buffer.from(prehash(whole)))
    }
  })
  test('of a stream that fails is no prehash', async () => {
    async function* broken() {
      yield text('abc')
      throw new Error('cable pulled')
    }
    await expect(prehashOf(broken())).rejects.toThrow('cable pulled')
  })
})

describe('scrypt', () => {
  test('gives the published output of RFC 7914', async () => {
    const key = await signatureEngine.scrypt(text('password'), text('NaCl'), { N: 1024, r: 8, p: 16, length: 64 })
    expect(Buffer.from(key).toString('hex')).toBe(
      'fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b3731622eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640',
    )
  })
  test('takes more than the 32 MiB that OpenSSL allows by itself', async () => {
    const key = await signatureEngine.scrypt(text('password'), text('NaCl'), { N: 2 ** 16, r: 8, p: 1, length: 104 })
    expect(key).toHaveLength(104)
  })
  test('with a cost that nobody can have fails instead of answering', async () => {
    await expect(signatureEngine.scrypt(text('password'), text('NaCl'), { N: 3, r: 8, p: 1, length: 104 })).rejects.toThrow()
  })
})

test('raw verification refuses rather than throws for a key that is no point of the curve', () => {
  const publicKey = Uint8Array.from({ length: 32 }, (_, at) => (at === 0 ? 2 : 0))
  expect(signatureEngine.verify({ publicKey, message: text('abc'), signature: new Uint8Array(64) })).toBe(false)
})

test('random bytes differ and have the length that was asked for', () => {
  const one = signatureEngine.random(32)
  expect(one).toHaveLength(32)
  expect(createHash('sha256').update(one).digest('hex')).not.toBe(createHash('sha256').update(signatureEngine.random(32)).digest('hex'))
})
