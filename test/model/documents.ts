// Signed documents as the model sees them: plain facts. Their bytes are written here by hand, so that nothing of the product vouches for itself.
import type { CID } from '../../core/mod.ts'
import { cidOfBytes } from '../../store/blake3.ts'

/** So many of the people with these names. */
export type Role = { readonly threshold: number; readonly keys: readonly string[] }
export type Roles = Readonly<Record<string, Role>>

export type RootFact = {
  readonly kind: 'root'
  readonly repo: string
  readonly version: number
  readonly issued: string
  readonly expires: string
  readonly root: Role
  readonly release: Roles
  readonly pointer: Roles
  readonly floors: Readonly<Record<string, number>>
  readonly revoked: readonly string[]
}
export type Pointed = { readonly serial: number; readonly manifest: CID; readonly size: number }
export type PointerFact = {
  readonly kind: 'pointer'
  readonly repo: string
  readonly channel: string
  readonly version: number
  readonly issued: string
  readonly expires: string
  readonly root: number
  readonly products: Readonly<Record<string, Pointed>>
}
export type ManifestFact = {
  readonly kind: 'manifest'
  readonly repo: string
  readonly name: string
  readonly serial: number
  readonly version: string
  readonly previous: CID | null
  readonly compat: string
  /** Of which each is a file. */
  readonly contents: readonly string[]
}
export type Fact = RootFact | PointerFact | ManifestFact

/** The blob that holds this text. */
export const blobOf = (content: string): CID => cidOfBytes(Buffer.from(content))

/** Whose signatures a document needs by a root, or before there is one: those of the anchor. */
export const anchor = 'the anchor'
const alone: Role = { threshold: 1, keys: [anchor] }

export function roleOf(root: RootFact | undefined, kind: 'release' | 'pointer', name: string): Role | undefined {
  return root === undefined ? alone : (root[kind][name] ?? root[kind]['*'])
}

export function rootRole(root: RootFact | undefined): Role {
  return root?.root ?? alone
}

export function hasEnough(role: Role | undefined, signers: Iterable<string>): boolean {
  if (role === undefined) return false
  return new Set([...signers].filter((name) => role.keys.includes(name))).size >= role.threshold
}

export function bodyOf(fact: Fact, keyOf: (name: string) => string): Uint8Array {
  switch (fact.kind) {
    case 'root':
      return rootBody(fact, keyOf)
    case 'pointer': {
      const { kind: _, ...fields } = fact
      return Buffer.from(`${JSON.stringify({ psyblob: 'pointer/1', ...fields })}\n`)
    }
    case 'manifest':
      return manifestBody(fact)
  }
}

function rootBody({ kind: _, root, release, pointer, ...fields }: RootFact, keyOf: (name: string) => string): Uint8Array {
  const plain = ({ threshold, keys }: Role) => ({ threshold, keys: keys.map(keyOf) })
  const all = (roles: Roles) => Object.fromEntries(Object.entries(roles).map(([name, role]) => [name, plain(role)]))
  const roles = { root: plain(root), release: all(release), pointer: all(pointer) }
  return Buffer.from(`${JSON.stringify({ psyblob: 'root/1', ...fields, roles })}\n`)
}

function manifestBody({ repo, name, serial, version, previous, compat, contents }: ManifestFact): Uint8Array {
  const records = contents.map((content, at) => {
    const bin = { cid: blobOf(content), size: content.length }
    return { path: `/file${at}`, role: 'file', mod: 0o100644, uid: 0, gid: 0, target: null, licence: null, bin, ccs: null }
  })
  const size = contents.reduce((sum, { length }) => sum + length, 0)
  const times = { created: '2026-01-01T00:00:00Z', compat, entries: records.length, size }
  const header = {
    psyblob: 'manifest/1',
    repo,
    name,
    desc: '',
    serial,
    version,
    previous,
    ...times,
    key: null,
    remotes: [],
    'post-exec': null,
  }
  return Buffer.from(`${[header, ...records].map((line) => JSON.stringify(line)).join('\n')}\n`)
}
