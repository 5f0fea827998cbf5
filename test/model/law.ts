// What a node has to come to, by trust.md and root.md alone: the same checks in the same order, over facts instead of bytes.
import { type CID, documents, type ErrorCode, limits } from '../../core/mod.ts'
import { blobOf, hasEnough, type ManifestFact, type PointerFact, type Role, type RootFact, roleOf, rootRole } from './documents.ts'
import { type Knowledge, type SeenChannel, withRoot } from './knowledge.ts'
import type { Ledger, Signed } from './ledger.ts'
import { compat, day } from './lineage.ts'
import { type Offer, Offers, Refusal } from './offers.ts'

export type Request = {
  readonly ledger: Ledger
  readonly known: Knowledge
  readonly offers: readonly Offer[]
  readonly product: string
  readonly channel: string
  /** Stated in the composition. */
  readonly repo: string | undefined
  readonly clock: number
}
type Bytes = Pick<Signed, 'body' | 'signatures'>
export type Accepted = {
  readonly pointer: PointerFact
  readonly pointerCid: CID
  readonly pointerFile: Uint8Array
  readonly release: ManifestFact
  readonly releaseCid: CID
  readonly signed: Bytes
  readonly isFork: boolean
}
export type Verdict = {
  readonly code: ErrorCode | 'none'
  readonly accepted: Accepted | undefined
  /** After the run, when it is persisted. */
  readonly known: Knowledge
  /** What is persisted on the way, whatever comes of the rest. */
  readonly followed: Knowledge
}

export function judge(request: Request): Verdict {
  const offers = new Offers(request.offers)
  let followed = request.known
  const follow = () => {
    for (let step = 0; step < limits.rootSteps; step++) {
      const next = nextRoot(offers, { ...request, known: followed })
      if (next === undefined) return
      followed = withRoot(followed, next.fact, Buffer.from(next.body).toString())
    }
  }
  try {
    if (followed.root !== undefined) follow()
    let pointer = readPointer(offers, { ...request, known: followed }, true)
    if (pointer === 'there is a root') {
      follow()
      pointer = readPointer(offers, { ...request, known: followed }, false)
    }
    if (pointer === 'there is a root') throw new RangeError('twice')
    const accepted = { ...pointer, ...readRelease(offers, { ...request, known: followed }, pointer.pointer) }
    return { code: 'none', accepted, known: learnt(request, followed, accepted), followed }
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    return { code: error.code, accepted: undefined, known: followed, followed }
  }
}

function learnt(
  { product, channel }: Request,
  known: Knowledge,
  { pointer, pointerCid, release, releaseCid, signed }: Accepted,
): Knowledge {
  const before = known.products[product]
  const { repo, version, issued, expires } = pointer
  const channels = { ...before?.channels, [channel]: { version, pointer: pointerCid, issued, expires } }
  const facts = { ...before, repo, seen: { serial: release.serial, manifest: releaseCid }, channels }
  const kept = new Map(known.kept).set(`${product}/${release.serial}`, signed)
  return { ...known, products: { ...known.products, [product]: facts }, kept }
}

/** Enough distinct people of the role signed the body, and none of those who count under the comment of something else. */
function checkSigned(ledger: Ledger, { body, signatures }: Bytes, role: Role | undefined): void {
  const blocks = signatures.length > limits.minisig ? undefined : ledger.blocksOf(signatures)
  if (role === undefined) throw new Refusal('untrusted')
  if (blocks === undefined) throw new Refusal('malformed')
  const cid = ledger.factOf(body)?.cid
  const counted = new Map<string, boolean>()
  for (const { by, over, fits } of blocks) {
    if (counted.size === role.threshold) break
    if (by !== undefined && over === cid && role.keys.includes(by) && !counted.has(by)) counted.set(by, fits)
  }
  if (!hasEnough(role, counted.keys()) || [...counted.values()].includes(false)) throw new Refusal('untrusted')
}

function nextRoot(
  offers: Offers,
  { ledger, known, product, repo }: Request,
): { readonly fact: RootFact; readonly body: Uint8Array } | undefined {
  const { root } = known
  const version = (root?.fact.version ?? 0) + 1
  const wanted = root?.fact.repo ?? repo ?? known.products[product]?.repo
  return offers.read(documents.root(version), {
    limit: limits.root,
    isOptional: true,
    accept: (body, { files }) => {
      const signatures = files?.get(documents.rootSignature(version))
      if (signatures === undefined) throw new Refusal('untrusted')
      if (signatures.length > limits.minisig) throw new Refusal('malformed')
      checkSigned(ledger, { body, signatures }, rootRole(root?.fact))
      const fact = ledger.factOf(body)?.fact
      if (fact?.kind !== 'root') throw new Refusal('malformed')
      checkSigned(ledger, { body, signatures }, fact.root)
      if (fact.version !== version || (wanted !== undefined && fact.repo !== wanted)) throw new Refusal('untrusted')
      return { fact, body }
    },
  })
}

type FoundPointer = Pick<Accepted, 'pointer' | 'pointerCid' | 'pointerFile'>

/** Trust.md 2, 1 to 11. */
function readPointer(offers: Offers, request: Request, mayHaveRoot: boolean): FoundPointer | 'there is a root' {
  const { ledger, known, product, channel, clock } = request
  const root = known.root?.fact
  const seen = known.products[product]?.channels[channel]
  const repo = root?.repo ?? request.repo ?? known.products[product]?.repo
  const role = roleOf(root, 'pointer', channel)
  if (role === undefined) throw new Refusal('untrusted')
  const now = nowOf(clock, seen)
  const found = offers.read<FoundPointer | 'there is a root'>(documents.pointer(channel), {
    limit: limits.pointer,
    accept: (pointerFile) => {
      const split = ledger.splitPointer(pointerFile)
      const body = split === undefined ? undefined : ledger.factOf(split.body)
      if (mayHaveRoot && root === undefined && body?.fact.kind === 'pointer' && body.fact.root > 0) return 'there is a root'
      if (split === undefined) throw new Refusal('malformed')
      checkSigned(ledger, split, role)
      if (body?.fact.kind !== 'pointer') throw new Refusal('malformed')
      const { fact: pointer, cid: pointerCid } = body
      if (pointer.channel !== channel || (repo !== undefined && pointer.repo !== repo)) throw new Refusal('untrusted')
      if (seen !== undefined) {
        if (pointer.version < seen.version) throw new Refusal('rollback')
        if (pointer.version === seen.version && pointerCid !== seen.pointer) throw new Refusal('untrusted')
        if (pointer.version > seen.version + 1_000_000) throw new Refusal('untrusted')
      }
      if (Date.parse(pointer.expires) <= now) throw new Refusal('expired')
      if (Date.parse(pointer.issued) > now + day) throw new Refusal('untrusted')
      if (pointer.root > (root?.version ?? 0)) throw new Refusal('untrusted')
      return { pointer, pointerCid, pointerFile }
    },
  })
  if (found === undefined) throw new Refusal('not-found')
  if (found !== 'there is a root' && root !== undefined && Date.parse(root.expires) <= now) throw new Refusal('expired')
  return found
}

const nowOf = (clock: number, seen: SeenChannel | undefined) => Math.max(clock, seen === undefined ? 0 : Date.parse(seen.issued))

/** Trust.md 2, 12 to 20. */
function readRelease(
  offers: Offers,
  request: Request,
  pointer: PointerFact,
): Pick<Accepted, 'release' | 'releaseCid' | 'signed' | 'isFork'> {
  const { ledger, known, product } = request
  const pointed = pointer.products[product]
  if (pointed === undefined) throw new Refusal('not-found')
  const { serial, manifest: cid, size } = pointed
  const { seen, floor } = known.products[product] ?? {}
  if (serial < Math.max(known.root?.fact.floors[product] ?? 0, seen?.serial ?? 0, floor ?? 0)) throw new Refusal('rollback')
  if (serial === seen?.serial && cid !== seen.manifest) throw new Refusal('untrusted')
  const signed = keptRelease(request, serial, cid) ?? fetchedRelease(offers, request, { serial, cid, size })
  const release = ledger.factOf(signed.body)?.fact
  if (release?.kind !== 'manifest') throw new RangeError('a release that is none')
  if (release.name !== product || release.serial !== serial || release.repo !== pointer.repo || release.compat !== compat)
    throw new Refusal('untrusted')
  const isFork = seen !== undefined && serial === seen.serial + 1 && release.previous !== null && release.previous !== seen.manifest
  return { release, releaseCid: cid, signed, isFork }
}

/** Signed by those who must sign it now, and not taken back. */
export function checkRelease({ ledger, known, product }: Pick<Request, 'ledger' | 'known' | 'product'>, signed: Bytes): CID {
  const root = known.root?.fact
  checkSigned(ledger, signed, roleOf(root, 'release', product))
  const found = ledger.factOf(signed.body)
  if (found?.fact.kind !== 'manifest') throw new Refusal('malformed')
  const revoked = root?.revoked ?? []
  if ([found.cid, ...found.fact.contents.map(blobOf)].some((one) => revoked.includes(one))) throw new Refusal('untrusted')
  return found.cid
}

function keptRelease(request: Request, serial: number, cid: CID): Bytes | undefined {
  const kept = request.known.kept.get(`${request.product}/${serial}`)
  try {
    return kept !== undefined && checkRelease(request, kept) === cid ? kept : undefined
  } catch (error) {
    if (error instanceof Refusal) return undefined
    throw error
  }
}

function fetchedRelease(offers: Offers, request: Request, { serial, cid, size }: { serial: number; cid: CID; size: number }): Bytes {
  const { ledger, product } = request
  const body = offers.read(documents.manifest(product, serial), {
    limit: size,
    accept: (bytes) => {
      if (bytes.length !== size || ledger.factOf(bytes)?.cid !== cid) throw new Refusal('corrupt')
      return bytes
    },
  })
  if (body === undefined) throw new Refusal('not-found')
  const signed = offers.read(documents.manifestSignature(product, serial), {
    limit: limits.minisig,
    accept: (signatures) => {
      checkRelease(request, { body, signatures })
      return { body, signatures }
    },
  })
  if (signed === undefined) throw new Refusal('untrusted')
  return signed
}
