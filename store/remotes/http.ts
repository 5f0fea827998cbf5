// A repository on a web server. Everything the server says is checked: status, ranges, lengths, encodings, redirects.
import { Agent, type Dispatcher, errors } from 'undici'
import { type Bytes, type CID, type DocumentName, limits, PsyblobError, type Report, shardOf, visible } from '../../core/mod.ts'
import { hasCode } from '../files.ts'
import { Pace } from '../pace.ts'
import type { Range, ReadOptions, Remote } from '../remote.ts'
import { checkedBlob } from '../whole.ts'
import { guarded, isNear, type Lookup, parseBase, plainLookup, tooNear } from './address.ts'

export type HttpOptions = {
  /** Seconds without a byte, or of less than 10 KiB each, after which the remote is given up. */
  readonly stallSeconds: number
  readonly report: Report
  /** How names of hosts become addresses; default: as the system does. */
  readonly lookup?: Lookup
  /** For people, where the address that is asked is not the one they know. Default: that address, without credentials. */
  readonly label?: string
  /** True for an address of this machine or its link that a redirect may lead to. Default: those of the host that was named; any, if that is near itself. */
  readonly mayTurnTo?: (next: URL) => boolean
  /** What to do about an answer with this status, or about none; undefined for the usual. */
  readonly hint?: (status: number | 'late' | 'none') => string | undefined
}

type Answer = Pick<Dispatcher.ResponseData, 'headers' | 'body' | 'statusText'> & { readonly status: number }

const connections = 8
/** Informational answers (1xx) before the real one: each starts the clock anew. */
const mostInformation = 4
/** A body nobody wants is read to its end, so that the connection can be used again, if it is no longer than this. */
const spareBytes = 16 * 1024
const again = 'run the same command again: it goes on where it stopped'
const checkAddress = 'check the address'
const incomplete = 'the mirror is damaged or incomplete; another one may have it'

export class HttpRemote implements Remote {
  readonly label: string
  readonly #base: URL
  readonly #authorization: string | undefined
  /** For the host that was named, and for those it redirects to. */
  readonly #agents: { readonly own: Agent; readonly other: Agent }
  readonly #mayTurnTo: (next: URL) => boolean
  readonly #options: HttpOptions

  constructor(uri: string, options: HttpOptions) {
    const { base, authorization } = parseBase(uri)
    this.#base = base
    this.#authorization = authorization
    this.label = options.label ?? base.href
    this.#options = options
    const stall = options.stallSeconds * 1000
    const agent = (lookup: Lookup) =>
      new Agent({
        connections,
        connect: { timeout: Math.min(10_000, stall), lookup },
        headersTimeout: stall,
        bodyTimeout: stall,
        keepAliveTimeout: 4000,
        maxHeaderSize: 16 * 1024,
      })
    const lookup = options.lookup ?? plainLookup
    const isOpen = options.mayTurnTo === undefined && isNear(base.hostname)
    this.#agents = { own: agent(lookup), other: agent(isOpen ? lookup : guarded(lookup)) }
    this.#mayTurnTo = options.mayTurnTo ?? ((next) => next.hostname === base.hostname || isNear(base.hostname))
  }

  /** Ends every connection at once: requests under way fail. */
  async close(): Promise<void> {
    await Promise.all([this.#agents.own.destroy(), this.#agents.other.destroy()])
  }

  async read(name: DocumentName, { limit, signal }: ReadOptions & { readonly limit: number }): Promise<Uint8Array | undefined> {
    const answer = await this.#ask(name, { signal })
    if (answer.status === 404 || answer.status === 410) {
      spare(answer)
      return undefined
    }
    if (answer.status !== 200) throw this.#refusal(name, answer)
    // a body that ends with the connection cannot be told from one that was cut
    if (answer.headers['content-length'] === undefined && answer.headers['transfer-encoding'] === undefined) {
      answer.body.destroy()
      throw new PsyblobError('unavailable', `${this.label} does not say how long ${name} is`, { hint: checkAddress })
    }
    const pieces: Uint8Array[] = []
    let got = 0
    for await (const piece of this.#body(name, answer, signal)) {
      got += piece.length
      if (got > limit) {
        throw new PsyblobError('malformed', `${name} of ${this.label}: longer than ${limit} bytes`, {
          hint: 'something else than a psyblob repository answers there: check the address',
        })
      }
      pieces.push(piece)
    }
    return Buffer.concat(pieces)
  }

  get(cid: CID, { size, signal }: ReadOptions & { readonly size: number }): Bytes {
    return checkedBlob(this.#whole(cid, signal), { cid, size, label: this.label })
  }

  async *range(cid: CID, at: Range, { size, signal }: ReadOptions & { readonly size: number }): Bytes {
    if (at.length === 0) return
    const name = blobName(cid)
    const wanted = `${at.offset}-${at.offset + at.length - 1}`
    const answer = await this.#ask(name, { signal, range: `bytes=${wanted}` })
    const refuse = (error: PsyblobError) => {
      answer.body.destroy()
      return error
    }
    const stated = String(answer.headers['content-range'])
    // a server that names another length does ranges: what it has is not the whole blob
    const length = answer.status === 416 ? /^bytes \*\/(\d{1,15})$/.exec(stated)?.[1] : undefined
    if (length !== undefined && Number(length) !== size) {
      throw refuse(new PsyblobError('unavailable', `${this.label}: expected ${size} bytes of ${cid}, got ${length}`, { hint: incomplete }))
    }
    // 416 and 400: what some servers and proxies say to every range
    if ([200, 400, 416, 501].includes(answer.status)) {
      const hint = 'use a server that does (nginx, S3, psyblob serve), or psyblob download on another machine and psyblob sync --path'
      throw refuse(new PsyblobError('unsupported', `${this.label} does not do ranges`, { hint }))
    }
    if (answer.status !== 206) throw this.#refusal(name, answer)
    const multipart = /^\s*multipart\//i.test(String(answer.headers['content-type']))
    if (multipart || (stated !== `bytes ${wanted}/${size}` && stated !== `bytes ${wanted}/*`)) {
      const got = multipart ? 'several parts' : visible(stated.slice(0, 100))
      throw refuse(
        new PsyblobError('unavailable', `${this.label}: expected bytes ${wanted}/${size} of ${cid}, got ${got}`, { hint: again }),
      )
    }
    let got = 0
    for await (const piece of this.#body(name, answer, signal)) {
      got += piece.length
      if (got > at.length)
        throw new PsyblobError('unavailable', `${this.label}: more than the ${at.length} bytes that were asked for`, { hint: again })
      yield piece
    }
    if (got < at.length)
      throw new PsyblobError('unavailable', `${this.label}: expected ${at.length} bytes of ${cid}, got ${got}`, { hint: again })
  }

  async *#whole(cid: CID, signal: AbortSignal | undefined): Bytes {
    const name = blobName(cid)
    const answer = await this.#ask(name, { signal })
    if (answer.status !== 200) throw this.#refusal(name, answer)
    yield* this.#body(name, answer, signal)
  }

  #refusal(name: string, answer: Answer): PsyblobError {
    spare(answer)
    const { status } = answer
    if (status === 404 || status === 410) {
      return new PsyblobError('not-found', `no ${name} at ${this.label}`, { hint: this.#options.hint?.(status) ?? incomplete })
    }
    const said = `${status} ${visible(answer.statusText.slice(0, 100))}`.trimEnd()
    const usual =
      status === 401 || status === 403
        ? 'the server wants other credentials: put them into the uri, as in https://user:password@host/'
        : again
    return new PsyblobError('unavailable', `${this.label} answers ${said} for ${name}`, { hint: this.#options.hint?.(status) ?? usual })
  }

  /** One request, redirects followed by hand: the same scheme or to https, never inwards, credentials only to the first origin. */
  async #ask(name: string, { signal, range }: { readonly signal: AbortSignal | undefined; readonly range?: string }): Promise<Answer> {
    const refuse = (why: string) => new PsyblobError('unavailable', `${this.label} redirects ${name} ${why}`, { hint: checkAddress })
    let url = new URL(name.split('/').map(encodeURIComponent).join('/'), this.#base)
    for (let hop = 0; ; hop++) {
      const answer = await this.#send(url, range, signal)
      if (![301, 302, 303, 307, 308].includes(answer.status)) return answer
      spare(answer)
      const location = answer.headers['location']
      if (typeof location !== 'string' || !URL.canParse(location, url.href)) throw refuse('to nowhere')
      if (hop === limits.redirects) throw refuse(`more than ${limits.redirects} times`)
      const next = new URL(location, url.href)
      if (next.protocol !== url.protocol && !(url.protocol === 'http:' && next.protocol === 'https:')) {
        throw refuse(`to ${visible(next.protocol.slice(0, 40))}, which is not followed`)
      }
      if (isNear(next.hostname) && !this.#mayTurnTo(next)) throw tooNear(next.hostname)
      // credentials that a redirect brings along are not ours to send
      next.username = ''
      next.password = ''
      url = next
    }
  }

  async #send(url: URL, range: string | undefined, signal: AbortSignal | undefined): Promise<Answer> {
    signal?.throwIfAborted()
    const headers: Record<string, string> = { 'accept-encoding': 'identity', 'user-agent': 'psyblob' }
    if (range !== undefined) headers['range'] = range
    if (this.#authorization !== undefined && url.origin === this.#base.origin) headers['authorization'] = this.#authorization
    this.#options.report({ type: 'trace', text: `GET ${url.href}${range === undefined ? '' : ` ${range}`}` })
    const chatter = new AbortController()
    let information = 0
    const onInfo = () => {
      if (++information > mostInformation)
        chatter.abort(new PsyblobError('unavailable', `${this.label} does not come to an answer`, { hint: again }))
    }
    const ask = () =>
      // one that is near was let through by its name
      (url.hostname === this.#base.hostname || isNear(url.hostname) ? this.#agents.own : this.#agents.other).request({
        origin: url.origin,
        path: `${url.pathname}${url.search}`,
        method: 'GET',
        headers,
        signal: signal === undefined ? chatter.signal : AbortSignal.any([signal, chatter.signal]),
        onInfo,
      })
    try {
      // a kept connection may have been closed while it lay idle; that is no answer yet, so it is asked again, once (RFC 9112 section 9.3.1)
      const {
        statusCode,
        statusText,
        headers: got,
        body,
      } = await ask().catch((error: unknown) => {
        if (signal?.aborted !== true && hasCode(error, 'ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET')) return ask()
        throw error
      })
      // an error on a body that nobody reads any more is nobody's concern
      body.on('error', () => undefined)
      const encoding = got['content-encoding']
      if (encoding !== undefined && encoding !== 'identity') {
        body.destroy()
        const stated = visible(String(encoding).slice(0, 40))
        throw new PsyblobError('unavailable', `${this.label} answers with content encoding ${stated}, which was not asked for`, {
          hint: 'switch compression off for this address on the server',
        })
      }
      return { status: statusCode, statusText, headers: got, body }
    } catch (error) {
      throw this.#translated(error, signal)
    }
  }

  /** The bytes of an answer, with its errors in our words; too slow an answer is one. */
  async *#body(name: string, { headers, body }: Answer, signal: AbortSignal | undefined): Bytes {
    const stated = headers['content-length']
    const pace = new Pace(this.#options.stallSeconds * 1000, () => performance.now())
    let got = 0
    let complete = false
    try {
      pace.ask()
      for await (const piece of body as AsyncIterable<Uint8Array>) {
        if (!pace.got(piece.length))
          throw new PsyblobError('unavailable', `${this.label} is too slow: less than 10 KiB a second`, { hint: again })
        got += piece.length
        yield piece
        pace.ask()
      }
      complete = true
    } catch (error) {
      throw this.#translated(error, signal)
    } finally {
      if (!complete) body.destroy()
    }
    if (stated !== undefined && Number(stated) !== got) {
      throw new PsyblobError(
        'unavailable',
        `${name} of ${this.label}: expected ${visible(String(stated).slice(0, 20))} bytes, got ${got}`,
        { hint: again },
      )
    }
  }

  #translated(error: unknown, signal: AbortSignal | undefined): unknown {
    if (signal?.aborted === true) return signal.reason
    if (error instanceof PsyblobError) return error
    const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
    // what the parser of answers complains of has no code
    const foreign = code !== undefined || error instanceof errors.HTTPParserError
    if (!foreign || error instanceof errors.InvalidArgumentError) return error
    const why = reasons[code ?? ''] ?? `${code ?? 'no answer of a web server'}: ${visible((error as Error).message.slice(0, 200))}`
    return new PsyblobError('unavailable', `${this.label}: ${why}`, {
      cause: error,
      hint:
        this.#options.hint?.(code === 'UND_ERR_HEADERS_TIMEOUT' ? 'late' : 'none') ?? `check the address and the network, then ${again}`,
    })
  }
}

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection closed by the server',
  ENOTFOUND: 'no such host',
  EAI_AGAIN: 'the name of the host cannot be looked up at this moment',
  EHOSTUNREACH: 'host not reachable',
  ENETUNREACH: 'network not reachable',
  UND_ERR_SOCKET: 'connection closed by the server',
  UND_ERR_CONNECT_TIMEOUT: 'no connection in time',
  UND_ERR_HEADERS_TIMEOUT: 'no answer in time',
  UND_ERR_BODY_TIMEOUT: 'stalled',
  UND_ERR_HEADERS_OVERFLOW: 'headers too large',
}

/** Lets go of an answer whose body does not matter. */
function spare({ body }: Answer): void {
  void body.dump({ limit: spareBytes }).catch(() => undefined)
}

function blobName(cid: CID): string {
  return `blobs/${shardOf(cid)}/${cid}`
}
