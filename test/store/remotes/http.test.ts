// Web servers that lie, stall, cut and wander: each gets its exact refusal, and nothing more is read than needed.
import { execFile } from 'node:child_process'
import { symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { afterEach, describe, expect, test } from 'vitest'
import { type Bytes, documents, type ProgressEvent } from '../../../core/mod.ts'
import type { Lookup } from '../../../store/remotes/address.ts'
import { HttpRemote } from '../../../store/remotes/http.ts'
import { type Asked, type Bend, type BentServer, bentServer } from '../../fixtures/bent-server.ts'
import { blobOf, collect, madeUp, refusal, same, temporaryFolder } from '../../fixtures/repository.ts'

const blob = blobOf(madeUp(200_000, 1))
const size = blob.bytes.length
const pointer = documents.pointer('stable')
const limit = 1000

const open: { close(): Promise<void> }[] = []

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
})

async function bent(answer: Bend | ((asked: Asked) => Bend)): Promise<BentServer> {
  const server = await bentServer(typeof answer === 'function' ? answer : () => answer)
  open.push(server)
  return server
}

function remoteAt(
  uri: string,
  options: { readonly stallSeconds?: number; readonly lookup?: Lookup; readonly events?: ProgressEvent[] } = {},
): HttpRemote {
  const remote = new HttpRemote(uri, {
    stallSeconds: options.stallSeconds ?? 5,
    report: (event) => void options.events?.push(event),
    ...(options.lookup === undefined ? {} : { lookup: options.lookup }),
  })
  open.push(remote)
  return remote
}

async function readFrom(answer: Bend | ((asked: Asked) => Bend), stallSeconds = 5): Promise<string> {
  const server = await bent(answer)
  return (await refusal(remoteAt(server.url, { stallSeconds }).read(pointer, { limit }))).replaceAll(server.url, 'URL/')
}

async function rangeFrom(answer: Bend | ((asked: Asked) => Bend), stallSeconds = 5): Promise<string> {
  const server = await bent(answer)
  const remote = remoteAt(server.url, { stallSeconds })
  return (await refusal(collect(remote.range(blob.cid, { offset: 100, length: 1000 }, { size })))).replaceAll(server.url, 'URL/')
}

async function getFrom(answer: Bend | ((asked: Asked) => Bend), stallSeconds = 5): Promise<string> {
  const server = await bent(answer)
  return (await refusal(collect(remoteAt(server.url, { stallSeconds }).get(blob.cid, { size })))).replaceAll(server.url, 'URL/')
}

const partial = (range: string, body: Uint8Array = blob.bytes.subarray(100, 1100)): Bend => ({
  status: 206,
  headers: { 'Content-Range': range },
  body,
})

async function* endless(): Bytes {
  for (;;) yield madeUp(16_384, 7)
}

async function* trickle(piece: Uint8Array, pause: number): Bytes {
  for (;;) {
    yield piece
    await new Promise((done) => setTimeout(done, pause))
  }
}

describe('what is asked', () => {
  test('no encoding but identity, one range, and a name of our own', async () => {
    const server = await bent(partial(`bytes 100-1099/${size}`))
    await collect(remoteAt(server.url).range(blob.cid, { offset: 100, length: 1000 }, { size }))
    expect(server.asked[0]?.target).toBe(`/${blob.path}`)
    expect(server.asked[0]?.headers).toMatchObject({ 'accept-encoding': 'identity', range: 'bytes=100-1099', 'user-agent': 'psyblob' })
  })

  test('below the folder of the address, with or without its last slash', async () => {
    const server = await bent({ body: 'x' })
    for (const folder of ['deep/repo', 'deep/repo/']) await remoteAt(`${server.url}${folder}`).read(pointer, { limit })
    expect(server.asked.map(({ target }) => target)).toEqual(['/deep/repo/channels/stable', '/deep/repo/channels/stable'])
  })

  test('a range of nothing asks nothing', async () => {
    const server = await bent({ body: 'x' })
    expect(await collect(remoteAt(server.url).range(blob.cid, { offset: 5, length: 0 }, { size }))).toHaveLength(0)
    expect(server.asked).toHaveLength(0)
  })

  test('again, once, when a kept connection turns out to be closed', async () => {
    const server = await bent(({ count }) => (count === 1 ? { raw: '' } : { body: 'good' }))
    const remote = remoteAt(server.url)
    await remote.read(pointer, { limit })
    expect(Buffer.from((await remote.read(pointer, { limit })) ?? []).toString()).toBe('good')
    expect(server.asked).toHaveLength(3)
  })

  test('each request is traced, without credentials', async () => {
    const events: ProgressEvent[] = []
    const server = await bent({ body: 'x' })
    const remote = remoteAt(server.url.replace('//', '//me:secret@'), { events })
    await remote.read(pointer, { limit })
    expect(events).toEqual([{ type: 'trace', text: `GET ${server.url}channels/stable` }])
    expect(remote.label).toBe(server.url)
  })
})

describe('statuses', () => {
  test.each([404, 410])('%d: no document, and a blob that is not found', async (status) => {
    const server = await bent({ status, body: 'nothing here' })
    const remote = remoteAt(server.url)
    expect(await remote.read(pointer, { limit })).toBeUndefined()
    expect(await refusal(collect(remote.get(blob.cid, { size })))).toBe(`not-found: no ${blob.path} at ${server.url}`)
    expect(await refusal(collect(remote.range(blob.cid, { offset: 0, length: 1 }, { size })))).toBe(
      `not-found: no ${blob.path} at ${server.url}`,
    )
  })

  test.each([201, 203, 204, 206, 300, 304, 400, 401, 403, 416, 429, 500, 501, 503])(
    '%d instead of a document is unavailable',
    async (status) => {
      const bend = [204, 304].includes(status) ? { status, lengthless: true } : { status, body: 'no' }
      expect(await readFrom({ ...bend, reason: 'Because' })).toBe(`unavailable: URL/ answers ${status} Because for channels/stable`)
    },
  )

  test.each([200, 400, 416, 501])('%d instead of a range: the server does none, and is read as a whole', async (status) => {
    expect(await rangeFrom({ status, body: 'no' })).toBe('unsupported: URL/ does not do ranges')
  })

  test.each([201, 204, 304, 403, 500, 503])('%d instead of a range is unavailable', async (status) => {
    const bend = [204, 304].includes(status) ? { status, lengthless: true } : { status, body: 'no' }
    expect(await rangeFrom({ ...bend, reason: 'Because' })).toBe(`unavailable: URL/ answers ${status} Because for ${blob.path}`)
  })

  test('the reason of the server cannot steer a terminal', async () => {
    const told = await readFrom({ status: 500, reason: '\u009b31mred' })
    expect(told).toMatch(/^unavailable: URL\/ answers 500 /)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
    expect(told).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/)
  })
})

describe('ranges', () => {
  test.each([`bytes 100-1099/${size}`, 'bytes 100-1099/*'])('are taken with %s', async (stated) => {
    const server = await bent(partial(stated))
    const got = await collect(remoteAt(server.url).range(blob.cid, { offset: 100, length: 1000 }, { size }))
    expect(same(got, blob.bytes.subarray(100, 1100))).toBe(true)
  })

  test.each([
    `bytes 101-1100/${size}`,
    `bytes 100-1098/${size}`,
    `bytes 0-${size - 1}/${size}`,
    `bytes 100-1099/${size + 1}`,
    'bytes 100-1099',
    'bytes */200000',
    `bits 100-1099/${size}`,
    `bytes 0100-1099/${size}`,
    `bytes 100-1099/${size}, bytes 100-1099/${size}`,
  ])('are refused with %s', async (stated) => {
    expect(await rangeFrom(partial(stated))).toBe(`unavailable: URL/: expected bytes 100-1099/${size} of ${blob.cid}, got ${stated}`)
  })

  test('are refused without a Content-Range', async () => {
    expect(await rangeFrom({ status: 206, body: blob.bytes.subarray(100, 1100) })).toMatch(/^unavailable: .*, got undefined$/)
  })

  test('in several parts are refused', async () => {
    const headers = { 'Content-Range': `bytes 100-1099/${size}`, 'Content-Type': 'multipart/byteranges; boundary=x' }
    expect(await rangeFrom({ status: 206, headers, body: blob.bytes.subarray(100, 1100) })).toMatch(/^unavailable: .*, got several parts$/)
  })

  test.each([0, 1, 999])('of %d bytes instead of 1000 are refused', async (length) => {
    const bend = partial(`bytes 100-1099/${size}`, blob.bytes.subarray(100, 100 + length))
    expect(await rangeFrom(bend)).toBe(`unavailable: URL/: expected 1000 bytes of ${blob.cid}, got ${length}`)
    expect(await rangeFrom({ ...bend, lengthless: true })).toBe(`unavailable: URL/: expected 1000 bytes of ${blob.cid}, got ${length}`)
  })

  test('that are longer than asked are refused', async () => {
    expect(await rangeFrom(partial(`bytes 100-1099/${size}`, blob.bytes.subarray(100, 1101)))).toBe(
      'unavailable: URL/: more than the 1000 bytes that were asked for',
    )
  })

  test('that never end are refused after little', async () => {
    const server = await bent({ status: 206, headers: { 'Content-Range': 'bytes 0-9/*' }, body: endless() })
    const work = collect(remoteAt(server.url).range(blob.cid, { offset: 0, length: 10 }, { size }))
    expect(await refusal(work)).toBe(`unavailable: ${server.url}: more than the 10 bytes that were asked for`)
  })

  test.each([200, 501])('answered with %d are unsupported, and the body is not read', async (status) => {
    const server = await bent({ status, body: endless() })
    const work = collect(remoteAt(server.url).range(blob.cid, { offset: 0, length: 10 }, { size }))
    expect(await refusal(work)).toBe(`unsupported: ${server.url} does not do ranges`)
    await new Promise((done) => setTimeout(done, 50))
    expect(server.sent).toBeLessThan(16 * 1024 * 1024)
  })
})

describe('bodies', () => {
  test('a document longer than allowed is malformed, stated or not, and endless ones are not read on', async () => {
    expect(await readFrom({ body: 'x'.repeat(limit) })).toBe('none')
    expect(await readFrom({ body: 'x'.repeat(limit + 1) })).toBe('malformed: channels/stable of URL/: longer than 1000 bytes')
    const headers = { 'Transfer-Encoding': 'chunked' }
    const chunked = async function* (): Bytes {
      for (;;) yield Buffer.from(`4000\r\n${'x'.repeat(0x4000)}\r\n`)
    }
    expect(await readFrom({ headers, body: chunked() })).toBe('malformed: channels/stable of URL/: longer than 1000 bytes')
  })

  test('a document shorter than stated is unavailable', async () => {
    expect(await readFrom({ body: 'x'.repeat(100), cut: 50 })).toBe('unavailable: URL/: connection closed by the server')
    expect(await readFrom({ headers: { 'Transfer-Encoding': 'chunked' }, body: '64\r\nxxxx', cut: 8, lengthless: true })).toBe(
      'unavailable: URL/: connection closed by the server',
    )
  })

  test('a document without any length is unavailable: it could have been cut', async () => {
    expect(await readFrom({ body: 'x', lengthless: true })).toBe('unavailable: URL/ does not say how long channels/stable is')
  })

  test.each([0, 1, 100_000, 199_999])('a blob cut after %d bytes is unavailable', async (cut) => {
    expect(await getFrom({ body: blob.bytes, cut })).toBe('unavailable: URL/: connection closed by the server')
    expect(await getFrom({ body: blob.bytes.subarray(0, cut), lengthless: true })).toBe(
      `unavailable: blob ${blob.cid} of URL/: expected ${size} bytes, got ${cut}`,
    )
  })

  test('a blob without any length is taken, as its bytes tell', async () => {
    expect(await getFrom({ body: blob.bytes, lengthless: true })).toBe('none')
  })

  test('a blob with a wrong byte is corrupt', async () => {
    const wrong = Uint8Array.from(blob.bytes)
    wrong[123_456] = (wrong[123_456] ?? 0) ^ 1
    expect(await getFrom({ body: wrong })).toBe(`corrupt: blob of URL/: expected ${blob.cid}, got ${blobOf(wrong).cid}`)
  })

  test('a blob that never ends is corrupt after little', async () => {
    const server = await bent({ body: endless() })
    expect(await refusal(collect(remoteAt(server.url).get(blob.cid, { size })))).toMatch(/^corrupt: .*longer than 200000 bytes$/)
    expect(server.sent).toBeLessThan(16 * 1024 * 1024)
  })

  test.each(['gzip', 'br', 'deflate', 'GZIP', 'identity, gzip', '\u009b2J'])(
    'content encoding %j is refused: nobody asked for it',
    async (encoding) => {
      const body = gzipSync(blob.bytes)
      for (const told of [
        await readFrom({ headers: { 'Content-Encoding': encoding }, body }),
        await getFrom({ headers: { 'Content-Encoding': encoding }, body }),
      ]) {
        expect(told).toMatch(/^unavailable: URL\/ answers with content encoding .*, which was not asked for$/)
        // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
        expect(told).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/)
      }
    },
  )

  test('content encoding identity is what was asked for', async () => {
    expect(await getFrom({ headers: { 'Content-Encoding': 'identity' }, body: blob.bytes })).toBe('none')
  })

  test('a bomb is not unpacked', async () => {
    expect(await readFrom({ headers: { 'Content-Encoding': 'gzip' }, body: gzipSync(new Uint8Array(50_000_000)) })).toMatch(
      /^unavailable: /,
    )
  })
})

describe('servers that are no web servers', () => {
  test.each([
    ['garbage', 'SSH-2.0-OpenSSH_9.2\r\n'],
    ['nothing', ''],
    ['half a head', 'HTTP/1.1 200 OK\r\nContent-Le'],
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx'],
    ['a length and chunks', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n'],
    ['a negative length', 'HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nx'],
    ['a length beyond reason', `HTTP/1.1 200 OK\r\nContent-Length: ${'9'.repeat(40)}\r\n\r\nx`],
    ['100 without end', 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(100)],
    ['103 without end', 'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(100)],
    ['101', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n'],
    ['headers without end', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(100_000)}\r\n\r\n`],
  ])('%s is unavailable', async (_, raw) => {
    expect(await readFrom({ raw })).toMatch(/^unavailable: URL\//)
    expect(await rangeFrom({ raw })).toMatch(/^unavailable: URL\//)
  })

  test('nobody there, or no such host, is unavailable', async () => {
    const server = await bentServer(() => ({}))
    await server.close()
    expect(await refusal(remoteAt(server.url).read(pointer, { limit }))).toBe(`unavailable: ${server.url}: connection refused`)
    const lookup: Lookup = (host, _, done) => done(Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), { code: 'ENOTFOUND' }), [])
    const remote = remoteAt('http://nowhere.example/', { lookup })
    expect(await refusal(remote.read(pointer, { limit }))).toBe('unavailable: http://nowhere.example/: no such host')
  })

  test('a web server that speaks no TLS is unavailable over https', async () => {
    const server = await bent({ body: 'x' })
    expect(await refusal(remoteAt(server.url.replace('http:', 'https:'), { stallSeconds: 0.5 }).read(pointer, { limit }))).toMatch(
      /^unavailable: https:/,
    )
  })
})

describe('stalls', () => {
  test('before the answer, in its head, and in its body', async () => {
    const started = performance.now()
    const half = async function* (): Bytes {
      yield Buffer.from('HTTP/1.1 200 OK\r\nContent-')
      await new Promise((done) => setTimeout(done, 3000))
    }
    expect(await readFrom({ delay: 3000 }, 0.3)).toBe('unavailable: URL/: no answer in time')
    expect(await readFrom({ raw: half() }, 0.3)).toBe('unavailable: URL/: no answer in time')
    expect(await getFrom({ body: blob.bytes, hang: 1000 }, 0.3)).toBe('unavailable: URL/: stalled')
    expect(await rangeFrom({ ...partial(`bytes 100-1099/${size}`), hang: 10 }, 0.3)).toBe('unavailable: URL/: stalled')
    expect(performance.now() - started).toBeLessThan(6000)
  })

  test('a trickle is as bad as a stall', async () => {
    expect(await getFrom({ headers: { 'Content-Length': String(size) }, body: trickle(madeUp(10, 1), 50) }, 0.3)).toBe(
      'unavailable: URL/ is too slow: less than 10 KiB a second',
    )
  })

  test('hints without an answer end, though each of them is news', async () => {
    expect(await readFrom({ raw: trickle(Buffer.from('HTTP/1.1 103 Early Hints\r\n\r\n'), 100) }, 0.3)).toBe(
      'unavailable: URL/ does not come to an answer',
    )
  })

  test('whoever takes the bytes may be slow', async () => {
    const server = await bent({ body: blob.bytes })
    let got = 0
    for await (const piece of remoteAt(server.url, { stallSeconds: 0.3 }).get(blob.cid, { size })) {
      if (got === 0) await new Promise((done) => setTimeout(done, 700))
      got += piece.length
    }
    expect(got).toBe(size)
  })

  test('end at once when told to stop, with the reason given', async () => {
    const server = await bent({ body: blob.bytes, hang: 1000 })
    const remote = remoteAt(server.url)
    for (const work of [
      (signal: AbortSignal) => remote.read(pointer, { limit: size, signal }),
      (signal: AbortSignal) => collect(remote.get(blob.cid, { size, signal })),
    ]) {
      const stop = new AbortController()
      const reason = new Error('enough')
      setTimeout(() => stop.abort(reason), 50)
      await expect(work(stop.signal)).rejects.toBe(reason)
    }
  })

  test('end at once when the remote is closed', async () => {
    const server = await bent({ delay: 3000 })
    const remote = remoteAt(server.url)
    const work = refusal(remote.read(pointer, { limit }))
    setTimeout(() => void remote.close(), 50)
    expect(await work).toMatch(/^unavailable: /)
  })
})

describe('redirects', () => {
  const to = (location: string, status = 302): Bend => ({ status, headers: { Location: location }, body: 'elsewhere' })

  test.each([301, 302, 303, 307, 308])('%d is followed, the range goes along', async (status) => {
    const target = await bent(partial(`bytes 100-1099/${size}`))
    expect(await rangeFrom(to(`${target.url}other`, status))).toBe('none')
    expect(target.asked[0]?.headers['range']).toBe('bytes=100-1099')
    expect(target.asked[0]?.target).toBe('/other')
  })

  test('three are followed, relative ones too, four are not', async () => {
    const step = (last: number) => (asked: Asked) => (asked.count < last ? to(`hop${asked.count}`) : { body: 'x' })
    expect(await readFrom(step(3))).toBe('none')
    expect(await readFrom(step(4))).toBe('unavailable: URL/ redirects channels/stable more than 3 times')
  })

  test('a loop ends', async () => {
    const server = await bent(to('/channels/stable'))
    expect(await refusal(remoteAt(server.url).read(pointer, { limit }))).toBe(
      `unavailable: ${server.url} redirects channels/stable more than 3 times`,
    )
    expect(server.asked).toHaveLength(4)
  })

  test.each(['file:///etc/passwd', 'ftp://127.0.0.1/x', 'data:text/plain,x', 'javascript:1', 'gopher://127.0.0.1:70/'])(
    'to %s is not followed',
    async (location) => {
      const protocol = new URL(location).protocol
      expect(await readFrom(to(location))).toBe(`unavailable: URL/ redirects channels/stable to ${protocol}, which is not followed`)
    },
  )

  test.each([undefined, 'http://[', 'http://'])('to %s is to nowhere', async (location) => {
    expect(await readFrom(location === undefined ? { status: 302, body: '' } : to(location))).toBe(
      'unavailable: URL/ redirects channels/stable to nowhere',
    )
  })

  test('credentials go to the server that they were given for, and to nobody else', async () => {
    const other = await bent({ body: 'x' })
    const server = await bent(({ target }) => (target === '/here' ? to(other.url.replace('//', '//evil:evil@')) : to('/here')))
    const remote = remoteAt(server.url.replace('//', '//m%65:s%3Acret@'))
    await remote.read(pointer, { limit })
    const expected = `Basic ${Buffer.from('me:s:cret').toString('base64')}`
    expect(server.asked.map(({ headers }) => headers['authorization'])).toEqual([expected, expected])
    expect(other.asked.map(({ headers }) => headers['authorization'])).toEqual([undefined])
  })

  test('inwards are not followed: by number, by name, or by what a name stands for', async () => {
    const inner = await bent({ body: 'secret' })
    const lookup: Lookup = (_, options, done) =>
      options.all === true ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4)
    const locations = [
      inner.url,
      `http://localhost:${inner.port}/`,
      `http://[::ffff:127.0.0.1]:${inner.port}/`,
      'http://169.254.169.254/latest/',
      `http://0x7f.1:${inner.port}/`,
    ]
    for (const location of [...locations, `http://inner.example:${inner.port}/`]) {
      const server = await bent(to(location))
      const remote = remoteAt(`http://mirror.example:${server.port}/`, { lookup })
      expect(await refusal(remote.read(pointer, { limit }))).toMatch(
        /^unavailable: a redirect to .*, an address of this machine or its network link, is not followed$/,
      )
    }
    expect(inner.asked).toHaveLength(0)
  })

  test('to another path of the same host are followed wherever that is', async () => {
    const lookup: Lookup = (_, options, done) =>
      options.all === true ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4)
    const server = await bent(({ count }) => (count === 0 ? to('/there') : { body: 'x' }))
    expect(await refusal(remoteAt(`http://mirror.example:${server.port}/`, { lookup }).read(pointer, { limit }))).toBe('none')
  })
})

describe('addresses', () => {
  test.each(['http://os.example/?x=1', 'http://os.example/#x', 'http://%ff:x@os.example/', 'http://'])('%s is no address', (uri) => {
    expect(() => new HttpRemote(uri, { stallSeconds: 1, report: () => undefined })).toThrow(expect.objectContaining({ code: 'usage' }))
  })
})

test('a process with an opened remote ends by itself once it is closed', async () => {
  const server = await bent({ body: 'x' })
  const folder = await temporaryFolder()
  open.push({ close: folder.remove })
  const contents = `
    import { openRemote } from './store/remotes/open.ts'
    const remote = await openRemote('${server.url}', { stallSeconds: 30, report() {} })
    await remote.read('channels/stable', { limit: 10 })
    await remote.close()
    await remote.close()
    const closed = Date.now()
    process.on('exit', () => console.log(Date.now() - closed))`
  const root = fileURLToPath(new URL('../../../', import.meta.url))
  const outfile = join(folder.dir, 'program.mjs')
  await symlink(join(root, 'node_modules'), join(folder.dir, 'node_modules'))
  await build({
    stdin: { contents, resolveDir: root, loader: 'ts' },
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    logLevel: 'silent',
  })
  const { stdout } = await promisify(execFile)(process.execPath, [outfile])
  expect(Number(stdout)).toBeLessThan(500)
})
