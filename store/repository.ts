// A repository as its publisher sees it: psyblob.json, the pointer of a channel, the listing (spec/repository.md).
import * as v from 'valibot'
import {
  checkShape,
  cidOf,
  type DocumentName,
  documents,
  formatPointer,
  formatTime,
  joinPointerFile,
  limits,
  type PointedRelease,
  type Pointer,
  PsyblobError,
  parseCid,
  parsedBy,
  parseJson,
  parseName,
  parsePointer,
  pointerComment,
  recordOf,
  type SecretKey,
  utf8Decode,
  utf8Encode,
} from '../core/mod.ts'
import { blake3 } from './blake3.ts'
import { prehash } from './crypto.ts'
import { knownToSign, type Publisher, signChannel, solePublisher } from './publisher.ts'
import type { Remote, RemoteWriter } from './remote.ts'
import { verifyPointer } from './signed.ts'

const repository = v.strictObject({ psyblob: v.literal('repository/1'), repo: parsedBy((text: string) => parseName(text, 'repository')) })
const listed = v.strictObject({
  serial: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  version: v.string(),
  created: v.string(),
  manifest: parsedBy(parseCid),
  size: v.number(),
})
const listing = v.strictObject({
  psyblob: v.literal('listing/1'),
  repo: v.string(),
  products: recordOf((text) => parseName(text, 'product'), v.array(listed)),
})

export type ListedRelease = v.InferOutput<typeof listed>
/** What `index.json` says: unsigned, for finding things, never for believing them. */
export type Listing = v.InferOutput<typeof listing>

const day = 24 * 60 * 60 * 1000

async function readJson<const Schema extends v.GenericSchema>(
  remote: Remote,
  name: DocumentName,
  schema: Schema,
): Promise<{ value: v.InferOutput<Schema>; bytes: Uint8Array } | undefined> {
  const bytes = await remote.read(name, { limit: name === documents.listing ? limits.listing : limits.repository })
  if (bytes === undefined) return undefined
  const what = `${name} of ${remote.label}`
  return { value: checkShape(schema, parseJson(utf8Decode(bytes, what).trimEnd(), { what, spaced: true }), what), bytes }
}

function formatJson(value: unknown): Uint8Array {
  return utf8Encode(`${JSON.stringify(value, null, 2)}\n`)
}

/** The repository's name. Throws `not-found` when there is no repository. */
export async function repositoryName(remote: Remote): Promise<string> {
  const found = await readJson(remote, documents.repository, repository)
  if (found === undefined)
    throw new PsyblobError('not-found', `no repository at ${remote.label}`, {
      hint: `psyblob init ${remote.label} --key OUT.key makes one`,
    })
  return found.value.repo
}

/** The listing; undefined when there is none or it cannot be read, for nothing depends on it. */
export async function readListing(remote: Pick<Remote, 'read' | 'label'>): Promise<Listing | undefined> {
  try {
    return (await readJson(remote as Remote, documents.listing, listing))?.value
  } catch (error) {
    if (error instanceof PsyblobError) return undefined
    throw error
  }
}

/** Adds a release to the listing. */
export async function list(remote: RemoteWriter, repo: string, product: string, release: ListedRelease): Promise<void> {
  const bytes = await remote.read(documents.listing, { limit: limits.listing })
  const old = await readListing(remote)
  const releases = [...(old?.products[product]?.filter((other) => other.serial !== release.serial) ?? []), release].sort(
    (one, two) => one.serial - two.serial,
  )
  await remote.replace(
    documents.listing,
    formatJson({ psyblob: 'listing/1', repo, products: { ...old?.products, [product]: releases } } satisfies Listing),
    bytes,
  )
}

export type SignPointerOptions = {
  readonly publisher: Publisher
  readonly repo: string
  readonly channel: string
  readonly version: number
  readonly products: Readonly<Record<string, PointedRelease>>
  /** Milliseconds since 1970. */
  readonly now: number
  /** Days until it expires. */
  readonly days: number
}

/** A pointer file, signed. */
export function signPointer(options: SignPointerOptions): Uint8Array {
  const { publisher, repo, channel, version, products, now, days } = options
  const root = publisher.authority.root?.version ?? 0
  const body = formatPointer({ repo, channel, version, issued: formatTime(now), expires: formatTime(now + days * day), root, products })
  const comment = pointerComment(parsePointer(body), cidOf(blake3().digest(body)))
  return joinPointerFile({ body, signatures: signChannel(publisher, channel, { prehash: prehash(body), trustedComment: comment }) })
}

/**
 * The pointer of a channel as it lies there; undefined when the channel is new. Throws `untrusted` when those who may did not sign it, or
 * signed it for another channel or repository: what is signed next goes on from it.
 */
export async function currentPointer(
  remote: Remote,
  { repo, channel, publisher }: { readonly repo: string; readonly channel: string; readonly publisher: Publisher },
): Promise<{ pointer: Pointer; bytes: Uint8Array } | undefined> {
  const bytes = await remote.read(documents.pointer(channel), { limit: limits.pointer })
  if (bytes === undefined) return undefined
  const what = `pointer ${channel} of ${remote.label}`
  const { pointer } = verifyPointer(bytes, knownToSign(publisher, channel), what)
  const hint = 'somebody put another pointer or psyblob.json there: restore them from a backup before anything is signed'
  if (pointer.channel !== channel)
    throw new PsyblobError('untrusted', `${what}: expected channel ${channel}, got ${pointer.channel}`, { hint })
  if (pointer.repo !== repo) throw new PsyblobError('untrusted', `${what}: expected repository ${repo}, got ${pointer.repo}`, { hint })
  return { pointer, bytes }
}

export type InitOptions = {
  readonly key: SecretKey
  readonly repo: string
  readonly channel: string
  readonly now: number
  readonly days: number
}

/** Makes an empty repository. Throws `conflict` when one is there already. */
export async function initRepository(remote: RemoteWriter, options: InitOptions): Promise<void> {
  const { key, repo, channel, now, days } = options
  const publisher = solePublisher(key)
  if ((await remote.read(documents.repository, { limit: limits.repository })) !== undefined) {
    throw new PsyblobError('conflict', `there is a repository at ${remote.label} already`, {
      hint: 'psyblob publish adds releases to it; nothing was changed',
    })
  }
  // an init that was cut short may have left these two
  const left = await currentPointer(remote, { repo, channel, publisher })
  const listed = await remote.read(documents.listing, { limit: limits.listing })
  const pointer = signPointer({
    publisher,
    repo,
    channel,
    version: (left?.pointer.version ?? 0) + 1,
    products: left?.pointer.products ?? {},
    now,
    days,
  })
  await remote.replace(documents.pointer(channel), pointer, left?.bytes)
  if (listed === undefined)
    await remote.replace(documents.listing, formatJson({ psyblob: 'listing/1', repo, products: {} } satisfies Listing), undefined)
  // last: a repository that has its name has everything else
  await remote.replace(documents.repository, formatJson({ psyblob: 'repository/1', repo }), undefined)
}
