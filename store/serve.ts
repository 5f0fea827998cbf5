// A read-only web server for a repository folder: a laptop, a peer on the LAN, a test. Single ranges, no listings, nothing outside the folder.
import { constants, type FileHandle, open, realpath, stat } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join, resolve, sep } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { PsyblobError, type Report, visible } from '../core/mod.ts'
import { hasCode } from './files.ts'

export type ServeOptions = {
  readonly dir: string
  /** Default 127.0.0.1. */
  readonly host?: string
  /** 0: any free one. */
  readonly port: number
  readonly report: Report
}

export interface Served {
  /** Ends with a slash. */
  readonly url: string
  /** Takes no more requests, gives those under way a moment to end, then ends them. */
  close(): Promise<void>
}

/** Milliseconds that `close` waits, and that a client may take none of its bytes. */
const grace = 1000
const idle = 60_000

/** Serves `dir` until closed. Throws `not-found` for no folder, `conflict` for an address that cannot be had. */
export async function serve({ dir, host = '127.0.0.1', port, report }: ServeOptions): Promise<Served> {
  const root = await realpath(resolve(dir)).catch(() => undefined)
  if (root === undefined || !(await stat(root)).isDirectory()) {
    throw new PsyblobError('not-found', `no folder ${visible(dir)}`, { hint: 'name a repository folder; psyblob init makes one' })
  }
  if (!Number.isInteger(port) || port < 0 || port > 65535)
    throw new PsyblobError('usage', `no port: ${port}`, { hint: 'ports are 0 (any free one) to 65535' })
  const server = createServer((incoming, response) => {
    const asked = `${incoming.method ?? ''} ${incoming.url ?? ''}${incoming.headers.range === undefined ? '' : ` ${incoming.headers.range}`}`
    answer(root, incoming, response).then(
      (status) => report({ type: 'trace', text: `${asked}: ${status}` }),
      (error: unknown) => {
        report({ type: 'trace', text: `${asked}: ${error instanceof Error ? error.message : String(error)}` })
        // half an answer must not look like a whole one
        response.destroy()
      },
    )
  })
  server.setTimeout(idle)
  await listen(server, host, port)
  const address = server.address() as AddressInfo
  const name = address.family === 'IPv6' ? `[${address.address}]` : address.address
  let closed: Promise<void> | undefined
  return {
    url: `http://${name}:${address.port}/`,
    close: () => {
      closed ??= new Promise((done) => {
        const timer = setTimeout(() => server.closeAllConnections(), grace)
        server.close(() => {
          clearTimeout(timer)
          done()
        })
        server.closeIdleConnections()
      })
      return closed
    },
  }
}

async function listen(server: Server, host: string, port: number): Promise<void> {
  await new Promise<void>((done, fail) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      if (!hasCode(cause, 'EADDRINUSE', 'EACCES', 'EADDRNOTAVAIL', 'ENOTFOUND', 'EAI_AGAIN')) return fail(cause)
      fail(
        new PsyblobError('conflict', `cannot listen on ${visible(host)}:${port}: ${cause.code}`, {
          cause,
          hint: 'choose another --port or --host; --port 0 takes any free one',
        }),
      )
    })
    server.listen(port, host, done)
  })
}

async function answer(root: string, incoming: IncomingMessage, response: ServerResponse): Promise<number> {
  const say = (status: number, text: string, headers: Record<string, string> = {}) => {
    response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', 'content-length': String(text.length + 1), ...headers })
    response.end(`${text}\n`)
    return status
  }
  if (incoming.method !== 'GET' && incoming.method !== 'HEAD')
    return say(405, 'only GET and HEAD', { allow: 'GET, HEAD', connection: 'close' })
  const found = await fileAt(root, incoming.url ?? '/')
  if (found === undefined) return say(404, 'not here; a psyblob repository has no listings, see index.json')
  const { path, file } = found
  try {
    const { size } = await file.stat()
    // validators are never sent, so If-Range cannot match: then the whole is the answer (RFC 9110 section 13.1.5)
    const range = incoming.headers['if-range'] === undefined ? parseRange(incoming.headers.range, size) : undefined
    if (range === 'unsatisfiable') return say(416, 'no such range', { 'content-range': `bytes */${size}` })
    const { start, end } = range ?? { start: 0, end: size - 1 }
    response.writeHead(range === undefined ? 200 : 206, {
      ...kindOf(path, root),
      'content-length': String(end - start + 1),
      'accept-ranges': 'bytes',
      ...(range === undefined ? {} : { 'content-range': `bytes ${start}-${end}/${size}` }),
    })
    if (incoming.method === 'HEAD' || end < start) response.end()
    else await pipeline(exactly(file, start, end), response)
    return response.statusCode
  } finally {
    await file.close()
  }
}

/** Fails when the file is shorter than it was: the length was promised already. */
async function* exactly(file: FileHandle, start: number, end: number): AsyncGenerator<Uint8Array> {
  for (let at = start; at <= end; ) {
    const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(Math.min(256 * 1024, end + 1 - at)), 0, null, at)
    if (bytesRead === 0) throw new Error('the file became shorter while it was read')
    at += bytesRead
    yield buffer.subarray(0, bytesRead)
  }
}

function kindOf(path: string, root: string): Record<string, string> {
  const blob = path.startsWith(join(root, 'blobs') + sep)
  const text = path.endsWith('.json') ? 'application/json' : 'text/plain; charset=utf-8'
  return {
    'content-type': blob ? 'application/octet-stream' : text,
    'x-content-type-options': 'nosniff',
    'cache-control': blob ? 'public, max-age=31536000, immutable' : 'no-cache',
  }
}

/** The names of a repository (spec/repository.md). */
const served = /^\/(psyblob\.json|index\.json|(root|channels|manifests|blobs)\/.+)$/

/** The file that a request target means, opened, if it is a plain file of the repository. The caller closes it. */
async function fileAt(root: string, target: string): Promise<{ readonly path: string; readonly file: FileHandle } | undefined> {
  let name: string
  try {
    name = decodeURIComponent(target.split('?', 1)[0] ?? '')
  } catch {
    return undefined
  }
  // whatever else lies in the folder, a secret key perhaps, is nobody's business; so are unfinished files, whose names begin with a dot
  if (!served.test(name) || name.includes('\\') || name.includes('\0') || name.split('/').some((part) => part.startsWith('.')))
    return undefined
  try {
    const path = await realpath(join(root, name))
    if (!path.startsWith(root === sep ? sep : root + sep)) return undefined
    // what is a link by now was none a moment ago; a pipe must not block
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW)
    if ((await file.stat()).isFile()) return { path, file }
    await file.close()
    return undefined
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG', 'EACCES', 'ENXIO')) return undefined
    throw error
  }
}

type Bounds = { readonly start: number; readonly end: number }

/** A single range (RFC 9110 section 14); undefined means the whole, which is also the answer to several. */
function parseRange(header: string | undefined, size: number): Bounds | 'unsatisfiable' | undefined {
  const match = /^bytes=(\d*)-(\d*)$/i.exec(header ?? '')
  const [, first = '', last = ''] = match ?? []
  if (first === '' && last === '') return undefined
  if (first === '') return Number(last) === 0 || size === 0 ? 'unsatisfiable' : { start: Math.max(0, size - Number(last)), end: size - 1 }
  const start = Number(first)
  const end = last === '' ? size - 1 : Math.min(Number(last), size - 1)
  if (last !== '' && Number(last) < start) return undefined
  return start >= size ? 'unsatisfiable' : { start, end }
}
