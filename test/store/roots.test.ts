// Following roots: many at once, no more than 256 a run, and what is forgotten when a key is taken away.
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { documents, formatRoot, newSecretKey, type RootContent, type SecretKey, signPrehash } from '../../core/mod.ts'
import { prehash, signatureEngine } from '../../store/crypto.ts'
import { Mirrors } from '../../store/mirrors.ts'
import { DirRemote } from '../../store/remotes/dir.ts'
import { followRoots } from '../../store/roots.ts'
import type { State } from '../../store/state.ts'
import { temporaryFolder } from '../fixtures/repository.ts'

const make = () => newSecretKey(signatureEngine)
const [anchor, one, two, three] = [make(), make(), make(), make()]
const repo = 'org.example.roots'
const cid = 'bafkr4ifpcne3t5pzugtkaqcn5i3nzskjtpfslsnnyejlpte2spfoihzsmi' as never

let dir: string
let remove: () => Promise<void>
beforeEach(async () => {
  ;({ dir, remove } = await temporaryFolder())
  await mkdir(join(dir, 'root'))
})
afterEach(() => remove())

const role = (threshold: number, ...keys: readonly SecretKey[]) => ({ threshold, keys: keys.map(({ publicKey }) => publicKey) })

async function put(version: number, by: readonly SecretKey[], change: Partial<RootContent['roles']> = {}): Promise<void> {
  const body = formatRoot({
    repo,
    version,
    issued: '2026-11-23T10:15:00Z',
    expires: '2027-11-23T10:15:00Z',
    roles: { root: role(2, one, two, three), release: { '*': role(1, one) }, pointer: { '*': role(1, one) }, ...change },
    floors: {},
    revoked: [],
  })
  const signatures = by.map((secretKey) => signPrehash({ secretKey, prehash: prehash(body), trustedComment: '' })).join('')
  await writeFile(join(dir, documents.root(version)), body)
  await writeFile(join(dir, documents.rootSignature(version)), signatures)
}

const known: State = {
  psyblob: 'state/1',
  last: {},
  products: {
    os: {
      key: anchor.publicKey.text,
      repo,
      seen: { serial: 9, manifest: cid },
      floor: 8,
      channels: { stable: { version: 7, pointer: cid, issued: '2026-11-23T10:15:00Z', expires: '2026-11-30T10:15:00Z' } },
    },
  },
}
const follow = (state: State, persist?: (state: State) => Promise<void>) =>
  followRoots({ anchor: anchor.publicKey, repo, state, persist, mirrors: new Mirrors([new DirRemote(dir)], { report: () => undefined }) })

describe('a node', () => {
  test('follows 256 roots in one run, and the others in the next', async () => {
    await put(1, [anchor, one, two])
    for (let version = 2; version <= 300; version++) await put(version, version % 2 === 0 ? [one, three] : [two, three])
    const first = await follow(known)
    expect(first).toMatchObject({ news: true, authority: { root: { version: 256 } } })
    const second = await follow(first.state)
    expect(second).toMatchObject({ news: true, authority: { root: { version: 300 } } })
    expect(await follow(second.state)).toMatchObject({ news: false, authority: { root: { version: 300 } } })
  }, 60_000)

  test('forgets what a key said when it is taken away, and not when another comes', async () => {
    await put(1, [anchor, one, two])
    const { state } = await follow(known)
    // the key of before signs nothing any more
    expect(state.products['os']).toMatchObject({ channels: {} })
    expect(state.products['os']?.seen).toBeUndefined()
    const learnt = { ...state, products: known.products }
    await put(2, [one, two], { release: { '*': role(1, one, two) }, pointer: { '*': role(1, one, two) } })
    const more = await follow(learnt)
    expect(more.state.products).toEqual(known.products)
    await put(3, [one, two], { release: { '*': role(1, one, two) }, pointer: { '*': role(1, two) } })
    const less = await follow(more.state)
    expect(less.state.products['os']).toMatchObject({ seen: { serial: 9 }, floor: 8, channels: {} })
  })

  test('keeps the roots that hold when the next one is refused', async () => {
    await put(1, [anchor, one, two])
    await put(2, [one])
    const kept: State[] = []
    await expect(follow(known, async (state) => void kept.push(state))).rejects.toMatchObject({ code: 'untrusted' })
    expect(kept.map(({ roots }) => roots?.map(({ root }) => JSON.parse(root).version))).toEqual([[1]])
  })
})
