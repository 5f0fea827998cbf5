// What trust costs: 256 roots that a node has slept through, and all signatures of a sync, where each role takes two keys.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import {
  documents,
  type Entry,
  formatManifest,
  formatPointer,
  formatRoot,
  joinPointerFile,
  limits,
  newSecretKey,
  type SecretKey,
  signPrehash,
  utf8Encode,
} from '../../core/mod.ts'
import { authorityOf } from '../../store/authority.ts'
import { cidOfBytes } from '../../store/blake3.ts'
import { prehash, signatureEngine } from '../../store/crypto.ts'
import { Mirrors } from '../../store/mirrors.ts'
import { HttpRemote } from '../../store/remotes/http.ts'
import { followRoots, verifyRoot } from '../../store/roots.ts'
import { verifyPointer, verifyRelease } from '../../store/signed.ts'
import { readState, writeState } from '../../store/state.ts'
import { median } from './numbers.ts'
import type { Trust } from './results.ts'
import type { Server } from './server.ts'
import { expose } from './updates.ts'

const repo = 'org.example.bench'
const times = { issued: '2026-11-23T10:15:00Z', expires: '2036-11-23T10:15:00Z' }
const report = () => undefined
const pair = () => [newSecretKey(signatureEngine), newSecretKey(signatureEngine)] as const

type Pair = ReturnType<typeof pair>

const role = (keys: Pair) => ({ threshold: 2, keys: keys.map(({ publicKey }) => publicKey) })

function rootOf(version: number, keepers: Pair, { release, pointer }: { readonly release: Pair; readonly pointer: Pair }): Uint8Array {
  const roles = { root: role(keepers), release: { '*': role(release) }, pointer: { '*': role(pointer) } }
  return formatRoot({ repo, version, ...times, roles, floors: {}, revoked: [] })
}

const signed = (body: Uint8Array, keys: readonly SecretKey[]): Uint8Array =>
  utf8Encode(keys.map((secretKey) => signPrehash({ secretKey, prehash: prehash(body), trustedComment: '' })).join(''))

/** As many records as an image has. */
function manifestOf(name: string): Uint8Array {
  const records = ['config', 'initramfs', 'kernel', 'modloop', 'squashfs', 'system-map'].map((file): Entry => {
    const bin = { cid: cidOfBytes(utf8Encode(file)), size: 1_000_000 }
    return { path: `/${file}`, role: 'file', mod: 0o100644, uid: 0, gid: 0, target: null, licence: null, bin, ccs: null }
  })
  const content = { repo, name, desc: '', version: '1', compat: 'any', key: null, remotes: [], 'post-exec': null, records }
  return formatManifest({ ...content, serial: 1, previous: null, created: times.issued })
}

/** A root, the pointer, the releases of two products; verified as a sync does it, the first time as a process that has just begun. */
function measureSignatures(): Trust['signatures'] {
  const [keepers, release, pointer] = [pair(), pair(), pair()]
  const body = rootOf(2, keepers, { release, pointer })
  const root = { body, signatures: signed(body, keepers) }
  const manifests = ['os', 'efisys'].map((product) => ({ product, body: manifestOf(product) }))
  const releases = manifests.map((one) => ({ ...one, signatures: signed(one.body, release) }))
  const pointed = manifests.map(({ product, body: bytes }) => [product, { serial: 1, manifest: cidOfBytes(bytes), size: bytes.length }])
  const line = formatPointer({ repo, channel: 'stable', version: 1, ...times, root: 2, products: Object.fromEntries(pointed) })
  const file = joinPointerFile({ body: line, signatures: Buffer.from(signed(line, pointer)).toString() })
  const once = (): number => {
    const begin = performance.now()
    const verified = verifyRoot(root, { before: role(keepers), version: 2, repo, what: 'root' })
    verifyPointer(file, role(pointer), 'pointer')
    const authority = { anchor: keepers[0].publicKey, root: verified.root, former: {} }
    for (const one of releases) verifyRelease(one, { authority, product: one.product }, 'manifest')
    return (performance.now() - begin) / 1000
  }
  const seconds = once()
  return { seconds, again: median(Array.from({ length: 20 }, once)) }
}

export type TrustSite = { readonly served: string; readonly scratch: string; readonly server: Server; readonly runs: number }

/** Each root by other keepers than the one before: no signature counts twice. */
async function measureRoots({ served, scratch, server, runs }: TrustSite): Promise<Trust['roots']> {
  const count = limits.rootSteps
  const [anchor] = pair()
  const roles = { release: pair(), pointer: pair() }
  const dir = join(scratch, 'roots')
  let before: readonly SecretKey[] = [anchor]
  for (let version = 1; version <= count; version++) {
    const keepers = pair()
    const body = rootOf(version, keepers, roles)
    const path = join(dir, documents.root(version))
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, body)
    writeFileSync(join(dir, documents.rootSignature(version)), signed(body, [...before, ...keepers]))
    before = keepers
  }
  const url = `${expose(dir, { served, scratch, server })}/`
  const key = anchor.publicKey
  const once = async (): Promise<number> => {
    const store = join(scratch, 'roots-store')
    rmSync(store, { recursive: true, force: true })
    const remote = new HttpRemote(url, { stallSeconds: 30, report })
    const begin = performance.now()
    try {
      const state = await readState(store)
      const mirrors = new Mirrors([remote], { report })
      await followRoots({ anchor: key, repo, state, mirrors, persist: (learnt) => writeState(store, learnt) })
    } finally {
      await remote.close()
    }
    const seconds = (performance.now() - begin) / 1000
    const version = authorityOf(await readState(store), { key, repo }).root?.version
    if (version !== count) throw new Error(`expected root ${count}, got ${version}`)
    return seconds
  }
  const seconds: number[] = []
  for (let turn = 0; turn < runs; turn++) seconds.push(await once())
  rmSync(dir, { recursive: true })
  return { count, seconds: median(seconds) }
}

export async function measureTrust(site: TrustSite): Promise<Trust> {
  // first, while nothing of it has run yet
  const signatures = measureSignatures()
  return { signatures, roots: await measureRoots(site) }
}
