// The read-only server: ranges, what it refuses, and that nothing outside its folder can be had.
import { execFileSync } from 'node:child_process'
import { mkdir, symlink, truncate, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ProgressEvent } from '../../core/mod.ts'
import { type Served, serve } from '../../store/serve.ts'
import { blobOf, madeUp, refusal, same, temporaryFolder, writeBelow } from '../fixtures/repository.ts'

const blob = blobOf(madeUp(1_000_000, 1))
const events: ProgressEvent[] = []
let folder: Awaited<ReturnType<typeof temporaryFolder>>
let served: Served

beforeAll(async () => {
  folder = await temporaryFolder()
  const dir = join(folder.dir, 'repo')
  await writeBelow(folder.dir, { secret: 'outside', 'repository/secret': 'beside' })
  await writeBelow(dir, {
    [blob.path]: blob.bytes,
    'index.json': '{}',
    'channels/stable': 'pointer',
    'manifests/empty': '',
    'os.key': 'a secret key that lies beside',
    'blobs/.unfinished.1.tmp': 'x',
    '.unfinished.1.tmp': 'x',
    '.git/config': 'x',
  })
  await symlink(join(folder.dir, 'secret'), join(dir, 'channels/out'))
  await symlink('stable', join(dir, 'channels/in'))
  await symlink('../../repository', join(dir, 'channels/beside'))
  execFileSync('mkfifo', [join(dir, 'channels/pipe')])
  served = await serve({ dir, port: 0, report: (event) => void events.push(event) })
})

afterAll(async () => {
  await served.close()
  await folder.remove()
})

type Answer = { readonly status: number; readonly headers: Readonly<Record<string, unknown>>; readonly body: Buffer }

/** Sends the target as it is: no client normalises it. */
function ask(path: string, options: { readonly method?: string; readonly headers?: Record<string, string> } = {}): Promise<Answer> {
  const { hostname, port } = new URL(served.url)
  return new Promise((done, fail) => {
    request({ hostname, port, path, agent: false, ...options }, (response) => {
      const pieces: Buffer[] = []
      response.on('data', (piece: Buffer) => pieces.push(piece)).on('error', fail)
      response.on('end', () => done({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(pieces) }))
    })
      .on('error', fail)
      .end()
  })
}

test('gives whole files with their length and kind', async () => {
  const whole = await ask(`/${blob.path}`)
  expect(whole.status).toBe(200)
  expect(whole.headers).toMatchObject({ 'content-length': '1000000', 'content-type': 'application/octet-stream', 'accept-ranges': 'bytes' })
  expect(same(whole.body, blob.bytes)).toBe(true)
  expect((await ask('/index.json?x=y')).headers).toMatchObject({ 'content-type': 'application/json', 'cache-control': 'no-cache' })
  expect((await ask('/channels/stable')).headers).toMatchObject({ 'content-type': 'text/plain; charset=utf-8' })
  expect(await ask('/manifests/empty')).toMatchObject({ status: 200, headers: { 'content-length': '0' } })
  expect((await ask('/channels/in')).body.toString()).toBe('pointer')
})

test('answers HEAD with the same head and no body', async () => {
  const head = await ask(`/${blob.path}`, { method: 'HEAD' })
  expect(head).toMatchObject({ status: 200, headers: { 'content-length': '1000000' } })
  expect(head.body).toHaveLength(0)
})

test('listens on loopback unless told otherwise', () => {
  expect(served.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/$/)
})

describe('ranges', () => {
  test.each([
    ['bytes=0-0', 0, 1],
    ['bytes=10-19', 10, 20],
    ['BYTES=10-19', 10, 20],
    ['bytes=999999-', 999_999, 1_000_000],
    ['bytes=-5', 999_995, 1_000_000],
    ['bytes=-5000000', 0, 1_000_000],
    ['bytes=500000-99999999', 500_000, 1_000_000],
  ])('%s is 206', async (range, start, end) => {
    const part = await ask(`/${blob.path}`, { headers: { range } })
    expect(part).toMatchObject({
      status: 206,
      headers: { 'content-range': `bytes ${start}-${end - 1}/1000000`, 'content-length': String(end - start) },
    })
    expect(same(part.body, blob.bytes.subarray(start, end))).toBe(true)
  })

  test.each(['bytes=1000000-', 'bytes=1000000-1000001', 'bytes=-0', 'bytes=99999999999999999999-'])('%s is 416', async (range) => {
    expect(await ask(`/${blob.path}`, { headers: { range } })).toMatchObject({
      status: 416,
      headers: { 'content-range': 'bytes */1000000' },
    })
  })

  test.each(['bytes=0-1,5-6', 'bytes=5-2', 'bytes=-', 'bytes=a-b', 'lines=1-2', 'bytes=0x1-2'])('%s is the whole', async (range) => {
    expect(await ask(`/${blob.path}`, { headers: { range } })).toMatchObject({ status: 200, headers: { 'content-length': '1000000' } })
  })

  test('of an empty file are 416', async () => {
    expect(await ask('/manifests/empty', { headers: { range: 'bytes=0-0' } })).toMatchObject({
      status: 416,
      headers: { 'content-range': 'bytes */0' },
    })
  })

  test('under a condition that cannot hold are the whole; other conditions are not looked at', async () => {
    expect(await ask(`/${blob.path}`, { headers: { range: 'bytes=0-1', 'if-range': '"x"' } })).toMatchObject({ status: 200 })
    expect(await ask(`/${blob.path}`, { headers: { 'if-none-match': '*', 'if-modified-since': new Date().toUTCString() } })).toMatchObject({
      status: 200,
    })
  })
})

describe('refusals', () => {
  test.each([
    '/',
    '/channels',
    '/channels/',
    '/nothing',
    '/os.key',
    '/channels/out',
    '/channels/beside/secret',
    '/blobs/.unfinished.1.tmp',
    '/../secret',
    '/channels/../../secret',
    '/%2e%2e/secret',
    '/%2E%2E%2Fsecret',
    '/%252e%252e/secret',
    '/..%5csecret',
    '/..\\secret',
    '/channels/stable%00',
    '/%',
    '/%ff',
    '/.unfinished.1.tmp',
    '/.git/config',
    '/channels/pipe',
    '//secret',
    `/${'x'.repeat(5000)}`,
    'http://127.0.0.1/secret',
    '*',
  ])('%s is 404, with a hint', async (target) => {
    const refused = await ask(target)
    expect(refused.status).toBe(404)
    expect(refused.body.toString()).toBe('not here; a psyblob repository has no listings, see index.json\n')
  })

  test.each(['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE'])('%s is 405', async (method) => {
    expect(await ask('/channels/stable', { method })).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' } })
  })

  test('garbage does not end it', async () => {
    const { hostname, port } = new URL(served.url)
    await new Promise<void>((done) => {
      const socket = connect(Number(port), hostname, () => socket.end('\0\u0001 garbage\r\n\r\n'))
      socket.resume().on('error', () => undefined)
      socket.on('close', () => done())
    })
    expect((await ask('/channels/stable')).status).toBe(200)
  })
})

test('a file that becomes shorter meanwhile ends the connection instead of the answer', async () => {
  const path = join(folder.dir, 'repo/blobs/large')
  await writeFile(path, '')
  await truncate(path, 500_000_000)
  const { hostname, port } = new URL(served.url)
  const told = await new Promise<string>((done) => {
    request({ hostname, port, path: '/blobs/large', agent: false, headers: { connection: 'keep-alive' } }, (response) => {
      response.once('data', () => void truncate(path, 1000))
      response.on('error', (error) => done(error.message)).on('end', () => done('ended'))
    }).end()
  })
  expect(told).toBe('aborted')
})

test('traces each request', async () => {
  await ask('/channels/stable', { headers: { range: 'bytes=0-1' } })
  await new Promise((done) => setTimeout(done, 20))
  expect(events).toContainEqual({ type: 'trace', text: 'GET /channels/stable bytes=0-1: 206' })
})

describe('beginning and end', () => {
  const report = () => undefined

  test('no folder, no port, and a port in use are refused', async () => {
    const dir = folder.dir
    const port = Number(new URL(served.url).port)
    expect(await refusal(serve({ dir: join(dir, 'absent'), port: 0, report }))).toBe(`not-found: no folder ${join(dir, 'absent')}`)
    expect(await refusal(serve({ dir: join(dir, 'secret'), port: 0, report }))).toMatch(/^not-found: /)
    expect(await refusal(serve({ dir, port: 70_000, report }))).toBe('usage: no port: 70000')
    expect(await refusal(serve({ dir, port, report }))).toBe(`conflict: cannot listen on 127.0.0.1:${port}: EADDRINUSE`)
  })

  test('closing lets a request under way end, takes no new ones, and may happen twice', async () => {
    const dir = join(folder.dir, 'other')
    await mkdir(dir)
    await writeBelow(dir, { 'blobs/large': madeUp(8_000_000, 5) })
    const other = await serve({ dir, port: 0, report })
    const response = await fetch(`${other.url}blobs/large`)
    const closing = Promise.all([other.close(), other.close()])
    expect((await response.arrayBuffer()).byteLength).toBe(8_000_000)
    await closing
    await expect(fetch(`${other.url}blobs/large`)).rejects.toThrow()
  })

  test('closing does not wait for ever for a client that takes nothing', async () => {
    const other = await serve({ dir: join(folder.dir, 'other'), port: 0, report })
    const { hostname, port } = new URL(other.url)
    const socket = connect(Number(port), hostname, () => socket.write('GET /blobs/large HTTP/1.1\r\nHost: x\r\n\r\n'))
    socket.on('error', () => undefined)
    await new Promise((done) => setTimeout(done, 100))
    const started = performance.now()
    await other.close()
    expect(performance.now() - started).toBeLessThan(3000)
    socket.destroy()
  })
})
