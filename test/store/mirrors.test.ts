// Several remotes as one: which is asked, which is dropped, and what is said when nobody is left.
import { describe, expect, test } from 'vitest'
import { type Bytes, type CID, cidOf, documents, type ErrorCode, type ProgressEvent, PsyblobError } from '../../core/mod.ts'
import { blake3 } from '../../store/blake3.ts'
import { Mirrors } from '../../store/mirrors.ts'
import type { Range, RangeSink, Remote } from '../../store/remote.ts'
import { HttpRemote } from '../../store/remotes/http.ts'
import { checkedBlob } from '../../store/whole.ts'
import { bentServer } from '../fixtures/bent-server.ts'
import { blobOf, collect, madeUp, piecesOf, refusal, same } from '../fixtures/repository.ts'

const blob = blobOf(madeUp(300_000, 1))
const size = blob.bytes.length
const pointer = documents.pointer('stable')
const pieceBytes = 10_000

type Script = {
  readonly document?: string | undefined
  readonly blob?: Uint8Array
  /** What goes wrong with the call of that number: before the first byte, or after `after` bytes. */
  readonly fails?: ((call: number) => { readonly code: ErrorCode; readonly after?: number } | undefined) | undefined
  readonly rangeless?: boolean
}

/** A remote in memory that fails as its script says. */
class Scripted implements Remote {
  readonly label: string
  readonly calls: string[] = []
  readonly #script: Script

  constructor(label: string, script: Script) {
    this.label = label
    this.#script = script
  }

  async read(): Promise<Uint8Array | undefined> {
    this.#fail(this.#call('read'), undefined)
    return this.#script.document === undefined ? undefined : Buffer.from(this.#script.document)
  }

  get(cid: CID, options: { readonly size: number }): Bytes {
    return checkedBlob(this.#pieces('get', { offset: 0, length: options.size }), { cid, size: options.size, label: this.label })
  }

  range(_cid: CID, at: Range): Bytes {
    return this.#pieces(`range ${at.offset}+${at.length}`, at)
  }

  async *#pieces(name: string, at: Range): Bytes {
    const call = this.#call(name)
    if (this.#script.rangeless === true && name !== 'get') throw new PsyblobError('unsupported', `${this.label} does not do ranges`)
    if (this.#script.blob === undefined) throw new PsyblobError('not-found', `no blob at ${this.label}`)
    let given = 0
    for await (const piece of piecesOf(this.#script.blob.subarray(at.offset, at.offset + at.length), pieceBytes)) {
      this.#fail(call, given)
      given += piece.length
      yield piece
    }
    this.#fail(call, given)
  }

  #call(name: string): number {
    return this.calls.push(name) - 1
  }

  #fail(call: number, given: number | undefined): void {
    const failure = this.#script.fails?.(call)
    if (failure !== undefined && (given ?? 0) >= (failure.after ?? 0))
      throw new PsyblobError(failure.code, `${this.label} says ${failure.code}`)
  }
}

/** Keeps whole pieces of `pieceBytes` whose bytes are right, as chunks are. */
class PieceSink implements RangeSink {
  readonly got: Uint8Array
  readonly isVerified = true
  position: number
  #held = new Uint8Array()

  constructor(from = 0) {
    this.position = from
    this.got = new Uint8Array(size)
  }

  async take(bytes: Uint8Array): Promise<void> {
    this.#held = Uint8Array.from(Buffer.concat([this.#held, bytes]))
    while (this.#held.length >= pieceBytes) {
      const piece = this.#held.subarray(0, pieceBytes)
      if (!same(piece, blob.bytes.subarray(this.position, this.position + pieceBytes)))
        throw new PsyblobError('corrupt', 'a piece is wrong')
      this.got.set(piece, this.position)
      this.position += pieceBytes
      this.#held = this.#held.slice(pieceBytes)
    }
  }

  reset(): void {
    this.#held = new Uint8Array()
  }

  restart(): void {
    this.reset()
  }
}

function setUp(scripts: readonly Script[]) {
  const events: ProgressEvent[] = []
  const remotes = scripts.map((script, at) => new Scripted(`remote${at + 1}`, script))
  const mirrors = new Mirrors(remotes, { report: (event) => void events.push(event), pauses: [1, 2] })
  const warnings = () => events.flatMap((event) => (event.type === 'warning' ? [event.text] : []))
  return { mirrors, remotes, warnings, calls: () => remotes.map(({ calls }) => calls.length) }
}

const always =
  (code: ErrorCode, after?: number): Script['fails'] =>
  () =>
    after === undefined ? { code } : { code, after }
const wrong = madeUp(size, 9)
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString()
const read = (mirrors: Mirrors, accept: (bytes: Uint8Array, remote: Remote) => string = text) =>
  mirrors.read(pointer, { limit: 100, accept })
const fetchAll = (mirrors: Mirrors, sink: PieceSink, end = size) => mirrors.fetch(blob.cid, { size, end }, sink)

describe('documents', () => {
  test('come from the first remote, and the others are not asked', async () => {
    const { mirrors, calls } = setUp([{ document: 'one' }, { document: 'two' }])
    expect(await read(mirrors)).toBe('one')
    expect(calls()).toEqual([1, 0])
  })

  test('a remote that has none is not dropped for it', async () => {
    const { mirrors, calls, warnings } = setUp([{}, { document: 'two' }])
    expect(await read(mirrors)).toBe('two')
    expect(await read(mirrors)).toBe('two')
    expect(calls()).toEqual([2, 2])
    expect(warnings()).toEqual([])
  })

  test('are absent when every remote that answers has none', async () => {
    expect(await read(setUp([{}, {}]).mirrors)).toBeUndefined()
    expect(await read(setUp([{ fails: always('unavailable') }, {}]).mirrors)).toBeUndefined()
  })

  test('a remote that is refused is not one that has none', async () => {
    const { mirrors } = setUp([{}, { document: 'two' }])
    const refuse = () => {
      throw new PsyblobError('rollback', 'older than before')
    }
    expect(await refusal(read(mirrors, refuse))).toMatch(/^rollback: /)
  })

  test('what is not accepted drops its remote for the rest of the run, with a warning', async () => {
    const { mirrors, calls, warnings } = setUp([{ document: 'bad' }, { document: 'good' }])
    const accept = (bytes: Uint8Array, remote: Remote) => {
      if (text(bytes) === 'bad') throw new PsyblobError('untrusted', `${remote.label} is not signed`)
      return text(bytes)
    }
    expect(await read(mirrors, accept)).toBe('good')
    expect(await read(mirrors, accept)).toBe('good')
    expect(calls()).toEqual([1, 2])
    expect(warnings()).toEqual(['remote1 is not used any more: remote1 is not signed'])
  })

  test.each([
    [['unavailable', 'untrusted'], 'untrusted'],
    [['unavailable', 'expired', 'rollback'], 'rollback'],
    [['expired', 'unavailable'], 'expired'],
    [['malformed', 'corrupt'], 'corrupt'],
    [['unavailable', 'unavailable'], 'unavailable'],
  ] as const)('when all fail with %j the refusal is %s, and it names every reason', async (codes, expected) => {
    const { mirrors } = setUp(codes.map((code) => ({ fails: always(code) })))
    const told = await refusal(read(mirrors))
    expect(told).toMatch(new RegExp(`^${expected}: none of ${codes.length} remotes gives channels/stable: `))
    for (const code of codes) expect(told).toContain(`says ${code}`)
  })

  test('a single remote speaks for itself, after two more tries when it may pass', async () => {
    const silent = setUp([{ fails: always('unavailable') }])
    expect(await refusal(read(silent.mirrors))).toBe('unavailable: remote1 says unavailable')
    expect(silent.calls()).toEqual([3])
    const lying = setUp([{ fails: always('untrusted') }])
    expect(await refusal(read(lying.mirrors))).toBe('untrusted: remote1 says untrusted')
    expect(lying.calls()).toEqual([1])
    expect(lying.warnings()).toEqual([])
    const passing = setUp([{ document: 'one', fails: (call) => (call < 2 ? { code: 'unavailable' } : undefined) }])
    expect(await read(passing.mirrors)).toBe('one')
  })

  test('a bug, or being told to stop, is nobody’s fault', async () => {
    const { mirrors, warnings } = setUp([{ document: 'one' }, { document: 'two' }])
    const broken = () => {
      throw new TypeError('a bug')
    }
    expect(await refusal(read(mirrors, broken))).toBe('TypeError: a bug')
    const reason = new Error('enough')
    await expect(mirrors.read(pointer, { limit: 9, accept: broken, signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    expect(warnings()).toEqual([])
  })
})

describe('parts of a blob', () => {
  test('are asked for as one range, a whole blob without one', async () => {
    const { mirrors, remotes } = setUp([{ blob: blob.bytes }])
    const sink = new PieceSink(50_000)
    await fetchAll(mirrors, sink, 100_000)
    expect(same(sink.got.subarray(50_000, 100_000), blob.bytes.subarray(50_000, 100_000))).toBe(true)
    await fetchAll(mirrors, new PieceSink())
    expect(remotes[0]?.calls).toEqual(['range 50000+50000', 'get'])
  })

  test('a cut in the middle: the same remote goes on where the kept bytes end', async () => {
    const { mirrors, remotes } = setUp([
      { blob: blob.bytes, fails: (call) => (call < 2 ? { code: 'unavailable', after: 100_000 } : undefined) },
    ])
    const sink = new PieceSink()
    await fetchAll(mirrors, sink)
    expect(same(sink.got, blob.bytes)).toBe(true)
    expect(remotes[0]?.calls).toEqual(['get', 'range 100000+200000', 'range 200000+100000'])
  })

  test('a remote that fails at the start is left at once for another, and dropped', async () => {
    const { mirrors, calls, warnings } = setUp([{ blob: blob.bytes, fails: always('unavailable') }, { blob: blob.bytes }])
    const sink = new PieceSink(10_000)
    await fetchAll(mirrors, sink)
    expect(calls()).toEqual([1, 1])
    expect(warnings()).toEqual(['remote1 is not used any more: remote1 says unavailable'])
  })

  test('a remote that gives a good part each time and fails is left for another after three failures', async () => {
    const { mirrors, calls } = setUp([{ blob: blob.bytes, fails: always('unavailable', 70_000) }, { blob: blob.bytes }])
    const sink = new PieceSink()
    await fetchAll(mirrors, sink)
    expect(same(sink.got, blob.bytes)).toBe(true)
    expect(calls()).toEqual([3, 1])
  })

  test('one that gives but a little each time is left at once, and alone it is given up', async () => {
    const { mirrors, calls } = setUp([{ blob: blob.bytes, fails: always('unavailable', 10_000) }, { blob: blob.bytes }])
    await fetchAll(mirrors, new PieceSink())
    expect(calls()).toEqual([1, 1])
    const alone = setUp([{ blob: blob.bytes, fails: always('unavailable', 10_000) }])
    await expect(fetchAll(alone.mirrors, new PieceSink())).rejects.toMatchObject({ code: 'unavailable' })
    expect(alone.calls()).toEqual([3])
  })

  test('wrong bytes drop the remote at once; what was kept stays', async () => {
    const half = Uint8Array.from(blob.bytes)
    half.set(wrong.subarray(150_000), 150_000)
    const { mirrors, remotes, warnings } = setUp([{ blob: half }, { blob: blob.bytes }])
    const sink = new PieceSink(10_000)
    await fetchAll(mirrors, sink)
    expect(same(sink.got.subarray(10_000), blob.bytes.subarray(10_000))).toBe(true)
    expect(remotes.map(({ calls }) => calls)).toEqual([['range 10000+290000'], ['range 150000+150000']])
    expect(warnings()).toEqual([`remote1 is not used any more: blob ${blob.cid} of remote1: a piece is wrong`])
  })

  test('a remote that lacks a blob is remembered for that blob, not dropped', async () => {
    const { mirrors, calls, warnings } = setUp([{ document: 'one' }, { blob: blob.bytes }])
    await fetchAll(mirrors, new PieceSink(10_000))
    await fetchAll(mirrors, new PieceSink(10_000))
    expect(calls()).toEqual([1, 2])
    expect(await read(mirrors)).toBe('one')
    expect(warnings()).toEqual([])
  })

  test('when nobody is left it is unavailable, with every reason and what to do', async () => {
    const { mirrors } = setUp([{ blob: wrong }, {}, { blob: blob.bytes, fails: always('unavailable') }])
    const work = fetchAll(mirrors, new PieceSink(10_000))
    await expect(work).rejects.toMatchObject({ code: 'unavailable', hint: 'run the same command again: it goes on where it stopped' })
    const told = await refusal(fetchAll(mirrors, new PieceSink(10_000)))
    expect(told).toMatch(/^unavailable: none of 3 remotes gives blob /)
    for (const reason of ['a piece is wrong', 'remote2 does not have it', 'remote3 says unavailable']) expect(told).toContain(reason)
  })

  test('when every remote has wrong bytes it is corrupt: trying again is no use', async () => {
    expect(await refusal(fetchAll(setUp([{ blob: wrong }, { blob: wrong }]).mirrors, new PieceSink()))).toMatch(
      /^corrupt: none of 2 remotes/,
    )
    expect(await refusal(fetchAll(setUp([{ blob: wrong }]).mirrors, new PieceSink()))).toBe(
      `corrupt: blob ${blob.cid} of remote1: a piece is wrong`,
    )
  })

  test('a blob that no remote has is unavailable', async () => {
    expect(await refusal(fetchAll(setUp([{}, {}]).mirrors, new PieceSink()))).toBe(
      `unavailable: no remote has blob ${blob.cid}: remote1, remote2`,
    )
  })

  test('a remote dropped for a stale pointer does not make a cut blob a rollback', async () => {
    const { mirrors } = setUp([
      { document: 'old', blob: blob.bytes },
      { document: 'new', blob: blob.bytes, fails: (call) => (call === 0 ? undefined : { code: 'unavailable' }) },
    ])
    await read(mirrors, (bytes) => {
      if (text(bytes) === 'old') throw new PsyblobError('rollback', 'older than before')
      return 'ok'
    })
    expect(await refusal(fetchAll(mirrors, new PieceSink()))).toMatch(/^unavailable: /)
  })

  test('many at once survive that their remote is dropped meanwhile, and the warning comes once', async () => {
    const { mirrors, warnings } = setUp([
      { blob: blob.bytes, fails: (call) => (call > 3 ? { code: 'corrupt', after: 20_000 } : undefined) },
      { blob: blob.bytes },
    ])
    const sinks = Array.from({ length: 10 }, (_, at) => new PieceSink(at * 30_000))
    await Promise.all(sinks.map((sink, at) => fetchAll(mirrors, sink, (at + 1) * 30_000)))
    for (const [at, sink] of sinks.entries())
      expect(same(sink.got.subarray(at * 30_000, (at + 1) * 30_000), blob.bytes.subarray(at * 30_000, (at + 1) * 30_000))).toBe(true)
    expect(warnings()).toHaveLength(1)
  })

  test('being told to stop ends it at once, also while it waits for another try', async () => {
    const remote = new Scripted('remote1', { blob: blob.bytes, fails: always('unavailable') })
    const mirrors = new Mirrors([remote], { report: () => undefined, pauses: [60_000] })
    const stop = new AbortController()
    const work = mirrors.fetch(blob.cid, { size, end: size, signal: stop.signal }, new PieceSink())
    setTimeout(() => stop.abort(new Error('enough')), 20)
    await expect(work).rejects.toThrow()
    expect(remote.calls).toHaveLength(1)
  })
})

describe('remotes without ranges', () => {
  test('are passed over for one that does ranges', async () => {
    const { mirrors, remotes, warnings } = setUp([{ blob: blob.bytes, rangeless: true }, { blob: blob.bytes }])
    for (const from of [10_000, 20_000]) await fetchAll(mirrors, new PieceSink(from))
    expect(remotes.map(({ calls }) => calls)).toEqual([['range 10000+290000'], ['range 10000+290000', 'range 20000+280000']])
    expect(warnings()).toEqual([])
  })

  test('alone, are read once from front to back for all parts', async () => {
    const { mirrors, remotes } = setUp([{ blob: blob.bytes, rangeless: true }])
    const sinks = Array.from({ length: 15 }, (_, at) => new PieceSink(at * 20_000))
    const next = sinks.entries()
    const worker = async () => {
      for (const [at, sink] of next) await fetchAll(mirrors, sink, at * 20_000 + 10_000)
    }
    await Promise.all([worker(), worker(), worker(), worker()])
    for (const [at, sink] of sinks.entries())
      expect(same(sink.got.subarray(at * 20_000, at * 20_000 + 10_000), blob.bytes.subarray(at * 20_000, at * 20_000 + 10_000))).toBe(true)
    expect(remotes[0]?.calls.filter((call) => call === 'get')).toHaveLength(1)
  })

  test('alone, give the rest of a stream that was cut', async () => {
    const { mirrors } = setUp([
      { blob: blob.bytes, rangeless: true, fails: (call) => (call === 0 ? { code: 'unavailable', after: 95_000 } : undefined) },
    ])
    expect(same(await collect(mirrors.stream(blob.cid, { size })), blob.bytes)).toBe(true)
  })

  test('over http, with a server that answers 200 to everything', async () => {
    const server = await bentServer(() => ({ body: blob.bytes }))
    const remote = new HttpRemote(server.url, { stallSeconds: 5, report: () => undefined })
    const mirrors = new Mirrors([remote], { report: () => undefined })
    const sink = new PieceSink(100_000)
    await fetchAll(mirrors, sink)
    expect(same(sink.got.subarray(100_000), blob.bytes.subarray(100_000))).toBe(true)
    expect(server.asked.map(({ headers }) => headers['range'])).toEqual(['bytes=100000-299999', undefined])
    await remote.close()
    await server.close()
  })
})

describe('whole blobs', () => {
  test('small ones come verified, from the next remote when one has wrong or too few bytes', async () => {
    const { mirrors, calls } = setUp([{ blob: wrong }, { blob: blob.bytes.subarray(0, 1000) }, {}, { blob: blob.bytes }])
    expect(same(await mirrors.get(blob.cid, { size }), blob.bytes)).toBe(true)
    expect(calls()).toEqual([1, 1, 1, 1])
  })

  test('small ones begin anew after a cut: no mixture of two remotes', async () => {
    const { mirrors } = setUp([{ blob: wrong, fails: always('unavailable', 100_000) }, { blob: blob.bytes }])
    expect(cidOf(blake3().digest(await mirrors.get(blob.cid, { size })))).toBe(blob.cid)
  })

  test('streams go on at the next remote', async () => {
    const { mirrors, remotes } = setUp([
      { blob: blob.bytes, fails: (call) => ({ code: call === 0 ? 'unavailable' : 'malformed', after: 100_000 * (1 - call) }) },
      { blob: blob.bytes },
    ])
    expect(same(await collect(mirrors.stream(blob.cid, { size })), blob.bytes)).toBe(true)
    expect(remotes[1]?.calls).toEqual(['range 100000+200000'])
  })

  test('a stream whose given bytes were wrong fails, and the next attempt asks elsewhere', async () => {
    const { mirrors } = setUp([{ blob: wrong }, { blob: blob.bytes }])
    expect(await refusal(collect(mirrors.stream(blob.cid, { size })))).toMatch(/^corrupt: /)
    expect(same(await collect(mirrors.stream(blob.cid, { size })), blob.bytes)).toBe(true)
  })
})

describe('several remotes at once', () => {
  test('share the ranges of a blob', async () => {
    const { mirrors, calls } = setUp([{ blob: blob.bytes }, { blob: blob.bytes }])
    await Promise.all(
      Array.from({ length: 10 }, async (_, at) => {
        const sink = new PieceSink(at * 3 * pieceBytes)
        await mirrors.fetch(blob.cid, { size, end: (at + 1) * 3 * pieceBytes }, sink)
      }),
    )
    expect(calls()).toEqual([5, 5])
  })

  test('a slow one is left for a quicker one, keeps what it gave, and is blamed for nothing', async () => {
    const whole = Buffer.from(madeUp(4_000_000, 9))
    const { cid, path } = blobOf(whole)
    const ranged = (bytes: Buffer, header: string | undefined) => {
      const [from = 0, to = bytes.length - 1] = (/bytes=(\d+)-(\d+)/.exec(header ?? '') ?? []).slice(1).map(Number)
      return { from, to, body: bytes.subarray(from, to + 1) }
    }
    const serve = (trickle: boolean) =>
      bentServer(({ target, headers }) => {
        if (!target.endsWith(path)) return { status: 404 }
        const { from, to, body } = ranged(whole, headers['range'])
        const head = { 'Content-Range': `bytes ${from}-${to}/${whole.length}`, 'Content-Length': String(body.length) }
        async function* slowly() {
          for (let at = 0; at < body.length; at += 20_000) {
            yield body.subarray(at, at + 20_000)
            await new Promise((done) => setTimeout(done, 200))
          }
        }
        return { status: 206, headers: head, body: trickle ? slowly() : body }
      })
    const [slow, quick] = await Promise.all([serve(true), serve(false)])
    const events: ProgressEvent[] = []
    const remotes = [slow, quick].map(({ url }) => new HttpRemote(url, { stallSeconds: 30, report: () => undefined }))
    const mirrors = new Mirrors(remotes, { report: (event) => void events.push(event) })
    try {
      const got = Buffer.alloc(whole.length)
      const begun = performance.now()
      await Promise.all(
        Array.from({ length: 8 }, async (_, at) => {
          let position = at * 500_000
          const end = position + 500_000
          const sink: RangeSink = {
            get position() {
              return position
            },
            take: async (bytes) => {
              got.set(bytes, position)
              position += bytes.length
            },
            isVerified: true,
            reset: () => undefined,
            restart: () => undefined,
          }
          await mirrors.fetch(cid, { size: whole.length, end }, sink)
        }),
      )
      // alone it would have taken ten seconds for two megabytes on four connections
      expect(performance.now() - begun).toBeLessThan(6000)
      expect(got.equals(whole)).toBe(true)
      expect(slow.asked.length).toBeGreaterThan(0)
      expect(events.filter((event) => event.type === 'warning')).toEqual([])
    } finally {
      await Promise.all([...remotes.map((remote) => remote.close()), slow.close(), quick.close()])
    }
  })

  test('that have one half each complete each other', async () => {
    const second = blobOf(madeUp(50_000, 2))
    const has = (label: string, mine: CID, bytes: Uint8Array): Remote => {
      const script = new Scripted(label, { blob: bytes })
      const absent = new Scripted(label, {})
      return {
        label,
        read: () => script.read(),
        get: (cid, options) => (cid === mine ? script : absent).get(cid, options),
        range: (cid, at) => (cid === mine ? script : absent).range(cid, at),
      }
    }
    const mirrors = new Mirrors([has('one', blob.cid, blob.bytes), has('two', second.cid, second.bytes)], { report: () => undefined })
    expect(same(await mirrors.get(blob.cid, { size }), blob.bytes)).toBe(true)
    expect(same(await mirrors.get(second.cid, { size: 50_000 }), second.bytes)).toBe(true)
  })
})
