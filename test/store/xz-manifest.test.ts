// Manifests above 64 KiB are asked for compressed. What is wrong with that document does no harm: there is the plain one.
import { execFileSync, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { cidOf, documents, type ProgressEvent } from '../../core/mod.ts'
import { authorityOf } from '../../store/authority.ts'
import { blake3 } from '../../store/blake3.ts'
import { fetchManifest } from '../../store/fetch-manifest.ts'
import { LocalStore } from '../../store/local.ts'
import { Mirrors } from '../../store/mirrors.ts'
import { HttpRemote } from '../../store/remotes/http.ts'
import { type Asked, type Bend, type BentServer, bentServer } from '../fixtures/bent-server.ts'
import { madeUp, refusal, temporaryFolder } from '../fixtures/repository.ts'
import { answerFrom, fileEntry, Site } from '../fixtures/site.ts'

const plainName = documents.manifest('os', 1)
const xzName = documents.manifestXz('os', 1)
const hasXz = spawnSync('xz', ['--version']).status === 0
const pack = (input: Uint8Array) => execFileSync('xz', ['-c', '-T1'], { input, maxBuffer: 2 ** 30 })

let dir: string
let remove: () => Promise<void>
let site: Site
let servers: BentServer[]
beforeEach(async () => {
  ;({ dir, remove } = await temporaryFolder())
  servers = []
  site = new Site()
  const bin = site.plain(madeUp(10, 1))
  site.release(
    1,
    Array.from({ length: 400 }, (_, at) => fileEntry(`/f${at}`, 'file', bin)),
  )
  if (hasXz) site.files.set(xzName, pack(site.files.get(plainName) as Uint8Array))
})
afterEach(async () => {
  for (const server of servers) await server.close()
  await remove()
})

type Got = { readonly outcome: string; readonly asked: readonly string[]; readonly sent: number; readonly warnings: readonly string[] }

/** Fetches the release as the pointer names it, or by its serial alone, from servers that answer so. */
async function get(answers: readonly ((asked: Asked) => Bend)[], { pointed = true } = {}): Promise<Got> {
  servers = await Promise.all(answers.map((answer) => bentServer(answer)))
  const warnings: string[] = []
  const report = (event: ProgressEvent) => void (event.type === 'warning' && warnings.push(event.text))
  const mirrors = new Mirrors(
    servers.map(({ url }) => new HttpRemote(url, { stallSeconds: 1, report })),
    { report, pauses: [1, 1] },
  )
  const body = site.files.get(plainName) as Uint8Array
  const cid = cidOf(blake3().digest(body))
  const request = {
    product: 'os',
    serial: 1,
    authority: authorityOf({ roots: [] }, { key: site.key.publicKey, repo: undefined }),
    mirrors,
    store: new LocalStore(join(dir, 'store')),
    ...(pointed ? { cid, size: body.length } : {}),
  }
  const outcome = await refusal(async () => {
    const release = await fetchManifest(request)
    expect(release.cid).toBe(cid)
    expect(release.manifest.records).toHaveLength(400)
  })
  const asked = servers.flatMap((server) => server.asked.map(({ target }) => target.slice(1)))
  return { outcome, asked, sent: servers.reduce((sum, { sent }) => sum + sent, 0), warnings }
}

const serve = (changes: Readonly<Record<string, Uint8Array | undefined | Bend>> = {}) => {
  const files = new Map(site.files)
  const bends = new Map<string, Bend>()
  for (const [name, change] of Object.entries(changes)) {
    files.delete(name)
    if (change instanceof Uint8Array) files.set(name, change)
    else if (change !== undefined) bends.set(name, change)
  }
  return (asked: Asked) => bends.get(decodeURIComponent(asked.target.slice(1))) ?? answerFrom(files, asked)
}

describe.runIf(hasXz)('a large manifest', () => {
  test('is fetched compressed, and the plain one not at all', async () => {
    const got = await get([serve()])
    expect(got.outcome).toBe('none')
    expect(got.asked).toEqual([xzName, documents.manifestSignature('os', 1)])
    expect(got.sent).toBeLessThan(20_000)
  })

  test('is had from the compressed one alone, by its pointer and by its serial', async () => {
    expect((await get([serve({ [plainName]: undefined })])).outcome).toBe('none')
    expect((await get([serve({ [plainName]: undefined })], { pointed: false })).outcome).toBe('none')
  })

  const whole = () => site.files.get(xzName) as Uint8Array
  test.each<[string, () => Uint8Array | Bend | undefined]>([
    ['absent', () => undefined],
    ['cut short', () => whole().subarray(0, whole().length >> 1)],
    ['followed by a byte', () => Buffer.concat([whole(), Buffer.from([0])])],
    ['followed by itself', () => Buffer.concat([whole(), whole()])],
    ['noise', () => madeUp(5000, 4)],
    ['empty', () => new Uint8Array()],
    ['the plain one', () => site.files.get(plainName)],
    ['another manifest', () => pack(Buffer.from((site.files.get(plainName) as Uint8Array).toString().replace('/f17"', '/f99"')))],
    ['shorter', () => pack((site.files.get(plainName) as Uint8Array).subarray(0, 70_000))],
    ['a bomb of sixteen mebibytes', () => pack(Buffer.alloc(2 ** 24))],
    ['endless', () => ({ body: endless(), lengthless: true })],
    ['forbidden', () => ({ status: 403 })],
    ['a server’s error', () => ({ status: 500 })],
    ['encoded', () => ({ body: whole(), headers: { 'Content-Encoding': 'xz' } })],
    ['promised and not given', () => ({ body: whole(), cut: 100 })],
    ['silent', () => ({ body: whole(), hang: 100 })],
  ])('whose compressed one is %s is taken plain, and nobody is blamed', async (_, make) => {
    const got = await get([serve({ [xzName]: make() })])
    expect(got.outcome).toBe('none')
    expect(got.warnings).toEqual([])
    expect(got.asked).toContain(plainName)
    // what the system takes of an endless one, and holds when nobody reads it, is a few megabytes
    expect(got.sent).toBeLessThan(10_000_000)
  })

  test('is had compressed from the next remote when that of the first is bad', async () => {
    const got = await get([serve({ [xzName]: madeUp(5000, 4) }), serve()])
    expect(got.outcome).toBe('none')
    expect(got.asked).not.toContain(plainName)
  })

  test('that is bad both ways is refused for what the plain one is', async () => {
    const bad = Buffer.from(site.files.get(plainName) as Uint8Array)
    bad[500] = (bad[500] as number) ^ 1
    expect((await get([serve({ [plainName]: bad, [xzName]: pack(bad) })])).outcome).toMatch(
      /^corrupt: manifest os\/1 of .*expected bafkr4i/,
    )
    expect((await get([serve({ [plainName]: undefined, [xzName]: undefined })])).outcome).toMatch(/^not-found: no manifest os\/1/)
    expect((await get([serve({ [plainName]: undefined, [xzName]: pack(bad) })], { pointed: false })).outcome).toMatch(/^not-found/)
  })
})

test('a small manifest is not asked for compressed', async () => {
  site.release(1, [fileEntry('/f', 'file', site.plain(madeUp(10, 1)))])
  servers = [await bentServer(serve())]
  const mirrors = new Mirrors([new HttpRemote(servers[0]?.url ?? '', { stallSeconds: 1, report: () => undefined })], {
    report: () => undefined,
  })
  const body = site.files.get(plainName) as Uint8Array
  const authority = authorityOf({ roots: [] }, { key: site.key.publicKey, repo: undefined })
  const store = new LocalStore(join(dir, 'store'))
  await fetchManifest({ product: 'os', serial: 1, authority, mirrors, store, cid: cidOf(blake3().digest(body)), size: body.length })
  expect(servers[0]?.asked.map(({ target }) => target)).toEqual([`/${plainName}`, `/${documents.manifestSignature('os', 1)}`])
})

async function* endless(): AsyncGenerator<Uint8Array> {
  for (;;) yield madeUp(16_384, 1)
}
