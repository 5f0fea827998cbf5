// A repository in IPFS, as a publisher puts it there and a node reads it; gateways that lie, that find nothing, that are not there.
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type IpfsGateway, ipfsGateway } from '../fixtures/ipfs.ts'
import { World } from './world.ts'

let world: World
let gateway: IpfsGateway
let first: string
beforeEach(async () => {
  world = await new World().withRelease()
  gateway = await ipfsGateway()
  first = await gateway.add(world.path('repo'))
})
afterEach(async () => {
  await gateway.close()
  world.close()
})

const through = (address = gateway.url) => ({ env: { PSYBLOB_IPFS_GATEWAY: address } })
/** A root that nobody has. */
const nowhere = 'bafybeihkoviema7g3gxyt6la7vd5ho32ictqbilu3wnlo3rs7ewhnp7lly'

describe('a repository in IPFS', () => {
  test('gives a release, and its next root the next one by its changes only', async () => {
    const one = await world.must(`sync os ${world.node(`ipfs://${first}/`)} --json`, through())
    expect(one.json).toMatchObject({ product: 'os', serial: 1, changed: true })
    // a block above 2 MiB is not exchanged: what is asked for is a path
    expect(world.read('a/squashfs').length).toBeGreaterThan(2 * 1024 * 1024)
    expect(gateway.asked.filter((line) => line.includes('/blobs/')).every((line) => line.startsWith(`GET /ipfs/${first}/blobs/`))).toBe(
      true,
    )
    await world.must(`verify ${world.node()}`)

    await world.publish2()
    const second = await gateway.add(world.path('repo'))
    expect(second).not.toBe(first)
    const two = await world.must(`sync os ${world.node(`ipfs://${second}/`)} --booted a --json`, through())
    expect(two.json).toMatchObject({ serial: 2, previousSerial: 1, slot: 'b', changed: true })
    expect(two.json.bytes.fetched).toBeLessThan(600_000)
    expect(gateway.asked.some((line) => / bytes=\d+-\d+$/.test(line))).toBe(true)
    await world.must(`verify ${world.node()}`)
  })

  test('is followed by a name, with every command that asks a repository', async () => {
    gateway.names.set('os.example', first)
    const node = world.node('ipns://os.example/')
    await world.must(`sync os ${node}`, through(gateway.named))
    await world.publish2()
    gateway.names.set('os.example', await gateway.add(world.path('repo')))
    expect((await world.must(`refresh os ${node} --json`, through(gateway.named))).stdout).toContain('"serial":2')
    expect((await world.must(`sync os ${node} --booted a --json`, through())).json).toMatchObject({ serial: 2, slot: 'b' })
    await world.must(`verify os --remote ${node}`, through())
    await world.must(`download os stick ${node}`, through())
    await world.must(`verify ${world.node('stick')} --remote`)
  })

  test('whose root is an old one is behind, and never a way back', async () => {
    await world.publish2()
    await world.must(`sync os ${world.node()}`)
    const before = world.state()
    const outcome = await world.psyblob(`refresh os ${world.node(`ipfs://${first}/`)}`, through())
    expect(outcome).toMatchObject({ code: 12, stderr: expect.stringContaining('rollback: ') })
    expect(world.state().replace(/state\.json .*/, '')).toBe(before.replace(/state\.json .*/, ''))
  })
})

describe('a composition with IPFS among its uris', () => {
  const compose = (uris: readonly string[]) => {
    world.write('composition', `${JSON.stringify({ name: 'os', key: world.read('os.pub').toString().split('\n')[1], uris })}\n`)
    return 'sync os --composition composition --slot-a a --slot-b b --esp esp --json'
  }

  test('goes on with the next one when the gateway gives wrong bytes, and with none is refused', async () => {
    gateway.bent = (path, bytes) => (path.startsWith('blobs/') ? Buffer.from(bytes).map((byte) => byte ^ 0x55) : undefined)
    const alone = await world.psyblob(compose([`ipfs://${first}/`]), through())
    expect(alone).toMatchObject({ code: 13, stderr: expect.stringMatching(/psyblob: corrupt: .*\n {2}hint: /) })
    const both = await world.must(compose([`ipfs://${first}/`, world.path('repo')]), through())
    expect(both.json).toMatchObject({ serial: 1, changed: true })
    await world.must(`verify ${world.node()}`)
  })

  test.each([
    ['the root is not found in time', nowhere, () => gateway.url],
    ['there is no gateway', nowhere, () => 'http://127.0.0.1:9/'],
  ])('goes on with the next one when %s', async (_, root, address) => {
    const both = await world.must(compose([`ipfs://${root}/`, world.path('repo')]), through(address()))
    expect(both.json).toMatchObject({ serial: 1, changed: true })
  })

  test('is not held back by a root that is behind when it stands last', async () => {
    await world.must(compose([world.path('repo')]))
    await world.publish2()
    const result = await world.must(`${compose([world.path('repo'), `ipfs://${first}/`])} --booted a`, through())
    expect(result.json).toMatchObject({ serial: 2, slot: 'b' })
  })
})

describe('what a person is told', () => {
  test('without a gateway: what starts one, and how another is named', async () => {
    const outcome = await world.psyblob(`sync os ${world.node(`ipfs://${first}/`)}`, through('http://127.0.0.1:9/'))
    expect(outcome).toMatchObject({
      code: 14,
      stderr: expect.stringMatching(/unavailable: ipfs:\/\/\w+\/: connection refused\n {2}hint: .*ipfs daemon.*PSYBLOB_IPFS_GATEWAY/),
    })
  })

  test.each([
    ['ipfs://bafy/', 'http://127.0.0.1:9/', 'does not begin with a CID'],
    [`ipfs://me:secret@${nowhere}/`, 'http://127.0.0.1:9/', 'must have neither credentials nor'],
    [`ipfs://${nowhere}/../x/`, 'http://127.0.0.1:9/', 'has a part that is empty, . or ..'],
    [`ipfs://${nowhere}/`, '127.0.0.1:8080', 'PSYBLOB_IPFS_GATEWAY, 127.0.0.1:8080, is not the address of a web server'],
  ])('of %s through %s: that it is wrong, and what one looks like', async (uri, address, why) => {
    const outcome = await world.psyblob(`sync os ${world.node(uri)}`, through(address))
    expect(outcome.code).toBe(2)
    expect(outcome.stderr).toContain(why)
    expect(outcome.stderr).toMatch(/\n {2}hint: /)
    expect(outcome.stderr).not.toContain('secret')
  })

  test('who publishes to it: how a folder gets there', async () => {
    expect(await world.psyblob(`publish os r2 --remote ipfs://${first}/ --key os.key`)).toMatchObject({
      code: 16,
      stderr: expect.stringContaining('ipfs add -r --cid-version 1 ./repo'),
    })
  })
})
