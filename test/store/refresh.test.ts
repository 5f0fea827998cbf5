// A refresh under roots: what one bad remote of several can spoil, and what is called the latest after a key was taken away.
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { documents, formatRoot, newSecretKey, type RootContent, type SecretKey, signPrehash } from '../../core/mod.ts'
import { authorityOf } from '../../store/authority.ts'
import { publishRoot } from '../../store/ceremony.ts'
import { prehash, signatureEngine } from '../../store/crypto.ts'
import { LocalStore } from '../../store/local.ts'
import { Mirrors } from '../../store/mirrors.ts'
import { publish } from '../../store/publish.ts'
import { openPublisher } from '../../store/publisher.ts'
import { type Refreshed, refresh } from '../../store/refresh.ts'
import { refreshPointer } from '../../store/refresh-pointer.ts'
import { DirRemote } from '../../store/remotes/dir.ts'
import { initRepository, signPointer } from '../../store/repository.ts'
import { readState, writeState } from '../../store/state.ts'
import { refusal, temporaryFolder, writeBelow } from '../fixtures/repository.ts'

const make = () => newSecretKey(signatureEngine)
const [os, next, ci, anna] = [make(), make(), make(), make()]
const repo = 'org.example.refresh'
const now = Date.parse('2026-11-23T10:15:00Z')
const days = 7
const report = () => undefined

let dir: string
let remove: () => Promise<void>
let builds = 0
const path = (...names: readonly string[]) => join(dir, ...names)
const remote = () => new DirRemote(path('repo'))

beforeEach(async () => {
  ;({ dir, remove } = await temporaryFolder())
  await mkdir(path('repo'))
  await initRepository(remote(), { key: os, repo, channel: 'stable', now, days })
  await publishRelease('stable', os)
  await setRoot(1, os, [anna, os])
  await refreshPointer({ remote: remote(), keys: [ci, os], channel: 'stable', now, days })
})
afterEach(() => remove())

async function publishRelease(channel: string, by: SecretKey): Promise<void> {
  await writeBelow(path('build'), { kernel: `kernel ${++builds}` })
  const product = { product: 'os', dir: path('build'), channel, compat: 'any', version: `v${builds}`, description: '' }
  await publish({ ...product, remote: remote(), keys: [by, ci], remotes: [], now, days, report })
}

/** Releases are signed by `release` from now on. */
async function setRoot(version: number, release: SecretKey, by: readonly SecretKey[]): Promise<void> {
  const role = ({ publicKey }: SecretKey) => ({ threshold: 1, keys: [publicKey] })
  const times = { issued: '2026-11-23T10:15:00Z', expires: '2027-11-23T10:15:00Z' }
  const roles = { root: role(anna), release: { '*': role(release) }, pointer: { '*': role(ci) } }
  const content: RootContent = { repo, version, ...times, roles, floors: {}, revoked: [] }
  await writeFile(path('root.json'), formatRoot(content))
  await writeFile(path('root.json.minisig'), signed(formatRoot(content), by))
  await publishRoot({ path: path('root.json'), signatures: [], remote: remote(), anchors: [], channels: undefined })
}

const signed = (body: Uint8Array, by: readonly SecretKey[]) =>
  by.map((secretKey) => signPrehash({ secretKey, prehash: prehash(body), trustedComment: '' })).join('')

async function ask(folders: readonly string[], channel = 'stable'): Promise<Refreshed> {
  const store = new LocalStore(path('store'))
  const key = os.publicKey
  const trust = { product: 'os', key, authority: authorityOf({}, { key, repo }), channel, repo, compat: 'any' }
  const mirrors = new Mirrors(
    folders.map((name) => new DirRemote(path(name))),
    { report },
  )
  const refreshed = await refresh({ trust, mirrors, store, state: await readState(store.dir), clock: now, keep: true })
  await writeState(store.dir, refreshed.state)
  return refreshed
}

describe('one bad remote of several', () => {
  beforeEach(() => cp(path('repo'), path('bad'), { recursive: true }))

  test('that invents a next root is left, and what the others have is taken', async () => {
    await ask(['repo'])
    const body = await readFile(path('bad', documents.root(1)))
    await writeFile(path('bad', documents.root(2)), body)
    await writeFile(path('bad', documents.rootSignature(2)), signed(body, [make()]))
    for (const folders of [
      ['bad', 'repo'],
      ['repo', 'bad'],
    ])
      expect(await ask(folders)).toMatchObject({ news: false, release: { manifest: { serial: 1 } } })
    expect(await refusal(ask(['bad']))).toMatch(/^untrusted: root 2 of /)
  })

  test('whose pointer, rightly signed, is under a root that nobody gives, is left as well', async () => {
    const publisher = await openPublisher(remote(), [ci], repo)
    const root = publisher.authority.root
    const ahead = { ...publisher, authority: { ...publisher.authority, root: root && { ...root, version: 9 } } }
    const pointer = signPointer({ publisher: ahead, repo, channel: 'stable', version: 9, products: {}, now, days })
    await writeFile(path('bad', documents.pointer('stable')), pointer)
    expect(await ask(['bad', 'repo'])).toMatchObject({ release: { manifest: { serial: 1 } } })
    expect(await refusal(ask(['bad']))).toMatch(/^untrusted: the pointer is of root 9 of /)
  })
})

test('the latest release is one that would be accepted now, also after a key was taken away', async () => {
  await publishRelease('beta', os)
  await ask(['repo'], 'beta')
  const store = new LocalStore(path('store'))
  expect(await store.link('os', 'latest')).toBe(2)
  // release 1 is signed again, release 2 is not
  await setRoot(2, next, [anna])
  const first = await readFile(path('repo', documents.manifest('os', 1)))
  await writeFile(path('repo', documents.manifestSignature('os', 1)), signed(first, [next]))
  await refreshPointer({ remote: remote(), keys: [ci, next], channel: 'stable', now, days })
  await ask(['repo'])
  expect(await store.link('os', 'latest')).toBe(1)
})
