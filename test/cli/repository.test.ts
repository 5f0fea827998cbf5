// What happens to repositories: bytes that go bad there, pointers put in other places, publishers that are killed, mirrors that lie.
import { readdirSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { bentServer } from '../fixtures/bent-server.ts'
import { noise, World } from './world.ts'

let world: World
beforeEach(async () => {
  world = await new World().withRelease()
})
afterEach(() => world.close())

/** The path of an entry's blob in the repository. */
function blobOf(entry: string, repo = 'repo'): string {
  const record = world
    .read(`${repo}/manifests/os/1`)
    .toString()
    .split('\n')
    .slice(1, -1)
    .map((line) => JSON.parse(line))
    .find(({ path }: { path: string }) => path === entry)
  const cid: string = record.bin.cid
  return `${repo}/blobs/${cid.slice(-3, -1)}/${cid}`
}

function flip(path: string, at = 1000): void {
  const bytes = world.read(path)
  bytes[at] = (bytes[at] as number) ^ 1
  world.write(path, bytes)
}

describe('a blob that went bad in a repository', () => {
  test('is named by verify --remote with its range, whatever the others are like, and mended by publishing the folder again', async () => {
    flip(blobOf('/squashfs'), 1_500_000)
    truncateSync(world.path(blobOf('/kernel')), 1000)
    world.write(blobOf('/dtbs/board.dtb'), Buffer.concat([world.read(blobOf('/dtbs/board.dtb')), Buffer.from('more')]))
    world.remove(blobOf('/old-file'))
    const { code, json } = await world.psyblob('verify os --remote --key os.pub --remote ./repo --json')
    expect(code).toBe(13)
    expect(Object.fromEntries(json[0].findings.map(({ path, problem }: Record<string, string>) => [path, problem]))).toEqual({
      '/dtbs/board.dtb': 'wrong size',
      '/kernel': 'wrong size',
      '/old-file': 'missing',
      '/squashfs': 'changed',
    })
    const { ranges } = json[0].findings.find(({ path }: { path: string }) => path === '/squashfs')
    expect(ranges).toHaveLength(1)
    const again = (await world.must('publish os r1 --remote repo --key os.key --version one --json')).json
    expect(again).toMatchObject({ changed: false, blobs: { uploaded: 4 } })
    await world.must('verify os --remote --key os.pub --remote ./repo')
  })

  test('on a server without ranges is found as well', async () => {
    flip(blobOf('/kernel'))
    const server = await bentServer(({ target }) => {
      try {
        return { body: world.read(join('repo', target)) }
      } catch {
        return { status: 404 }
      }
    })
    try {
      const outcome = await world.psyblob(`verify os --remote --key os.pub --remote ${server.url} --json`)
      expect(outcome.json[0].findings).toMatchObject([{ path: '/kernel', problem: 'changed' }])
    } finally {
      await server.close()
    }
  })

  test('verify --store names a bad index every time it is asked', async () => {
    await world.must(`sync os ${world.node()}`)
    const [shard = ''] = readdirSync(world.path('store/blob'))
    const [name = ''] = readdirSync(world.path('store/blob', shard))
    flip(`store/blob/${shard}/${name}`, 100)
    for (const _ of [1, 2]) {
      const outcome = await world.psyblob(`verify os --store ${world.node()} --json`)
      expect(outcome).toMatchObject({ code: 13 })
      expect(outcome.json[0].findings).toMatchObject([{ problem: 'changed' }])
    }
  })
})

describe('a publisher', () => {
  test('does not go on from a pointer of another channel, nor under another name', async () => {
    await world.must('publish os r2 --remote repo --key os.key --channel testing')
    const stable = world.read('repo/channels/stable')
    world.write('repo/channels/stable', world.read('repo/channels/testing'))
    const refused = { code: 12, stderr: expect.stringMatching(/^psyblob: untrusted: .*expected channel stable, got testing\n {2}hint: /m) }
    expect(await world.psyblob('publish --refresh --remote repo --key os.key')).toMatchObject(refused)
    expect(await world.psyblob('publish os r2 --remote repo --key os.key')).toMatchObject(refused)
    world.write('repo/channels/stable', stable)
    world.write('repo/psyblob.json', '{"psyblob":"repository/1","repo":"org.bank.prod"}\n')
    expect(await world.psyblob('publish --refresh --remote repo --key os.key')).toMatchObject({ code: 12 })
    expect(world.read('repo/channels/stable')).toEqual(stable)
  })

  test('that lost against another leaves no manifest behind', async () => {
    const folders = [1, 2, 3, 4]
    for (const at of folders) world.write(`c${at}/kernel`, noise(`kernel c${at}`, 50_000))
    const outcomes = await Promise.all(folders.map((at) => world.psyblob(`publish os c${at} --remote repo --key os.key --version v${at}`)))
    const won = outcomes.filter(({ code }) => code === 0).length
    expect(outcomes.every(({ code }) => code === 0 || code === 11)).toBe(true)
    expect(readdirSync(world.path('repo/manifests/os')).filter((name) => !name.endsWith('.minisig'))).toHaveLength(1 + won)
  })

  test('removes what a killed one left, once nobody has touched it for a minute', async () => {
    const [shard = ''] = readdirSync(world.path('repo/blobs'))
    const abandoned = world.path('repo/blobs', shard, '.bafkr4i.4194998.1.tmp')
    const fresh = world.path('repo/blobs', shard, '.bafkr4i.4194998.2.tmp')
    for (const path of [abandoned, fresh]) writeFileSync(path, 'half a blob')
    utimesSync(abandoned, new Date(Date.now() - 61_000), new Date(Date.now() - 61_000))
    await world.publish2()
    expect(() => statSync(abandoned)).toThrow()
    expect(statSync(fresh).size).toBe(11)
  })

  test('leaves no file out, whatever it is called', async () => {
    world.write('r3/.settings.tmp', 'settings\n')
    world.write('r3/kernel', 'k')
    expect((await world.must('publish os r3 --remote repo --key os.key --json')).json.bytes.total).toBe(10)
  })

  test.each(['constructor', 'prototype', '17'])('refuses the name %s for a product and for a channel', async (name) => {
    expect(await world.psyblob(`publish ${name} r1 --remote repo --key os.key`)).toMatchObject({
      code: 13,
      stderr: expect.stringContaining('hint: '),
    })
    expect(await world.psyblob(`publish os r1 --remote repo --key os.key --channel ${name}`)).toMatchObject({ code: 13 })
  })

  test('is told so when its version label would not be one line', async () => {
    const outcome = await world.psyblob(['publish', 'os', 'r2', '--remote', 'repo', '--key', 'os.key', '--version', 'a\nb'])
    expect(outcome).toMatchObject({ code: 2, stderr: expect.stringContaining('--version') })
  })
})

describe('a bad mirror that stands first', () => {
  const bad = () => `--key os.pub --remote ./bad --remote ./repo --slot-a a --slot-b b --esp esp`
  beforeEach(() => world.copy('repo', 'bad'))

  test('keeps nobody from a release by its serial: body and signature come from one remote', async () => {
    await world.publish2()
    world.write('bad/manifests/os/1', 'garbage\n')
    await world.must(`apply os --version 1 ${bad()}`)
    world.copy('repo', 'bad')
    world.write('bad/manifests/os/1', world.read('repo/manifests/os/2'))
    world.write('bad/manifests/os/1.minisig', world.read('repo/manifests/os/2.minisig'))
    world.remove('store/os')
    expect((await world.must(`show os --version 1 ${bad()} --json`)).json.serial).toBe(1)
  })

  test('keeps nobody from downloading: what is wrong there comes from the next', async () => {
    flip(blobOf('/kernel', 'bad'))
    flip(blobOf('/squashfs', 'bad'), 2_000_000)
    await world.must(`download os stick ${bad()}`)
    await world.must('verify os --remote --key os.pub --remote ./stick')
  })

  test('with a listing made to keep the reader busy is left at once', async () => {
    world.write('bad/index.json', `{"psyblob":"${'\\"'.repeat(3_000_000)}`)
    const begun = performance.now()
    expect((await world.psyblob(`show os --version nothing ${bad()}`)).code).toBe(10)
    world.write('bad/index.json', `{"psyblob":"${'\\"'.repeat(3_000_000)}"}`)
    expect((await world.psyblob(`show os --version nothing ${bad()}`)).code).toBe(10)
    expect(performance.now() - begun).toBeLessThan(20_000)
  })
})

describe('a node', () => {
  test('counts a full-length part with wrong bytes as nothing, in its dry run too', async () => {
    const cid = blobOf('/kernel').split('/').at(-1)
    world.write(`a/.psyblob/${cid}.part`, noise('garbage', 300_000))
    const dry = (await world.must(`sync os --dry-run --json ${world.node()}`)).json
    const run = (await world.must(`sync os --json ${world.node()}`)).json
    expect([run.bytes.fetched, run.requests]).toEqual([dry.bytes.fetched, dry.requests])
    await world.must(`verify ${world.node()}`)
  })

  test('fetches the index again that its store lost, rather than the image', async () => {
    await world.must(`sync os ${world.node()}`)
    await world.publish2()
    world.remove('store/blob')
    const { json } = await world.must(`sync os --json --booted a ${world.node()}`)
    expect(json.bytes.fetched).toBeLessThan(700_000)
  })

  test('does not wait for a pipe where a manifest should be', async () => {
    world.remove('repo/manifests/os/1')
    world.run('mkfifo', ['repo/manifests/os/1'])
    expect(await world.psyblob(`apply os --path repo/manifests/os/1 ${world.node()}`)).toMatchObject({ code: 13 })
  })

  test('takes a state that is too large for damage, and says how to recover', async () => {
    await world.must(`sync os ${world.node()}`)
    world.write('store/state.json', ' '.repeat(2_000_000))
    expect(await world.psyblob(`sync os ${world.node()}`)).toMatchObject({
      code: 13,
      stderr: expect.stringMatching(/corrupt: .*\n {2}hint: .*rm /),
    })
  })

  test('that is given to another repository knows that one’s newest release as the latest', async () => {
    await world.publish2()
    await world.must(`refresh ${world.node()}`)
    await world.must('init other --key os.key --repo org.example.other')
    await world.must('publish os r2 --remote other --key os.key')
    const composition = { name: 'os', key: world.read('os.pub').toString().split('\n')[1], uris: ['other'], repo: 'org.example.other' }
    world.write('composition', `${JSON.stringify(composition)}\n`)
    await world.must('refresh --composition composition')
    expect((await world.must('show os --latest --composition composition --json')).json.serial).toBe(1)
  })

  test('tells what foreign files an update removes', async () => {
    await world.must(`sync os ${world.node()}`)
    world.write('a/junk', 'precious')
    await world.publish2()
    const outcome = await world.must(`apply os a ${world.node()}`)
    expect(outcome.stderr).toContain('/junk is removed')
    expect(outcome.stderr).not.toContain('old-file')
  })
})
