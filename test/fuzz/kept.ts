// What a node or a repository keeps for itself: state, diary, links, listing, what the initramfs wrote.
import { isDeepStrictEqual } from 'node:util'
import { type DocumentName, documents } from '../../core/mod.ts'
import { readBootRecord } from '../../images/boot-record.ts'
import { rememberedLink } from '../../store/link-memory.ts'
import { readAttempts, readState } from '../../store/mod.ts'
import { readListing, repositoryName } from '../../store/repository.ts'
import { exampleKey, keyNumber } from './keys.ts'
import { scratchFile, scratchFolder } from './scratch.ts'
import { specText, utf8, vectorTexts } from './seeds.ts'
import { expectThat, type Target } from './target.ts'

const fromSpec = (pattern: RegExp) => pattern.exec(specText('store.md'))?.[1] ?? ''

const root = vectorTexts('root', 'text', (vector) => vector['expect'] === 'ok')[0] ?? ''
const cid = vectorTexts('cid', 'text')[0] ?? ''
const fullState = {
  psyblob: 'state/1',
  products: {
    os: {
      ...{ key: exampleKey.publicKey.text, repo: 'org.example.os', seen: { serial: 17, manifest: cid }, floor: 16, avoided: [13, 14] },
      hold: { at: '2026-11-23T10:15:00Z', why: 'a fair' },
      channels: { stable: { version: 4, pointer: cid, issued: '2026-11-23T10:15:00Z', expires: '2026-11-30T10:15:00Z' } },
      later: { anything: [1] },
    },
  },
  last: { os: { at: '2026-11-23T10:16:00Z', command: 'sync', result: 'ok', message: '' } },
  roots: [{ anchor: exampleKey.publicKey.text, repo: 'org.example.os', root, former: { '*': [keyNumber(1).publicKey.text] } }],
}

const state: Target = {
  name: 'state',
  material: 'json',
  codes: ['corrupt', 'unsupported'],
  isHelpful: true,
  seeds: async () => [
    utf8(JSON.stringify(fullState)),
    utf8(`${JSON.stringify(fullState, null, 2)}\n`),
    utf8(fromSpec(/(\{\n {2}"psyblob": "state\/1".*?\n\}\n)```/s)),
  ],
  async parse(input) {
    scratchFile('state.json', input)
    const read = await readState(scratchFolder())
    // as writeState does it, but without waiting for a disk
    scratchFile('state.json', utf8(`${JSON.stringify(read, null, 2)}\n`))
    expectThat(isDeepStrictEqual(await readState(scratchFolder()), read), 'written and read again it is another')
    return `${Object.keys(read.products).length} products ${read.roots?.length ?? 0} roots`
  },
}

const attempts: Target = {
  name: 'attempts',
  material: 'json',
  codes: [],
  seeds: async () => [
    utf8(fromSpec(/```\n(\{"at".*?\n)```/s)),
    utf8(
      [
        { at: '2026-11-23T10:15:00Z', what: 'boot', result: 'ok', product: 'os', slot: 'a', serial: 3, boot: 'x', message: 'm' },
        { at: '2026-11-23T10:15:00Z', what: 'sync', result: 'refused', count: 3, last: '2026-11-23T10:15:00Z' },
      ]
        .map((line) => `${JSON.stringify(line)}\n`)
        .join(''),
    ),
  ],
  async parse(input) {
    scratchFile('attempts', input)
    const read = await readAttempts(scratchFolder())
    scratchFile('attempts', utf8(read.map((one) => `${JSON.stringify(one)}\n`).join('')))
    expectThat(isDeepStrictEqual(await readAttempts(scratchFolder()), read), 'written and read again it is another')
    return `${Math.min(read.length, 5)} attempts`
  },
}

const linkMemory: Target = {
  name: 'links',
  material: 'json',
  codes: [],
  seeds: async () => [
    utf8('{"psyblob":"links/1","links":{"a":{"roundTrip":80,"bandwidth":12500000},"b, c":{"roundTrip":0.5,"bandwidth":1}}}\n'),
  ],
  async parse(input) {
    scratchFile('links.json', input)
    for (const label of ['a', '__proto__', 'constructor']) {
      const found = await rememberedLink(scratchFolder(), label)
      if (found === undefined) continue
      expectThat(
        found.roundTrip >= 0 && found.bandwidth >= 0 && Number.isFinite(found.roundTrip + found.bandwidth),
        'figures that no link has',
      )
      return 'remembered'
    }
    return 'forgotten'
  },
}

/** A remote that has the input under every name. */
const remoteOf = (input: Uint8Array) => ({
  label: 'https://os.example/',
  has: () => Promise.resolve(false),
  range: () => Promise.reject(new Error('no blobs here')),
  get: () => Promise.reject(new Error('no blobs here')),
  read: (_: DocumentName) => Promise.resolve(input),
})

const listing: Target = {
  name: 'listing',
  material: 'json',
  codes: [],
  seeds: async () => [
    utf8(
      `${JSON.stringify({ psyblob: 'listing/1', repo: 'org.example.os', products: { os: [{ serial: 1, version: '1', created: '2026-11-23T10:15:00Z', manifest: cid, size: 900 }] } }, null, 2)}\n`,
    ),
  ],
  async parse(input) {
    const read = await readListing(remoteOf(input))
    if (read === undefined) return 'none'
    const again = await readListing(remoteOf(utf8(JSON.stringify(read))))
    expectThat(isDeepStrictEqual(again, read), 'written and read again it is another')
    return `${Object.keys(read.products).length} products`
  },
}

const repository: Target = {
  name: 'repository',
  material: 'json',
  codes: ['malformed'],
  seeds: async () => [utf8('{\n  "psyblob": "repository/1",\n  "repo": "org.example.os"\n}\n')],
  async parse(input) {
    const name = await repositoryName(remoteOf(input) as unknown as Parameters<typeof repositoryName>[0])
    documents.pointer(name)
    return 'named'
  },
}

const bootRecord: Target = {
  name: 'boot-record',
  material: 'text',
  codes: ['malformed'],
  isHelpful: true,
  seeds: async () => [utf8('disk=/dev/vda\nslot=/dev/vda3\nloader=x\n')],
  async parse(input) {
    const read = await readBootRecord(scratchFile('boot', input))
    if (read === undefined) return 'none'
    expectThat(/^\/dev\/[\w-]+$/.test(read.disk) && /^\/dev\/[\w-]+$/.test(read.slot), 'a device that is none')
    return 'read'
  },
}

export const keptTargets: readonly Target[] = [state, attempts, linkMemory, listing, repository, bootRecord]
