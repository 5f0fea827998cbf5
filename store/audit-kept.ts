// The audit of what is kept for others: the local store, and a remote read from end to end.
import {
  type ChunkIndex,
  type CID,
  checkFreshness,
  checkRootFloor,
  checkRootLife,
  cidOf,
  documents,
  indexesOf,
  isPsyblobError,
  limits,
  PsyblobError,
  parseChunkIndex,
  type Report,
  readXz,
} from '../core/mod.ts'
import type { BadRange, Finding } from './audit.ts'
import { pointedBy } from './authority.ts'
import { blake3 } from './blake3.ts'
import { borrow, giveBack } from './buffers.ts'
import { pathExists } from './files.ts'
import { type LocalStore, links } from './local.ts'
import type { Trust } from './refresh.ts'
import type { Remote } from './remote.ts'
import { sameBytes } from './seeds.ts'
import { checkManifestHeader, verifyKept, verifyPointer, verifyRelease } from './signed.ts'

/** Every manifest of the product with its signature, the links, and the indexes that are kept. */
export async function auditStore(
  store: LocalStore,
  product: string,
  authority: Trust['authority'],
): Promise<{ readonly bytes: number; readonly findings: readonly Finding[] }> {
  const findings: Finding[] = []
  let bytes = 0
  const serials = await store.serials(product)
  for (const serial of serials) {
    const path = `/${product}/${serial}`
    const kept = await store.manifest(product, serial)
    if (kept === undefined) {
      findings.push({ path: `${path}.minisig`, problem: 'missing' })
      continue
    }
    bytes += kept.body.length
    try {
      const { manifest } = verifyKept(kept, { authority, product }, `manifest ${product}/${serial}`)
      checkManifestHeader(manifest, { name: product, serial }, `manifest ${product}/${serial}`)
      for (const { cid, size } of manifest.records.flatMap(({ bin }) => indexesOf(bin))) {
        const path = store.blobPath(cid)
        if (!(await pathExists(path))) continue
        const index = await store.blob(cid, size)
        if (index === undefined) findings.push({ path: path.slice(store.dir.length), problem: 'changed', expected: cid })
        else bytes += index.length
      }
    } catch (error) {
      if (!isPsyblobError(error)) throw error
      findings.push({ path, problem: 'changed' })
    }
  }
  for (const link of links) {
    const serial = await store.link(product, link)
    if (serial !== undefined && !serials.includes(serial)) findings.push({ path: `/${product}/${link}`, problem: 'missing' })
  }
  return { bytes, findings }
}

export type RemoteAudit = {
  readonly serial: number
  readonly version: string
  readonly bytes: number
  readonly findings: readonly Finding[]
}

/** The newest release of a product as one remote has it: pointer, manifest, then every blob, index and patch. */
export async function auditRemote(options: {
  readonly remote: Remote
  readonly trust: Trust
  readonly clock: number
  readonly report: Report
  readonly signal?: AbortSignal | undefined
}): Promise<RemoteAudit> {
  const { remote, trust, clock, report, signal } = options
  const read = async (name: Parameters<Remote['read']>[0], limit: number) => {
    const bytes = await remote.read(name, { limit, signal })
    if (bytes === undefined)
      throw new PsyblobError('not-found', `no ${name} at ${remote.label}`, { hint: 'publish again, or check the address' })
    return bytes
  }
  const { root } = trust.authority
  if (root !== undefined) checkRootLife(root, clock)
  const what = `pointer ${trust.channel} of ${remote.label}`
  const { pointer, cid } = verifyPointer(
    await read(documents.pointer(trust.channel), limits.pointer),
    pointedBy(trust.authority, trust.channel),
    what,
  )
  checkFreshness(pointer, cid, { channel: trust.channel, repo: trust.repo, seen: undefined, now: clock, what })
  const pointed = Object.hasOwn(pointer.products, trust.product) ? pointer.products[trust.product] : undefined
  if (pointed === undefined)
    throw new PsyblobError('not-found', `channel ${trust.channel} of ${remote.label} has no product ${trust.product}`, {
      hint: 'psyblob publish adds it',
    })
  checkRootFloor(root, trust.product, pointed.serial)
  const name = `manifest ${trust.product}/${pointed.serial} of ${remote.label}`
  const release = verifyRelease(
    {
      body: await read(documents.manifest(trust.product, pointed.serial), limits.manifest),
      signatures: await read(documents.manifestSignature(trust.product, pointed.serial), limits.minisig),
    },
    trust,
    name,
  )
  if (release.cid !== pointed.manifest)
    throw new PsyblobError('corrupt', `${name}: expected ${pointed.manifest}, got ${release.cid}`, {
      hint: 'the mirror is damaged or behind',
    })
  checkManifestHeader(release.manifest, { name: trust.product, serial: pointed.serial, repo: pointer.repo }, name)

  const findings: Finding[] = [
    ...(await auditXz(remote, { product: trust.product, serial: pointed.serial, body: release.signed.body, signal })),
  ]
  const total = release.manifest.records.reduce(
    (sum, { bin }) => sum + (bin?.size ?? 0) + [...indexesOf(bin), ...(bin?.patches ?? [])].reduce((bytes, { size }) => bytes + size, 0),
    0,
  )
  let bytes = 0
  const seen = new Set<CID>()
  for (const { path, bin } of release.manifest.records) {
    if (bin === null || seen.has(bin.cid)) continue
    seen.add(bin.cid)
    const onBytes = (more: number) => {
      bytes += more
      report({ type: 'bytes', done: bytes, total })
    }
    let index: Uint8Array | undefined
    for (const [level, known] of indexesOf(bin).entries()) {
      const read = await readIndex(remote, known, signal)
      if (read === undefined) findings.push({ path: `${path} (chunk index)`, problem: 'changed', expected: known.cid })
      else onBytes(read.length)
      if (level === 0) index = read
    }
    const finding = await auditBlob(remote, { path, cid: bin.cid, size: bin.size, index, onBytes, signal })
    if (finding !== undefined) findings.push(finding)
    for (const { cid, size } of bin.patches ?? []) {
      const lost = await auditBlob(remote, { path: `${path} (patch)`, cid, size, index: undefined, onBytes, signal })
      if (lost !== undefined) findings.push(lost)
    }
  }
  return { serial: pointed.serial, version: release.manifest.version, bytes, findings }
}

/** The compressed manifest, where there is one: nodes take it first. */
async function auditXz(
  remote: Remote,
  {
    product,
    serial,
    body,
    signal,
  }: { readonly product: string; readonly serial: number; readonly body: Uint8Array; readonly signal: AbortSignal | undefined },
): Promise<readonly Finding[]> {
  if (body.length <= limits.compressedAbove) return []
  const name = documents.manifestXz(product, serial)
  try {
    const packed = await remote.read(name, { limit: body.length, signal })
    if (packed === undefined || sameBytes(readXz(packed, body.length, name), body)) return []
  } catch (error) {
    if (isPsyblobError(error, 'unavailable')) return [{ path: `/${name}`, problem: 'unreadable' }]
    if (!isPsyblobError(error, 'corrupt', 'malformed')) throw error
  }
  return [{ path: `/${name}`, problem: 'changed' }]
}

async function readIndex(
  remote: Remote,
  { cid, size }: { readonly cid: CID; readonly size: number },
  signal: AbortSignal | undefined,
): Promise<Uint8Array | undefined> {
  try {
    const pieces: Uint8Array[] = []
    for await (const piece of remote.get(cid, { size, signal })) pieces.push(Uint8Array.from(piece))
    return Buffer.concat(pieces)
  } catch (error) {
    if (isPsyblobError(error, 'not-found', 'corrupt', 'malformed', 'unavailable')) return undefined
    throw error
  }
}

type BlobAudit = {
  readonly path: string
  readonly cid: CID
  readonly size: number
  readonly index: Uint8Array | undefined
  readonly onBytes: (bytes: number) => void
  readonly signal: AbortSignal | undefined
}

async function auditBlob(remote: Remote, { path, cid, size, index, onBytes, signal }: BlobAudit): Promise<Finding | undefined> {
  const engine = blake3()
  const whole = engine.create()
  const cuts = index === undefined ? undefined : usableIndex(index, size)
  const ranges: BadRange[] = []
  const window = borrow(limits.chunk)
  let held = 0
  let chunk = 0
  let got = 0
  try {
    for await (const piece of remote.get(cid, { size, signal })) {
      whole.update(piece)
      got += piece.length
      onBytes(piece.length)
      if (cuts === undefined) continue
      for (let taken = 0; taken < piece.length && chunk < cuts.count; ) {
        const length = cuts.length(chunk)
        const part = Math.min(length - held, piece.length - taken)
        window.set(piece.subarray(taken, taken + part), held)
        taken += part
        held += part
        if (held < length) break
        if (!sameBytes(engine.digest(window.subarray(0, length)), cuts.digest(chunk))) ranges.push({ offset: cuts.offset(chunk), length })
        held = 0
        chunk++
      }
    }
    return undefined
  } catch (error) {
    if (isPsyblobError(error, 'not-found')) return { path, problem: 'missing', expected: cid }
    if (isPsyblobError(error, 'corrupt') && got < size) {
      // before the last byte it is the disk that fails, or a piece that goes on after it
      return { path, problem: error.cause === undefined ? 'wrong size' : 'unreadable', expected: cid }
    }
    if (isPsyblobError(error, 'corrupt')) {
      const digest = cidOf(whole.digest())
      // what is right up to its last byte goes on after it
      if (digest === cid) return { path, problem: 'wrong size', expected: cid }
      return { path, problem: 'changed', expected: cid, got: digest, ...(cuts === undefined ? {} : { ranges }) }
    }
    // short, cut or refused: this one is named, and the others are looked at all the same
    if (isPsyblobError(error, 'unavailable')) return { path, problem: got < size && got > 0 ? 'wrong size' : 'unreadable', expected: cid }
    throw error
  } finally {
    giveBack(window)
  }
}

/** An index whose bytes are right may still be no index of that blob. */
function usableIndex(bytes: Uint8Array, size: number): ChunkIndex | undefined {
  try {
    return parseChunkIndex(bytes, size, 'chunk index')
  } catch (error) {
    if (isPsyblobError(error, 'malformed')) return undefined
    throw error
  }
}
