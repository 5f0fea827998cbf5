// Servers that fail or lie, as a node meets them: the next remote, or exit status 14 and a hint; never wrong bytes.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { World } from './world.ts'

let world: World
let server: Server | undefined
beforeEach(async () => {
  world = await new World().withRelease()
  await world.must(`sync os ${world.node()}`)
  await world.publish2()
})
afterEach(async () => {
  server?.closeAllConnections()
  await new Promise((done) => (server === undefined ? done(undefined) : server.close(done)))
  server = undefined
  world.close()
})

type Bend = (incoming: IncomingMessage, response: ServerResponse, file: Buffer) => void

/** Serves the repository, but answers for blobs as `bend` does. */
async function serving(bend: Bend): Promise<string> {
  server = createServer((incoming, response) => {
    let file: Buffer
    try {
      file = world.read(`repo${incoming.url}`)
    } catch {
      response.writeHead(404).end()
      return
    }
    if (incoming.url?.startsWith('/blobs/')) bend(incoming, response, file)
    else response.end(file)
  })
  await new Promise<void>((done) => server?.listen(0, '127.0.0.1', done))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

const part = (incoming: IncomingMessage, file: Buffer) => {
  const match = /bytes=(\d+)-(\d+)/.exec(incoming.headers.range ?? '')
  return match === null
    ? { status: 200, body: file, range: undefined }
    : { status: 206, body: file.subarray(Number(match[1]), Number(match[2]) + 1), range: `bytes ${match[1]}-${match[2]}/${file.length}` }
}

const bends: readonly (readonly [string, Bend, number])[] = [
  ['closes the connection', (incoming) => incoming.socket.destroy(), 14],
  ['answers 404', (_, response) => response.writeHead(404).end(), 14],
  ['answers 500', (_, response) => response.writeHead(500).end(), 14],
  ['answers 416', (_, response) => response.writeHead(416).end(), 14],
  [
    'sends a short body',
    (incoming, response, file) => {
      const { status, body, range } = part(incoming, file)
      response.writeHead(status, { 'content-length': body.length, ...(range === undefined ? {} : { 'content-range': range }) })
      response.write(body.subarray(0, body.length / 2))
      setTimeout(() => response.destroy(), 20)
    },
    14,
  ],
  [
    'sends another range than the one asked for',
    (incoming, response, file) => {
      const { status, body, range } = part(incoming, file)
      if (range === undefined) response.writeHead(500).end()
      else response.writeHead(status, { 'content-range': range.replace(/bytes (\d+)/, 'bytes 1$1') }).end(body)
    },
    14,
  ],
  [
    'sends garbage of the right length',
    (incoming, response, file) => {
      const { status, body, range } = part(incoming, file)
      response.writeHead(status, { ...(range === undefined ? {} : { 'content-range': range }) }).end(Buffer.alloc(body.length, 'x'))
    },
    13,
  ],
  ['stalls', () => undefined, 14],
]

describe('a server that', () => {
  test.each(bends)('%s is left for the next remote, or named with its exit status', async (_, bend, code) => {
    const url = await serving(bend)
    const line = (remotes: string) => `sync os --key os.pub ${remotes} --slot-a a --slot-b b --esp esp --booted a --timeout 1`
    const alone = await world.psyblob(line(`--remote ${url}`))
    expect(alone.stderr).toMatch(/psyblob: (unavailable|corrupt): /)
    expect(alone.stderr).toContain('hint: ')
    expect(alone.code).toBe(code)
    const both = await world.must(`${line(`--remote ${url} --remote repo`)} --json`)
    expect(both.json).toMatchObject({ serial: 2, changed: true, slot: 'b' })
    await world.must(`verify ${world.node()}`)
  })

  test('knows no ranges is read as a whole', async () => {
    const url = await serving((_, response, file) => response.end(file))
    const result = (await world.must(`sync os ${world.node(url)} --booted a --json`)).json
    expect(result).toMatchObject({ serial: 2, slot: 'b' })
    await world.must(`verify ${world.node()}`)
  })

  test('is not there at all is told so', async () => {
    const outcome = await world.psyblob(`sync os ${world.node('http://127.0.0.1:9/')}`)
    expect(outcome).toMatchObject({
      code: 14,
      stderr: expect.stringMatching(/unavailable: http:\/\/127\.0\.0\.1:9\/: connection refused\n {2}hint: /),
    })
    expect(await world.psyblob(`sync os ${world.node('gopher://os.example/')}`)).toMatchObject({
      code: 16,
      stderr: expect.stringContaining('https://'),
    })
  })
})
