import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { isPsyblobError } from '../../core/errors.ts'
import { formatPublicKeyFile, keyIdText, parsePublicKey } from '../../core/public-key.ts'
import { formatSecretKeyFile, newSecretKey, openSecretKey, parseSecretKeyFile, scryptCost } from '../../core/secret-key.ts'
import { parseSignatures, signPrehash, verifySignatures } from '../../core/signature.ts'
import { soleSigner } from '../../core/signers.ts'
import { signatureEngine as engine, prehash } from '../../store/crypto.ts'

const vectors = join(import.meta.dirname, '../../spec/vectors/minisign')
const what = 'manifest os/17'
const cheap = { operations: 32768, memory: 2 ** 20 }
const code = (expected: string) => expect.objectContaining({ code: expected })
const bytes = (text: string) => new Uint8Array(Buffer.from(text))

/** Reads a secret key file as the command line does. */
async function open(source: string, password?: string) {
  return openSecretKey(parseSecretKeyFile(source, 'os.key'), {
    password: password === undefined ? undefined : bytes(password),
    engine,
    what: 'os.key',
  })
}

describe('vectors', () => {
  type Case = { what: string; publicKey: string; file: string; signature: string; trustedComment?: string; expect: string }
  test.each(readdirSync(vectors))('%s', (name) => {
    const { publicKey, file, signature, trustedComment, expect: expected } = JSON.parse(readFileSync(join(vectors, name), 'utf8')) as Case
    let got = 'ok'
    try {
      const verified = verifySignatures({
        text: signature,
        prehash: prehash(bytes(file)),
        signers: soleSigner(parsePublicKey(publicKey)),
        engine,
        what,
      })
      expect(verified).toEqual([trustedComment])
    } catch (error) {
      if (!isPsyblobError(error)) throw error
      expect(error.hint).toMatch(/\S/)
      // biome-ignore lint/suspicious/noControlCharactersInRegex: none may be printed
      expect(error.message).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/)
      got = error.code
    }
    expect(got).toBe(expected)
  })
})

test('the worked example of the spec is what we read and write, byte for byte', async () => {
  const spec = readFileSync(join(import.meta.dirname, '../../spec/minisign.md'), 'utf8')
  const files = spec.match(/(?<=^```\n)untrusted comment: (.|\n)*?(?=^```)/gm) ?? []
  const [publicFile = '', clear = '', sealed = '', signature = ''] = files
  expect(files).toHaveLength(4)
  const key = await open(clear)
  const salt = { ...engine, random: (length: number) => Uint8Array.from({ length }, (_, at) => at) }
  expect(await open(sealed, 'hello')).toEqual(key)
  expect(formatPublicKeyFile(key.publicKey)).toBe(publicFile)
  expect(await formatSecretKeyFile(key, { password: undefined, engine })).toBe(clear)
  expect(await formatSecretKeyFile(key, { password: bytes('hello'), engine: salt, limits: cheap })).toBe(sealed)
  expect(signPrehash({ secretKey: key, prehash: prehash(bytes('hello\n')), trustedComment: 'file:hello' })).toBe(signature)
})

describe('a pair of keys', () => {
  const key = newSecretKey(engine)
  const signed = prehash(bytes('hello'))

  test('signs what its public half verifies, from the file or from the bare line', () => {
    const text = signPrehash({ secretKey: key, prehash: signed, trustedComment: 'psyblob type=manifest' })
    for (const source of [formatPublicKeyFile(key.publicKey), key.publicKey.text, `${key.publicKey.text}\n`]) {
      expect(verifySignatures({ text, prehash: signed, signers: soleSigner(parsePublicKey(source)), engine, what })).toEqual([
        'psyblob type=manifest',
      ])
    }
  })
  test.each(['two\nlines', 'tab\tbed', 'größe', '\u001b[31m', 'a'.repeat(1025)])('does not sign with the comment %j', (trustedComment) => {
    expect(() => signPrehash({ secretKey: key, prehash: signed, trustedComment })).toThrow(code('usage'))
  })
  test('writes no comment that stock minisign would not read', () => {
    const text = signPrehash({ secretKey: key, prehash: signed, trustedComment: 't'.repeat(1024), untrustedComment: 'u'.repeat(1003) })
    expect(parseSignatures(text, what)).toHaveLength(1)
    expect(() => signPrehash({ secretKey: key, prehash: signed, trustedComment: '', untrustedComment: 'u'.repeat(1004) })).toThrow(
      code('usage'),
    )
  })
  test('is told apart by the id when another key signed, and the message names both', () => {
    const text = signPrehash({ secretKey: newSecretKey(engine), prehash: signed, trustedComment: '' })
    const [block] = parseSignatures(text, what)
    const message = `${what}: expected a signature by key ${keyIdText(key.publicKey.id)}, got ${keyIdText(block?.keyId ?? new Uint8Array(8))}`
    expect(() => verifySignatures({ text, prehash: signed, signers: soleSigner(key.publicKey), engine, what })).toThrow(message)
  })
  test('comes back from its secret file, with a password and without', async () => {
    expect(await open(await formatSecretKeyFile(key, { password: undefined, engine }))).toEqual(key)
    const sealed = await formatSecretKeyFile(key, { password: bytes('pässword'), engine, limits: cheap })
    expect(parseSecretKeyFile(sealed, 'os.key').encrypted).toBe(true)
    expect(await open(sealed, 'pässword')).toEqual(key)
    await expect(open(sealed, 'password')).rejects.toThrow(code('usage'))
    await expect(open(sealed, 'password')).rejects.toThrow('wrong password for os.key')
    await expect(open(sealed)).rejects.toThrow(code('usage'))
  })
})

describe('a secret key file', () => {
  const clear = formatSecretKeyFile(newSecretKey(engine), { password: undefined, engine })
  const changed = async (change: (key: Buffer) => void) => {
    const [comment = '', line = ''] = (await clear).split('\n')
    const key = Buffer.from(line, 'base64')
    change(key)
    return `${comment}\n${key.toString('base64')}\n`
  }
  test.each([
    ['a changed seed', 62, 'malformed'],
    ['a changed public half', 94, 'malformed'],
    ['a checksum that is neither right nor zero', 157, 'malformed'],
    ['an unknown algorithm', 0, 'malformed'],
    ['an unknown encryption', 2, 'malformed'],
    ['an unknown checksum', 4, 'malformed'],
  ])('with %s is refused', async (_, at, expected) => {
    const source = await changed((key) => {
      key[at] = (key[at] ?? 0) ^ 1
    })
    await expect(open(source)).rejects.toThrow(code(expected))
  })
  test.each(['', 'x', '\n\n', 'untrusted comment: x\nRWQ\n'])('that reads %j is refused', (source) => {
    expect(() => parseSecretKeyFile(source, 'os.key')).toThrow(code('malformed'))
  })
  test.each([
    ['4 GiB of memory', 2n ** 27n, 2n ** 32n],
    ['hours', 2n ** 40n, 2n ** 20n],
    ['no time at all', 32768n, 2n ** 20n * 30n],
    ['everything there is', 2n ** 64n - 1n, 2n ** 64n - 1n],
  ])('that would take %s to open is refused before anything is computed, or is cheap', async (_, operations, memory) => {
    const source = await changed((key) => {
      key.write('Sc', 2)
      key.writeBigUInt64LE(operations, 38)
      key.writeBigUInt64LE(memory, 46)
    })
    const started = performance.now()
    await expect(open(source, 'x')).rejects.toThrow(expect.objectContaining({ code: expect.stringMatching(/^(unsupported|usage)$/) }))
    expect(performance.now() - started).toBeLessThan(5000)
  })
})

// libsodium's constants INTERACTIVE and SENSITIVE, its least opslimit, and what minisign halves its limits to when memory is short
test.each([
  [524_288, 16_777_216, { N: 2 ** 14, r: 8, p: 1 }],
  [33_554_432, 1_073_741_824, { N: 2 ** 20, r: 8, p: 1 }],
  [0, 16_777_216, { N: 2 ** 10, r: 8, p: 1 }],
  [16_777_216, 1_073_741_824, { N: 2 ** 19, r: 8, p: 1 }],
  [33_554_432, 536_870_912, { N: 2 ** 19, r: 8, p: 2 }],
])('the limits %d and %d mean the scrypt cost that libsodium picks', (operations, memory, cost) => {
  expect(scryptCost(operations, memory)).toEqual(cost)
})

describe('the program minisign', () => {
  let folder: string
  const at = (name: string) => join(folder, name)
  const read = (name: string) => readFileSync(at(name), 'utf8')
  const minisign = (argv: readonly string[], input = '') =>
    execFileSync('minisign', argv, { cwd: folder, input, encoding: 'utf8', stdio: 'pipe' })
  const hello = bytes('hello from psyblob\n')

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'psyblob-minisign-'))
    const { error, stdout } = spawnSync('minisign', ['-v'], { encoding: 'utf8' })
    if (error !== undefined) throw new Error('these tests need the program minisign on PATH: apt-get install minisign', { cause: error })
    expect(stdout).toMatch(/^minisign /)
    writeFileSync(at('hello'), hello)
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  test('accepts what we sign with a key of its own, and we accept what it signs, its tabs included', async () => {
    minisign(['-G', '-W', '-p', 'w.pub', '-s', 'w.key'])
    const publicKey = parsePublicKey(read('w.pub'))
    const key = await open(read('w.key'))
    expect(key.publicKey).toEqual(publicKey)
    expect(formatPublicKeyFile(publicKey)).toBe(read('w.pub'))

    minisign(['-S', '-s', 'w.key', '-m', 'hello'])
    const [trustedComment] = verifySignatures({
      text: read('hello.minisig'),
      prehash: prehash(hello),
      signers: soleSigner(publicKey),
      engine,
      what,
    })
    expect(trustedComment).toMatch(/^timestamp:\d+\tfile:hello\thashed$/)

    writeFileSync(at('hello.minisig'), signPrehash({ secretKey: key, prehash: prehash(hello), trustedComment: 'psyblob serial=17' }))
    expect(minisign(['-V', '-H', '-p', 'w.pub', '-m', 'hello'])).toContain('Trusted comment: psyblob serial=17')

    minisign(['-S', '-l', '-s', 'w.key', '-m', 'hello', '-x', 'legacy'])
    expect(() => verifySignatures({ text: read('legacy'), prehash: prehash(hello), signers: soleSigner(publicKey), engine, what })).toThrow(
      code('untrusted'),
    )
  })

  test('reads the first of our blocks, and refuses a changed file', () => {
    const key = newSecretKey(engine)
    const blocks = [key, newSecretKey(engine)].map((secretKey) => signPrehash({ secretKey, prehash: prehash(hello), trustedComment: 'c' }))
    writeFileSync(at('blocks'), blocks.join(''))
    minisign(['-V', '-H', '-P', key.publicKey.text, '-m', 'hello', '-x', 'blocks'])
    writeFileSync(at('changed'), 'hello')
    expect(() => minisign(['-V', '-H', '-P', key.publicKey.text, '-m', 'changed', '-x', 'blocks'])).toThrow()
  })

  test('signs with our secret keys, unencrypted and encrypted, and derives the same public key', async () => {
    const key = newSecretKey(engine)
    writeFileSync(at('ours.key'), await formatSecretKeyFile(key, { password: undefined, engine }), { mode: 0o600 })
    writeFileSync(at('sealed.key'), await formatSecretKeyFile(key, { password: bytes('pässword'), engine, limits: cheap }), { mode: 0o600 })
    for (const [file, input] of [
      ['ours.key', ''],
      ['sealed.key', 'pässword\n'],
    ] as const) {
      minisign(['-S', '-s', file, '-m', 'hello', '-x', 'sig'], input)
      verifySignatures({ text: read('sig'), prehash: prehash(hello), signers: soleSigner(key.publicKey), engine, what })
      minisign(['-R', '-f', '-s', file, '-p', 'derived.pub'], input)
      expect(parsePublicKey(read('derived.pub'))).toEqual(key.publicKey)
    }
  })

  // the two tests that pay for 1 GiB of scrypt
  test('makes encrypted keys at the usual cost that we open', async () => {
    minisign(['-G', '-p', 'e.pub', '-s', 'e.key'], 'secret\nsecret\n')
    expect((await open(read('e.key'), 'secret')).publicKey).toEqual(parsePublicKey(read('e.pub')))
    expect(statSync(at('e.key')).mode & 0o777).toBe(0o600)
  })
  test('opens keys that we encrypt at the usual cost', async () => {
    const key = newSecretKey(engine)
    writeFileSync(at('u.key'), await formatSecretKeyFile(key, { password: bytes('secret'), engine }), { mode: 0o600 })
    minisign(['-S', '-s', 'u.key', '-m', 'hello', '-x', 'u.sig'], 'secret\n')
    verifySignatures({ text: read('u.sig'), prehash: prehash(hello), signers: soleSigner(key.publicKey), engine, what })
  })
})
