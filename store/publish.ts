// Publish: new blobs and indexes first, the manifest next, the pointer last. A crash leaves blobs nobody points to, never half a release.
import {
  type CID,
  cidOf,
  documents,
  formatManifest,
  formatTime,
  isPsyblobError,
  limits,
  type ManifestContent,
  manifestComment,
  type PointedRelease,
  type Pointer,
  PsyblobError,
  type Report,
  type SecretKey,
  sameContent,
  utf8Encode,
} from '../core/mod.ts'
import { blake3 } from './blake3.ts'
import { prehash } from './crypto.ts'
import { type Compress, restoreXz, usableXz } from './packed-manifest.ts'
import { restorePatches } from './patches/lost-patches.ts'
import { patchRecords, unpatchedImages } from './patches/publish-patches.ts'
import type { CompressStream } from './patches/streams.ts'
import { newestRelease, publishedManifest } from './published.ts'
import { openPublisher, requireKeys, signRelease } from './publisher.ts'
import { describe, type TreeCounts } from './release-content.ts'
import type { RemoteWriter } from './remote.ts'
import { currentPointer, list, repositoryName, signPointer } from './repository.ts'
import { Uploads } from './uploads.ts'

export type PublishOptions = {
  readonly product: string
  readonly dir: string
  readonly remote: RemoteWriter
  /** Each signs what it may. */
  readonly keys: readonly SecretKey[]
  readonly channel: string
  readonly compat: string
  /** What the folder is. Undefined: what the release before was, else what it looks like. */
  readonly kind?: 'tree' | 'slots' | undefined
  /** Path of a file of the tree that is run after it was installed. */
  readonly postExec?: string | undefined
  /** Of a tree: a file that says which files are under which licence, and a folder of source packages. */
  readonly licenceMap?: string | undefined
  readonly sources?: string | undefined
  /** A label for people; without one it is the time. */
  readonly version: string | undefined
  readonly description: string | undefined
  /** Where nodes may find the repository: hints in the manifest. */
  readonly remotes: readonly string[]
  /** Milliseconds since 1970. */
  readonly now: number
  /** Days until the pointer expires. */
  readonly days: number
  /** Without it, or where it cannot, large manifests lie plain only. */
  readonly compress?: Compress | undefined
  /** From how many releases before patches are made, what packs them best, and whether somebody said so. None: only those that are there already. */
  readonly patches?: { readonly count: number; readonly compress: CompressStream | undefined; readonly isAsked?: boolean } | undefined
  readonly report: Report
  readonly signal?: AbortSignal | undefined
}

export type Published = {
  readonly changed: boolean
  readonly repo: string
  readonly product: string
  readonly channel: string
  readonly serial: number
  readonly version: string
  readonly manifest: CID
  readonly pointerVersion: number
  readonly expires: string
  readonly bytes: { readonly total: number; readonly uploaded: number }
  readonly blobs: { readonly total: number; readonly uploaded: number }
  /** How many were made, and their bytes. Of a release that did not change, when they were asked for: how many images have none; else null. */
  readonly patches: { readonly made: number; readonly bytes: number; readonly lacking: number | null }
  /** How many there are of each kind; null when it is for slots. */
  readonly tree: TreeCounts | null
}

/** Publishes every file below `dir` as the next release of `product`; the same content again changes nothing. Errors: `conflict`, `untrusted`, `not-found`, `usage`. */
export async function publish(options: PublishOptions): Promise<Published> {
  const { product, remote, keys, channel, report, signal, now } = options
  const repo = await repositoryName(remote)
  const publisher = await openPublisher(remote, keys, repo)
  const { authority } = publisher
  requireKeys(publisher, { product, channel })
  const start = await currentPointer(remote, { repo, channel, publisher })
  const pointed = start !== undefined && Object.hasOwn(start.pointer.products, product) ? start.pointer.products[product] : undefined
  let current = pointed === undefined ? undefined : await publishedManifest(remote, product, { pointed, authority, report })
  const place = current === undefined ? undefined : pointed
  const uploads = new Uploads(remote, { report, signal })
  const described = await describe(options, { uploads, current })
  const { records, tree } = described
  const content: ManifestContent = {
    repo,
    name: product,
    desc: options.description ?? current?.desc ?? '',
    version: options.version ?? current?.version ?? '',
    compat: options.compat,
    key: keys[0]?.publicKey.text ?? null,
    remotes: options.remotes.length > 0 ? [...options.remotes] : (current?.remotes ?? []),
    'post-exec': options.postExec ?? null,
    records,
  }
  if (current !== undefined && start !== undefined && pointed !== undefined && sameContent(content, current)) {
    const { version, expires } = start.pointer
    // a repository that lost blobs is mended by the same words
    const mended = await uploads.send({ hashed: true }).finally(() => described.close())
    const packed = await restoreXz(remote, { product, pointed, compress: options.compress, report })
    const { count = 0, compress, isAsked = false } = options.patches ?? {}
    const patches = count === 0 ? { blobs: 0, bytes: 0 } : await restorePatches(current, { remote, compress, report, signal })
    const lacking = count === 0 || !isAsked || tree !== null ? null : await unpatchedImages(current, remote)
    const bytes = { total: current.size, uploaded: mended.bytes + packed + patches.bytes }
    return {
      changed: false,
      repo,
      product,
      channel,
      serial: current.serial,
      version: current.version,
      manifest: pointed.manifest,
      pointerVersion: version,
      expires,
      bytes,
      blobs: { total: uploads.count, uploaded: mended.blobs + patches.blobs },
      patches: { made: 0, bytes: 0, lacking },
      tree,
    }
  }

  report({ type: 'step', step: 'upload' })
  const uploaded = await uploads.send({ hashed: false }).finally(() => described.close())
  signal?.throwIfAborted()
  const patched =
    current === undefined || pointed === undefined || tree !== null
      ? { records, made: 0, bytes: 0 }
      : await patchRecords(records, {
          product,
          remote,
          current,
          pointed,
          authority,
          count: 0,
          compress: undefined,
          ...options.patches,
          report,
          signal,
        })
  signal?.throwIfAborted()
  // of a hundred thousand entries: nothing more is asked of them
  current = undefined

  report({ type: 'step', step: 'sign' })
  // a manifest must not be there before it is known that its pointer will be: one publisher at a time from here on
  const held = await remote.hold()
  try {
    // a root may have come meanwhile: it says who signs
    const signer = await openPublisher(remote, keys, repo)
    requireKeys(signer, { product, channel })
    const base = await currentPointer(remote, { repo, channel, publisher: signer })
    if (!isBuiltOn(base?.pointer, start?.pointer, product)) {
      throw new PsyblobError('conflict', `somebody else published ${product} to channel ${channel} of ${remote.label} meanwhile`, {
        hint: 'run the same command again: it goes on from the new state, and what was uploaded stays',
      })
    }
    const before = await newestRelease(remote, product, signer.authority, place)
    const serial = await freeSerial(remote, product, Math.max(before?.serial ?? 0, pointed?.serial ?? 0))
    const label = options.version ?? formatTime(now).replace(/[-:Z]/g, '').replace('T', '-')
    const created = formatTime(now)
    const body = formatManifest({
      ...content,
      records: patched.records,
      version: label,
      serial,
      previous: before?.manifest ?? null,
      created,
    })
    const cid = cidOf(blake3().digest(body))
    const trustedComment = manifestComment({ repo, name: product, serial }, cid)
    const signature = signRelease(signer, product, { prehash: prehash(body), trustedComment })
    const size = records.reduce((sum, { bin }) => sum + (bin?.size ?? 0), 0)
    const xz = body.length > limits.compressedAbove ? await usableXz(body, options.compress) : undefined
    const release: PointedRelease = { serial, manifest: cid, size: body.length }
    // each step below refuses any other state of the repository than the one just read
    await remote.replace(documents.manifestSignature(product, serial), utf8Encode(signature), undefined)
    if (xz !== undefined) await remote.replace(documents.manifestXz(product, serial), xz, undefined)
    await remote.replace(documents.manifest(product, serial), body, undefined)
    const version = (base?.pointer.version ?? 0) + 1
    const pointer = signPointer({
      publisher: signer,
      repo,
      channel,
      version,
      products: { ...base?.pointer.products, [product]: release },
      now,
      days: options.days,
    })
    await remote.replace(documents.pointer(channel), pointer, base?.bytes)
    await list(remote, repo, product, { serial, version: label, created, manifest: cid, size }).catch((error: unknown) => {
      // the release is out; the listing is for people and the next publish mends it
      if (!isPsyblobError(error)) throw error
      report({ type: 'warning', text: `index.json was not updated: ${error.message}` })
    })
    await remote.tidy()
    const expires = formatTime(now + options.days * 24 * 60 * 60 * 1000)
    const bytes = { total: size, uploaded: uploaded.bytes + patched.bytes }
    return {
      changed: true,
      repo,
      product,
      channel,
      serial,
      version: label,
      manifest: cid,
      pointerVersion: version,
      expires,
      bytes,
      blobs: { total: uploads.count + patched.made, uploaded: uploaded.blobs + patched.made },
      patches: { made: patched.made, bytes: patched.bytes, lacking: null },
      tree,
    }
  } finally {
    await held.release()
  }
}

/** Whether a pointer that was read again is the one before, or one that was made from it meanwhile without touching `product`. */
function isBuiltOn(pointer: Pointer | undefined, before: Pointer | undefined, product: string): boolean {
  const release = (of: Pointer | undefined) =>
    JSON.stringify(of !== undefined && Object.hasOwn(of.products, product) ? of.products[product] : null)
  return (pointer?.version ?? 0) >= (before?.version ?? 0) && release(pointer) === release(before)
}

/** The first serial above `above` that nobody has begun to use: a crash may have left a signature or a manifest that no pointer names. */
async function freeSerial(remote: RemoteWriter, product: string, above: number): Promise<number> {
  for (let serial = above + 1; ; serial++) {
    const taken =
      (await remote.read(documents.manifestSignature(product, serial), { limit: limits.minisig })) ??
      (await remote.read(documents.manifest(product, serial), { limit: limits.manifest }))
    if (taken === undefined) return serial
  }
}
