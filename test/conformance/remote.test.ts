// What every remote has to do, whatever carries the bytes.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { documents } from '../../core/mod.ts'
import type { OpenedRemote } from '../../store/remotes/open.ts'
import { openRemote } from '../../store/remotes/open.ts'
import { serve } from '../../store/serve.ts'
import { ipfsGateway } from '../fixtures/ipfs.ts'
import { blobOf, collect, madeUp, refusal, same, temporaryFolder, writeBelow } from '../fixtures/repository.ts'

const large = blobOf(madeUp(3_000_001, 1))
const empty = blobOf(new Uint8Array())
const absent = blobOf(madeUp(10, 2))
const damaged = { ...blobOf(madeUp(1000, 3)), size: 1000 }
const pointer = documents.pointer('stable')
const signature = documents.manifestSignature('os', 17)

type Opened = { readonly uri: string; readonly ipfsGateway?: string; close(): Promise<void> }
const report = () => undefined

const kinds: Readonly<Record<string, (dir: string) => Promise<Opened>>> = {
  'a folder': async (dir) => ({ uri: dir, close: async () => undefined }),
  'a file address': async (dir) => ({ uri: `file://${dir}/`, close: async () => undefined }),
  'psyblob serve': async (dir) => {
    const served = await serve({ dir, port: 0, report })
    return { uri: served.url, close: () => served.close() }
  },
  nginx: startNginx,
  'an IPFS gateway': (dir) => startIpfs(dir, 'url'),
  'an IPFS gateway with a host for each root': (dir) => startIpfs(dir, 'named'),
}

async function startIpfs(dir: string, address: 'url' | 'named'): Promise<Opened> {
  const gateway = await ipfsGateway()
  return { uri: `ipfs://${await gateway.add(dir)}/`, ipfsGateway: gateway[address], close: () => gateway.close() }
}

async function startNginx(dir: string): Promise<Opened> {
  const own = await temporaryFolder()
  const port = await freePort()
  const conf = join(own.dir, 'nginx.conf')
  await mkdir(join(own.dir, 'tmp'))
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${join(own.dir, 'tmp', name)};`)
  await writeFile(
    conf,
    `user root; daemon off; master_process off; worker_processes 1; pid ${own.dir}/pid; error_log ${own.dir}/error.log;
events { worker_connections 64; }
http { access_log off; ${temporary.join(' ')} server { listen 127.0.0.1:${port}; root ${dir}; } }`,
  )
  const nginx = spawn('nginx', ['-e', join(own.dir, 'error.log'), '-c', conf], { stdio: 'ignore' })
  const uri = `http://127.0.0.1:${port}/`
  for (let tries = 0; (await fetch(uri).catch(() => undefined)) === undefined; tries++) {
    if (tries === 100 || nginx.exitCode !== null) throw new Error('nginx does not start')
    await sleep(50)
  }
  return {
    uri,
    close: async () => {
      const gone = once(nginx, 'exit')
      nginx.kill('SIGTERM')
      await gone
      await own.remove()
    },
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  return typeof address === 'object' && address !== null ? address.port : 0
}

describe.each(Object.entries(kinds))('a repository behind %s', (_, open) => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>
  let opened: Opened
  let remote: OpenedRemote

  beforeAll(async () => {
    folder = await temporaryFolder()
    await writeBelow(folder.dir, {
      [pointer]: 'a pointer\n',
      [signature]: 'a signature\n',
      'psyblob.json': '{}\n',
      [large.path]: large.bytes,
      [empty.path]: empty.bytes,
      [damaged.path]: madeUp(1000, 4),
    })
    opened = await open(folder.dir)
    remote = await openRemote(opened.uri, { stallSeconds: 5, ipfsGateway: opened.ipfsGateway, report })
  })

  afterAll(async () => {
    await remote.close()
    await opened.close()
    await folder.remove()
  })

  test('gives documents as they are', async () => {
    expect(Buffer.from((await remote.read(pointer, { limit: 100 })) ?? []).toString()).toBe('a pointer\n')
    expect(Buffer.from((await remote.read(signature, { limit: 12 })) ?? []).toString()).toBe('a signature\n')
  })

  test('says that a document is absent by answering nothing', async () => {
    expect(await remote.read(documents.pointer('beta'), { limit: 100 })).toBeUndefined()
  })

  test('refuses a document that is longer than allowed', async () => {
    expect(await refusal(remote.read(pointer, { limit: 9 }))).toMatch(/^malformed: channels\/stable of .*: longer than 9 bytes$/)
  })

  test('gives whole blobs, the empty one too', async () => {
    expect(same(await collect(remote.get(large.cid, { size: large.bytes.length })), large.bytes)).toBe(true)
    expect(await collect(remote.get(empty.cid, { size: 0 }))).toHaveLength(0)
  })

  test.each([
    [0, 1],
    [0, 3_000_001],
    [3_000_000, 1],
    [65_535, 131_074],
    [1_234_567, 1_500_000],
  ])('gives exactly the bytes from %d, %d of them', async (offset, length) => {
    const got = await collect(remote.range(large.cid, { offset, length }, { size: large.bytes.length }))
    expect(same(got, large.bytes.subarray(offset, offset + length))).toBe(true)
  })

  test('gives many ranges at once', async () => {
    const all = await Promise.all(
      Array.from({ length: 24 }, (_, at) =>
        collect(remote.range(large.cid, { offset: at * 1000, length: 1000 }, { size: large.bytes.length })),
      ),
    )
    expect(same(Buffer.concat(all), large.bytes.subarray(0, 24_000))).toBe(true)
  })

  test('says that a blob is absent by failing', async () => {
    expect(await refusal(collect(remote.get(absent.cid, { size: 10 })))).toMatch(/^not-found: /)
    expect(await refusal(collect(remote.range(absent.cid, { offset: 0, length: 5 }, { size: 10 })))).toMatch(/^not-found: /)
  })

  test('fails instead of ending when a blob is not what it is called', async () => {
    const message = await refusal(collect(remote.get(damaged.cid, { size: damaged.size })))
    expect(message).toMatch(/^corrupt: .*expected /)
    expect(message).toContain(damaged.cid)
    expect(message).toContain(blobOf(madeUp(1000, 4)).cid)
  })

  test('fails when a blob is longer or shorter than it should be', async () => {
    expect(await refusal(collect(remote.get(large.cid, { size: 2_999_999 })))).toMatch(/^corrupt: /)
    expect(await refusal(collect(remote.get(large.cid, { size: 3_000_002 })))).toMatch(/^unavailable: /)
  })

  test('fails when a range reaches past the end', async () => {
    expect(await refusal(collect(remote.range(large.cid, { offset: 3_000_000, length: 2 }, { size: 3_000_002 })))).toMatch(/^unavailable: /)
    expect(await refusal(collect(remote.range(large.cid, { offset: 4_000_000, length: 2 }, { size: 5_000_000 })))).toMatch(/^unavailable: /)
  })

  test('stops when it is told to, before and in the middle', async () => {
    const stop = new AbortController()
    const source = remote.get(large.cid, { size: large.bytes.length, signal: stop.signal })
    const reason = new Error('enough')
    const work = (async () => {
      for await (const piece of source) if (piece.length > 0) stop.abort(reason)
    })()
    await expect(work).rejects.toBe(reason)
    await expect(collect(remote.range(large.cid, { offset: 0, length: 9 }, { size: 10, signal: stop.signal }))).rejects.toBe(reason)
    await expect(remote.read(pointer, { limit: 100, signal: stop.signal })).rejects.toBe(reason)
  })

  test('goes on after somebody stopped reading in the middle', async () => {
    for await (const piece of remote.get(large.cid, { size: large.bytes.length })) if (piece.length > 0) break
    expect((await remote.read(pointer, { limit: 100 }))?.length).toBe(10)
  })
})
