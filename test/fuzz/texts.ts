// Short texts: names, CIDs, times, addresses, keys and signatures.
import { isDeepStrictEqual } from 'node:util'
import {
  cidOf,
  digestOf,
  formatPublicKeyFile,
  formatSecretKeyFile,
  formatTime,
  openSecretKey,
  PsyblobError,
  parseCid,
  parseName,
  parsePath,
  parsePublicKey,
  parseSecretKeyFile,
  parseSignatures,
  parseTime,
  soleSigner,
  verifySignatures,
} from '../../core/mod.ts'
import { parseDuration } from '../../images/duration.ts'
import { parseRebootWindow } from '../../images/reboot-window.ts'
import { signatureEngine as engine, openRemote } from '../../store/mod.ts'
import { parseBase } from '../../store/remotes/address.ts'
import { exampleKey, hashed, keyNumber, signed } from './keys.ts'
import { textOf, utf8, vectorsOf, vectorTexts } from './seeds.ts'
import { expectThat, type Target } from './target.ts'

type Words = Pick<Target, 'codes'> & {
  readonly name: string
  readonly seeds: readonly string[]
  readonly read: (text: string) => void | Promise<void>
}

/** A parser of one short text, every refusal with a hint. */
function word({ name, codes, seeds, read }: Words): Target {
  const parse = async (input: Uint8Array) => {
    await read(textOf(input))
    return 'read'
  }
  return { name, material: 'text', codes, isHelpful: true, seeds: async () => seeds.map(utf8), parse }
}

const named = (kind: string) => vectorTexts('names', 'text', (vector) => vector['kind'] === kind)
const malformed = ['malformed'] as const

const cid = word({
  name: 'cid',
  codes: malformed,
  seeds: vectorTexts('cid', 'text'),
  read: (text) => expectThat(cidOf(digestOf(parseCid(text))) === text, 'two texts for one digest'),
})
const name = word({
  name: 'name',
  codes: malformed,
  seeds: ['os', 'org.example.os', ...named('product'), ...named('channel')],
  read: (text) => expectThat(/^[a-z0-9][a-z0-9._-]{0,63}$/.test(parseName(text, 'product')), 'a name of other characters'),
})
const path: Target = {
  name: 'path',
  material: 'text',
  codes: malformed,
  seeds: async () => named('path').map(utf8),
  parse(input) {
    const read = parsePath(textOf(input))
    expectThat(
      new URL(`file://${encodeURI(read).replaceAll('?', '%3f').replaceAll('#', '%23')}`).pathname.length >= read.length,
      'a path that leads elsewhere',
    )
    expectThat(
      read.split('/').every((segment, at) => at === 0 || !['', '.', '..'].includes(segment)),
      'a segment that is none',
    )
    return 'read'
  },
}
const time = word({
  name: 'time',
  codes: malformed,
  seeds: named('time'),
  read: (text) => expectThat(formatTime(parseTime(text)) === text, 'two texts for one time'),
})
const duration = word({
  name: 'duration',
  codes: ['usage'],
  seeds: ['90s', '10m', '1h', '10d', '999999s'],
  read: (text) => expectThat(parseDuration('--every', text) <= 864_000_000, 'longer than ten days'),
})
const rebootWindow = word({
  name: 'reboot-window',
  codes: ['usage'],
  seeds: ['always', 'never', '02:00-04:00', '23:30-01:00'],
  read: (text) => void parseRebootWindow('--reboot', text),
})
const address = word({
  name: 'address',
  codes: ['usage', 'unsupported'],
  seeds: [
    ...['https://os.example/', 'https://user:p%40ss@os.example/repo', 'http://[::1]:8080/x/', 'https://os.example/?q', 'http://a@b:80'],
    ...['./repo', 'file:///srv/repo', 's3://bucket/x'],
  ],
  async read(text) {
    if (!/^https?:/i.test(text)) return (await openRemote(text, { stallSeconds: 1, report: () => undefined })).close()
    const { base } = parseBase(text)
    expectThat(base.pathname.endsWith('/') && base.username === '' && base.password === '', 'credentials in the address')
  },
})

const publicKey = word({
  name: 'public-key',
  codes: malformed,
  seeds: [exampleKey.publicKey.text, formatPublicKeyFile(exampleKey.publicKey), ...vectorTexts('minisign', 'publicKey')],
  read(text) {
    const key = parsePublicKey(text)
    expectThat(isDeepStrictEqual(parsePublicKey(formatPublicKeyFile(key)), key) && text.includes(key.text), 'two texts for one key')
  },
})

const cheap = { operations: 32768, memory: 2 ** 20 }

const secretKey: Target = {
  name: 'secret-key',
  material: 'text',
  codes: ['malformed', 'unsupported'],
  isHelpful: true,
  seeds: async () => [
    utf8(await formatSecretKeyFile(exampleKey, { password: undefined, engine })),
    utf8(
      await formatSecretKeyFile(exampleKey, {
        password: utf8('hello'),
        engine: { ...engine, random: (length) => new Uint8Array(length) },
        limits: cheap,
      }),
    ),
  ],
  async parse(input) {
    const file = parseSecretKeyFile(textOf(input), 'os.key')
    // whether a password is right takes what it takes
    if (file.encrypted) return `encrypted N=${file.cost.N}`
    const key = await openSecretKey(file, { password: undefined, engine, what: 'os.key' })
    const again = parseSecretKeyFile(await formatSecretKeyFile(key, { password: undefined, engine }), 'again')
    expectThat(isDeepStrictEqual(await openSecretKey(again, { password: undefined, engine, what: 'again' }), key), 'another key')
    return 'open'
  },
}

const signature: Target = {
  name: 'signature',
  material: 'text',
  codes: ['malformed', 'untrusted'],
  isHelpful: true,
  seeds: async () => vectorTexts('minisign', 'signature').map(utf8),
  parse(input) {
    const blocks = parseSignatures(textOf(input), 'os/17')
    const lines = textOf(input).split('\n')
    expectThat(lines.length === 4 * blocks.length + 1, 'lines that belong to no block')
    for (const [at, { keyId, signature, trustedComment, globalSignature }] of blocks.entries()) {
      const head = Buffer.concat([Buffer.from('ED'), keyId, signature]).toString('base64')
      const written = [head, `trusted comment: ${trustedComment}`, Buffer.from(globalSignature).toString('base64')]
      expectThat(isDeepStrictEqual(lines.slice(4 * at + 1, 4 * at + 4), written), 'two texts for one signature')
    }
    return `${blocks.length} blocks`
  },
}

type Vector = {
  readonly publicKey: string
  readonly file: string
  readonly signature: string
  readonly trustedComment?: string
  readonly expect: string
}

/** What may come out: nobody here knows how to make more. */
const genuine = new Set<string>()
const claim = (file: string, comment: string) => JSON.stringify([file, comment])

/** A key, the signed text as JSON, and the signatures. */
const verify: Target = {
  name: 'verify',
  material: 'text',
  codes: ['malformed', 'untrusted'],
  isHelpful: true,
  async seeds() {
    const inputs: Uint8Array[] = []
    const add = (key: string, file: string, signatures: string) => inputs.push(utf8(`${key}\n${JSON.stringify(file)}\n${signatures}`))
    for (const vector of vectorsOf<Vector>('minisign')) {
      if (vector.expect === 'ok') genuine.add(claim(vector.file, vector.trustedComment ?? ''))
      add(vector.publicKey, vector.file, vector.signature)
    }
    for (const number of [1, 2, 3]) {
      const key = keyNumber(number)
      const [file, comment] = [`file ${number}\n`, `psyblob type=manifest serial=${number}`]
      genuine.add(claim(file, comment))
      add(key.publicKey.text, file, (await signed(key, file, comment)) + (await signed(exampleKey, file, comment)))
    }
    return inputs
  },
  async parse(input) {
    const [key = '', line = '', ...rest] = textOf(input).split('\n')
    const signers = soleSigner(parsePublicKey(key))
    let file: unknown
    try {
      file = JSON.parse(line)
    } catch (cause) {
      throw new PsyblobError('malformed', 'no file', { cause, hint: 'that is the test, not the product' })
    }
    const text = String(file)
    const comments = verifySignatures({ text: rest.join('\n'), prehash: await hashed(text), signers, engine, what: 'os/17' })
    expectThat(
      comments.length > 0 && comments.every((comment) => genuine.has(claim(text, comment))),
      `verified what nobody signed: ${comments}`,
    )
    return 'verified'
  },
}

export const textTargets: readonly Target[] = [
  ...[cid, name, path, time, duration, rebootWindow, address],
  ...[publicKey, secretKey, signature, verify],
]
