// The root of trust of a repository: which keys may sign what, from which serial on, and what is taken back (spec/root.md).
import * as v from 'valibot'
import { type CID, parseCid } from './cid.ts'
import { PsyblobError } from './errors.ts'
import { checkShape, parsedBy, parseJson, recordOf } from './json.ts'
import { limits } from './limits.ts'
import type { Manifest } from './manifest.ts'
import { formatTime, parseName, parseTime } from './names.ts'
import { type PublicKey, parsePublicKey } from './public-key.ts'
import type { Signers } from './signers.ts'
import { utf8Decode, utf8Encode } from './utf8.ts'
import { visible } from './visible.ts'

/** Stands for every product, or channel, that a root does not name. */
const anyName = '*'

const whole = (least: number, most: number = Number.MAX_SAFE_INTEGER) =>
  v.pipe(v.number(), v.safeInteger(), v.minValue(least), v.maxValue(most))
const time = parsedBy((value: string) => {
  parseTime(value)
  return value
})
const publicKey = v.pipe(
  v.string(),
  v.rawTransform<string, PublicKey>(({ dataset, addIssue, NEVER }) => {
    try {
      const key = parsePublicKey(dataset.value)
      if (key.text === dataset.value) return key
      // the file of it is read elsewhere: here a key has one spelling
      addIssue({ message: 'a public key is its one line here' })
      return NEVER
    } catch (error) {
      if (!(error instanceof PsyblobError)) throw error
      addIssue({ message: error.message })
      return NEVER
    }
  }),
)
const role = v.pipe(
  v.strictObject({
    threshold: whole(1, limits.keys),
    keys: v.pipe(v.array(publicKey), v.minLength(1), v.maxLength(limits.keys)),
  }),
  v.check(({ threshold, keys }) => threshold <= keys.length, 'a threshold above the number of its keys'),
  // a threshold counts keys of 32 bytes, whatever ids they go by
  v.check(({ keys }) => new Set(keys.map(({ key }) => key.join())).size === keys.length, 'one key twice'),
)
const nameOr = (kind: string) => (text: string) => (text === anyName ? text : parseName(text, kind))
const roles = v.strictObject({
  root: role,
  release: recordOf(nameOr('product'), role),
  pointer: recordOf(nameOr('channel'), role),
})
const root = v.strictObject({
  psyblob: v.literal('root/1'),
  repo: parsedBy((text: string) => parseName(text, 'repository')),
  version: whole(1),
  issued: time,
  expires: time,
  roles,
  floors: recordOf((text) => parseName(text, 'product'), whole(1)),
  revoked: v.pipe(
    v.array(parsedBy(parseCid)),
    v.maxLength(limits.revoked),
    v.check((all) => new Set(all).size === all.length, 'one CID twice'),
  ),
})

export type Root = v.InferOutput<typeof root>
export type RootContent = Omit<Root, 'psyblob'>

/** Reads a root whose signatures were verified, or are about to be. Throws `malformed`. */
export function parseRoot(body: Uint8Array, what = 'root'): Root {
  if (body.length > limits.root) throw new PsyblobError('malformed', `${what}: larger than ${limits.root} bytes`)
  const text = utf8Decode(body, what)
  if (!text.endsWith('\n') || text.indexOf('\n') !== text.length - 1) throw new PsyblobError('malformed', `${what}: expected one line`)
  const parsed = checkShape(root, parseJson(text.slice(0, -1), { what }), what)
  if (parseTime(parsed.expires) <= parseTime(parsed.issued))
    throw new PsyblobError('malformed', `${what}: expires ${parsed.expires} before it was issued ${parsed.issued}`)
  return parsed
}

/** The bytes to sign. */
export function formatRoot(content: RootContent): Uint8Array {
  const { repo, version, issued, expires, floors, revoked } = content
  const plain = ({ threshold, keys }: Signers) => ({ threshold, keys: keys.map(({ text }) => text) })
  const sorted = <Value, Plain>(record: Readonly<Record<string, Value>>, make: (value: Value) => Plain) =>
    Object.fromEntries(
      Object.entries(record)
        .sort(([one], [two]) => (one < two ? -1 : 1))
        .map(([name, value]) => [name, make(value)]),
    )
  const { root, release, pointer } = content.roles
  const body = utf8Encode(
    `${JSON.stringify({
      psyblob: 'root/1',
      repo,
      version,
      issued,
      expires,
      roles: { root: plain(root), release: sorted(release, plain), pointer: sorted(pointer, plain) },
      floors: sorted(floors, (serial) => serial),
      revoked: [...revoked].sort(),
    })}\n`,
  )
  parseRoot(body)
  return body
}

/** Who signs releases of a product. Throws `untrusted` when the root names nobody. */
export function releaseSigners({ repo, version, roles }: Root, product: string): Signers {
  const found = own(roles.release, product) ?? own(roles.release, anyName)
  if (found !== undefined) return found
  throw new PsyblobError('untrusted', `root ${version} of ${repo} lets nobody sign releases of ${product}`, {
    hint: `the publisher runs psyblob root add-key --role release/${product}, or the composition names a product that this repository does not have`,
  })
}

/** Who signs the pointer of a channel. Throws `untrusted` when the root names nobody. */
export function pointerSigners({ repo, version, roles }: Root, channel: string): Signers {
  const found = own(roles.pointer, channel) ?? own(roles.pointer, anyName)
  if (found !== undefined) return found
  throw new PsyblobError('untrusted', `root ${version} of ${repo} lets nobody sign the channel ${channel}`, {
    hint: `the publisher runs psyblob root add-key --role pointer/${channel}, or the composition names a channel that this repository does not have`,
  })
}

function own<Value>(record: Readonly<Record<string, Value>>, name: string): Value | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined
}

/** Throws `expired`. `now` is in milliseconds since 1970. */
export function checkRootLife({ repo, version, expires }: Root, now: number): void {
  if (parseTime(expires) > now) return
  throw new PsyblobError('expired', `root ${version} of ${repo}: expired at ${expires}, now is ${formatTime(now)}`, {
    hint: 'the keepers of the root sign another one (psyblob root prepare); if the clock of this machine is wrong, set it',
  })
}

/** Throws `untrusted` for a manifest that a root took back, or that has a blob it took back. */
export function checkNotRevoked(root: Root | undefined, manifest: Manifest, cid: CID): void {
  if (root === undefined || root.revoked.length === 0) return
  const revoked = new Set<string>(root.revoked)
  const blobs = manifest.records.flatMap((record) => [record.bin?.cid, record.ccs?.cid])
  const found = [cid, ...blobs].find((one) => one !== undefined && revoked.has(one))
  if (found === undefined) return
  throw new PsyblobError(
    'untrusted',
    `${manifest.name} ${manifest.serial}: root ${root.version} of ${root.repo} revoked ${visible(found)}`,
    {
      hint: 'the publisher took it back: install a newer release, or go back with psyblob rollback',
    },
  )
}

/** Throws `rollback` for a serial below the root's floor for the product. */
export function checkRootFloor(root: Root | undefined, product: string, serial: number): void {
  const floor = root === undefined ? undefined : own(root.floors, product)
  if (root === undefined || floor === undefined || serial >= floor) return
  throw new PsyblobError(
    'rollback',
    `${product}: serial ${serial} is older than ${floor}, the least that root ${root.version} of ${root.repo} allows`,
    {
      hint: 'the publisher said so in the root: install a newer release',
    },
  )
}

/** Throws `untrusted` when a root is not the one that comes after `before`, or not of `repo`. */
export function checkRootOrder(next: Root, expected: { readonly version: number; readonly repo: string | undefined }, what: string): void {
  if (next.version !== expected.version)
    throw new PsyblobError('untrusted', `${what}: expected version ${expected.version}, got ${next.version}`, {
      hint: 'a root lies in the wrong place; ask the publisher',
    })
  if (expected.repo !== undefined && next.repo !== expected.repo)
    throw new PsyblobError('untrusted', `${what}: expected repository ${expected.repo}, got ${next.repo}`, {
      hint: 'the remote serves another repository: check its address',
    })
}
