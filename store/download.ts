// Download: a release as a self-contained repository folder, for a USB stick or a mirror of one product. The pointer goes last.
import {
  type Bytes,
  type CID,
  documents,
  isPsyblobError,
  limits,
  PsyblobError,
  type Report,
  type Root,
  readXz,
  type Signers,
  soleSigner,
} from '../core/mod.ts'
import { cidOfBytes } from './blake3.ts'
import { blobsOf, patchesOf } from './difference.ts'
import type { Mirrors } from './mirrors.ts'
import type { Trust } from './refresh.ts'
import type { RemoteWriter } from './remote.ts'
import { fetchRoot } from './roots.ts'
import type { VerifiedManifest } from './signed.ts'

export type DownloadOptions = {
  readonly trust: Trust
  readonly release: VerifiedManifest
  /** The pointer that named the release, as it was accepted. */
  readonly pointer: Uint8Array
  readonly mirrors: Mirrors
  readonly to: RemoteWriter
  readonly report: Report
  readonly signal?: AbortSignal | undefined
}

export type Downloaded = { readonly total: number; readonly fetched: number; readonly blobs: number }

/** Copies what the release needs, and the patches that are to be had; blobs that are there already are not fetched again. */
export async function download({ trust, release, pointer, mirrors, to, report, signal }: DownloadOptions): Promise<Downloaded> {
  const { product, channel } = trust
  const blobs = blobsOf(release)
  const patches = [...patchesOf(release)].filter(([cid]) => !blobs.has(cid))
  const copies = new Copies({ blobs: [...blobs, ...patches], mirrors, to, report, signal })
  report({ type: 'step', step: 'fetch', about: `${product} ${release.manifest.serial}` })
  for (const [cid, size] of blobs) await copies.fetch(cid, size)
  for (const [cid, size] of patches)
    try {
      await copies.fetch(cid, size, { isSpare: true })
    } catch (error) {
      if (!isPsyblobError(error, 'corrupt', 'unavailable')) throw error
      report({ type: 'warning', text: `patch ${cid} is not copied: ${error.message}; nodes take chunks in its place` })
    }
  report({ type: 'step', step: 'write' })
  const put = async (name: Parameters<RemoteWriter['replace']>[0], bytes: Uint8Array, limit: number) => {
    const there = await to.read(name, { limit })
    if (there === undefined || Buffer.compare(there, bytes) !== 0) await to.replace(name, bytes, there)
  }
  const { serial } = release.manifest
  await put(documents.manifestSignature(product, serial), release.signed.signatures, limits.minisig)
  if (release.signed.body.length > limits.compressedAbove) {
    const xz = await compressed(release, { product, mirrors, signal })
    if (xz !== undefined) await put(documents.manifestXz(product, serial), xz, limits.manifest)
  }
  await put(documents.manifest(product, serial), release.signed.body, limits.manifest)
  for (const [name, limit] of [
    [documents.repository, limits.repository],
    [documents.listing, limits.listing],
  ] as const) {
    const bytes = await mirrors.read(name, { limit, signal, accept: (got) => got }).catch((error: unknown) => {
      // hints only: a folder without them works
      if (isPsyblobError(error)) return undefined
      throw error
    })
    if (bytes !== undefined) await put(name, bytes, limit)
  }
  const { root } = trust.authority
  let before: Root | undefined
  for (let version = 1; version <= (root?.version ?? 0); version++) {
    // verified as whoever reads the copy will: a mirror may keep a bad one for those who have it no more to read
    const signers: Signers = before === undefined ? soleSigner(trust.key) : before.roles.root
    const found = await fetchRoot(mirrors, { before: signers, version, repo: root?.repo, what: `root ${version}` }, signal)
    if (found === undefined)
      throw new PsyblobError('unavailable', `no remote has ${documents.root(version)}`, {
        hint: 'the repository is incomplete: ask the publisher',
      })
    await put(documents.rootSignature(version), found.signed.signatures, limits.minisig)
    await put(documents.root(version), found.signed.body, limits.root)
    before = found.root
  }
  await put(documents.pointer(channel), pointer, limits.pointer)
  return { total: copies.total, fetched: copies.fetched, blobs: blobs.size + patches.length }
}

type CopyOptions = Pick<DownloadOptions, 'mirrors' | 'to' | 'report' | 'signal'> & { readonly blobs: readonly (readonly [CID, number])[] }

/** Blobs one after the other, with their bytes counted: of all, and of those that had to be fetched. */
class Copies {
  readonly total: number
  fetched = 0
  #done = 0
  readonly #options: CopyOptions

  constructor(options: CopyOptions) {
    this.#options = options
    this.total = options.blobs.reduce((sum, [, size]) => sum + size, 0)
  }

  /** What is there already is not fetched again. */
  async fetch(cid: CID, size: number, { isSpare = false } = {}): Promise<void> {
    const { mirrors, to, report, signal } = this.#options
    signal?.throwIfAborted()
    if (!(await to.has(cid, size, { hashed: true }))) {
      const [done, fetched, total] = [this.#done, this.fetched, this.total]
      const counted = async function* (isAlone: boolean): Bytes {
        let got = 0
        for await (const piece of mirrors.stream(cid, { size, isAlone, isSpare, signal })) {
          got += piece.length
          report({ type: 'bytes', done: done + got, total, fetched: fetched + got })
          yield piece
        }
      }
      // wrong bytes may have come from several remotes one after another: from then on each gives the whole, and answers for it
      for (let tries = 0; ; tries++) {
        try {
          await to.put(cid, counted(tries > 0))
          break
        } catch (error) {
          if (!isPsyblobError(error, 'corrupt', 'unavailable') || tries > mirrors.count || !mirrors.mayHave(cid)) throw error
        }
      }
      this.fetched += size
    }
    this.#done += size
    report({ type: 'bytes', done: this.#done, total: this.total, fetched: this.fetched })
  }
}

/** The compressed manifest, if a remote has a right one. */
async function compressed(
  { manifest, signed, cid }: VerifiedManifest,
  { product, mirrors, signal }: { readonly product: string } & Pick<DownloadOptions, 'mirrors' | 'signal'>,
): Promise<Uint8Array | undefined> {
  const size = signed.body.length
  return mirrors.read(documents.manifestXz(product, manifest.serial), {
    limit: size,
    isSpare: true,
    signal,
    accept: (bytes, remote) => {
      const what = `compressed manifest ${product}/${manifest.serial} of ${remote.label}`
      if (cidOfBytes(readXz(bytes, size, what)) === cid) return bytes
      throw new PsyblobError('corrupt', `${what} is another one`, { hint: 'the mirror is damaged; ask its operator' })
    },
  })
}
