// Repositories in IPFS: which addresses there are, what a gateway's answers mean, and what is said of them.
import { afterEach, describe, expect, test } from 'vitest'
import { documents } from '../../../core/mod.ts'
import { HttpRemote } from '../../../store/remotes/http.ts'
import { openIpfs } from '../../../store/remotes/ipfs.ts'
import { parseGateway, parseIpfsAddress } from '../../../store/remotes/ipfs-address.ts'
import { type Asked, type Bend, bentServer } from '../../fixtures/bent-server.ts'
import { ipfsGateway } from '../../fixtures/ipfs.ts'
import { blobOf, collect, madeUp, refusal, same, temporaryFolder, writeBelow } from '../../fixtures/repository.ts'

const root = 'bafybeihkoviema7g3gxyt6la7vd5ho32ictqbilu3wnlo3rs7ewhnp7lly'
const oldRoot = 'QmfM2r8seH2GiRaC4esTjeraXEachRt8ZsSeGaWTPLyMoG'
const key = 'k51qzi5uqu5dlvj2baxnqndepeb86cbk3ng7n3i46uzyxzyqj2xjonzllnv0v8'
const pointer = documents.pointer('stable')
const blob = blobOf(madeUp(200_000, 1))

const open: { close(): Promise<void> }[] = []
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
})

function remoteAt(uri: string, gateway: string, stallSeconds = 5) {
  const remote = openIpfs(uri, { stallSeconds, report: () => undefined, ipfsGateway: gateway })
  open.push(remote)
  return remote
}

describe('an address in IPFS', () => {
  test.each([
    [`ipfs://${root}/`, `ipfs/${root}/`],
    [`ipfs://${root}`, `ipfs/${root}/`],
    [`IPFS://${oldRoot}/`, `ipfs/${oldRoot}/`],
    [`ipfs://${root}/repos/os/`, `ipfs/${root}/repos/os/`],
    [`ipfs://${root}/my%20repo/%C3%A4`, `ipfs/${root}/my%20repo/%C3%A4/`],
    [`ipns://${key}/`, `ipns/${key}/`],
    [`ipns://${oldRoot}/`, `ipns/${oldRoot}/`],
    ['ipns://os.example/', 'ipns/os.example/'],
    ['ipns://_dnslink.os.example/repo', 'ipns/_dnslink.os.example/repo/'],
  ])('%s is asked for below %s', (uri, path) => {
    expect(parseIpfsAddress(uri)).toEqual({ path, label: path.replace('/', '://') })
  })

  test.each([
    'ipfs:',
    'ipfs://',
    `ipfs:${root}`,
    `ipfs:/${root}/`,
    'ipfs://bafy/',
    'ipfs://os.example/',
    `ipfs://${root}:8080/`,
    `ipfs://${root.toUpperCase()}/`,
    `ipfs://${root.slice(0, -1)}/`,
    `ipfs://${oldRoot.toLowerCase()}/`,
    `ipfs://ipfs/${root}/`,
    // a blob of ours, a name
    `ipfs://${blob.cid}/`,
    `ipfs://${key}/`,
    `ipns://${root}/`,
    'ipns://os/',
    'ipns://127.0.0.1/',
    'ipns://os.example:8080/',
    'ipns://os..example/',
    `ipfs://me:secret@${root}/`,
    `ipfs://${root}/?format=car`,
    `ipfs://${root}/#x`,
    `ipfs://${root}/..`,
    `ipfs://${root}/a/../b/`,
    `ipfs://${root}/a/%2E%2e/`,
    `ipfs://${root}/a//b/`,
    `ipfs://${root}/a%2fb/`,
    `ipfs://${root}/a\\b/`,
    `ipfs://${root}/%0a/`,
    `ipfs://${root}/%00/`,
    `ipfs://${root}/%zz/`,
    `ipfs://${root}/\u001b[31m/`,
  ])('%j is none', async (uri) => {
    const told = await refusal(async () => parseIpfsAddress(uri))
    expect(told).toMatch(/^usage: the address /)
    expect(told).not.toContain('secret')
    expect(told).not.toContain('\u001b')
    await expect((async () => parseIpfsAddress(uri))()).rejects.toMatchObject({ hint: expect.stringContaining('ipfs add -r') })
  })
})

describe('the address of a gateway', () => {
  test.each([
    [undefined, 'http://127.0.0.1:8080/'],
    ['http://127.0.0.1:8081', 'http://127.0.0.1:8081/'],
    ['HTTPS://gateway.example/deep', 'https://gateway.example/deep/'],
    ['https://me:secret@gateway.example/', 'https://me:secret@gateway.example/'],
  ])('%s is %s', (text, href) => {
    expect(parseGateway(text).href).toBe(href)
  })

  test.each([
    '',
    'gateway.example',
    'me:secret@gateway.example',
    '/ip4/127.0.0.1/tcp/8080',
    'ftp://gateway.example/',
    'http://',
    'http://127.0.0.1:8080/ipfs/',
    'https://me:secret@gateway.example/ipns',
    'https://gateway.example/?x',
    'https://gateway.example/#x',
  ])('%j is none', async (text) => {
    const told = await refusal(async () => openIpfs(`ipfs://${root}/`, { stallSeconds: 1, report: () => undefined, ipfsGateway: text }))
    expect(told).toMatch(/^usage: PSYBLOB_IPFS_GATEWAY, /)
    expect(told).not.toContain('secret')
  })
})

/** What is said when a gateway answers so to everything. */
async function told(
  answer: Bend | ((asked: Asked) => Bend),
  stallSeconds = 5,
): Promise<{ readonly message: string; readonly hint: string }> {
  const server = await bentServer(typeof answer === 'function' ? answer : () => answer)
  open.push(server)
  const work = collect(remoteAt(`ipfs://${root}/`, server.url, stallSeconds).get(blob.cid, { size: blob.bytes.length }))
  return work.then(
    () => ({ message: 'none', hint: '' }),
    (error) => ({ message: `${error.code}: ${error.message}`, hint: error.hint }),
  )
}

describe('a gateway that', () => {
  const at = `ipfs://${root}/`

  test.each([
    [404, `not-found: no ${blob.path} at ${at}`, /fetches nothing from others/],
    [410, `not-found: no ${blob.path} at ${at}`, /refuses to give it/],
    [504, `unavailable: ${at} answers 504 Bent for ${blob.path}`, /found nobody in time/],
    [429, `unavailable: ${at} answers 429 Bent for ${blob.path}`, /later/],
    [401, `unavailable: ${at} answers 401 Bent for ${blob.path}`, /user:password@host/],
    [500, `unavailable: ${at} answers 500 Bent for ${blob.path}`, /again/],
  ])('answers %d is told by the address in IPFS', async (status, message, hint) => {
    const said = await told({ status, body: 'no' })
    expect(said.message).toBe(message)
    expect(said.hint).toMatch(hint)
  })

  test('has no such document says that there is none', async () => {
    const server = await bentServer(() => ({ status: 404 }))
    open.push(server)
    expect(await remoteAt(at, server.url).read(pointer, { limit: 100 })).toBeUndefined()
    expect(server.asked[0]?.target).toBe(`/ipfs/${root}/${pointer}`)
  })

  test('is not there is told with what starts one, or names another', async () => {
    const remote = remoteAt(at, 'http://127.0.0.1:9/')
    await expect(remote.read(pointer, { limit: 100 })).rejects.toMatchObject({
      code: 'unavailable',
      message: `${at}: connection refused`,
      hint: expect.stringMatching(/ipfs daemon.*PSYBLOB_IPFS_GATEWAY/),
    })
  })

  test('comes to no answer in time is as one that found nobody', async () => {
    const said = await told({ delay: 60_000 }, 0.3)
    expect(said.message).toBe(`unavailable: ${at}: no answer in time`)
    expect(said.hint).toMatch(/found nobody in time.*--timeout/)
  })

  test('wants credentials gets those of its own address, and they are not told', async () => {
    const server = await bentServer(() => ({ body: 'x' }))
    open.push(server)
    const remote = remoteAt(at, server.url.replace('//', '//me:secret@'))
    await remote.read(pointer, { limit: 100 })
    expect(server.asked[0]?.headers).toMatchObject({ authorization: `Basic ${Buffer.from('me:secret').toString('base64')}` })
    expect(remote.label).toBe(at)
  })

  test('gives other bytes is found out', async () => {
    expect((await told({ body: Buffer.from(blob.bytes).fill(7, 0, 10) })).message).toMatch(/^corrupt: /)
  })

  test.each(['http://169.254.169.254/latest/', 'http://127.0.0.1:9/x', 'http://[::1]:9/x', 'http://x.localhost:9/', 'http://localhost/'])(
    'redirects to %s is not followed, though it is of this machine itself',
    async (target) => {
      expect((await told({ status: 302, headers: { Location: target } })).message).toMatch(
        /^unavailable: a redirect to .* is not followed$/,
      )
    },
  )
})

test('a name that means this machine is no way around that', async () => {
  const server = await bentServer(() => ({ status: 302, headers: { Location: 'http://rebound.example:9/' } }))
  const remote = new HttpRemote(server.url, {
    stallSeconds: 5,
    report: () => undefined,
    mayTurnTo: () => false,
    lookup: (_, __, done) => done(null, [{ address: '127.0.0.1', family: 4 }]),
  })
  open.push(server, remote)
  expect(await refusal(remote.read(pointer, { limit: 100 }))).toMatch(/^unavailable: a redirect to rebound\.example, /)
})

describe('a folder in IPFS', () => {
  test('is read by a name that changes, below a host of its own or not', async () => {
    const gateway = await ipfsGateway()
    const folder = await temporaryFolder()
    open.push(gateway, { close: () => folder.remove() })
    const give = async (text: string) => {
      await writeBelow(folder.dir, { [`deep/${pointer}`]: text, [`deep/${blob.path}`]: blob.bytes })
      gateway.names.set('os.example', await gateway.add(folder.dir))
    }
    for (const [text, address] of [
      ['one', gateway.url],
      ['two', gateway.named],
    ] as const) {
      await give(text)
      const remote = remoteAt('ipns://os.example/deep/', address)
      expect(Buffer.from((await remote.read(pointer, { limit: 100 })) ?? []).toString()).toBe(text)
      const part = await collect(remote.range(blob.cid, { offset: 5, length: 100 }, { size: blob.bytes.length }))
      expect(same(part, blob.bytes.subarray(5, 105))).toBe(true)
    }
    expect(gateway.asked.some((line) => line === `GET /deep/${blob.path} bytes=5-104`)).toBe(true)
  })
})
