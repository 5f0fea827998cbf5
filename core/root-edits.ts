// What the keepers of a root change in the next one: keys, thresholds, floors, what is taken back (spec/root.md 5).
import type { CID } from './cid.ts'
import { PsyblobError } from './errors.ts'
import { limits } from './limits.ts'
import { parseName, parseSerial } from './names.ts'
import { keyIdText, type PublicKey } from './public-key.ts'
import type { RootContent } from './root.ts'
import type { Signers } from './signers.ts'

/** One role of a root: the root itself, releases of a product (or of all), the pointer of a channel (or of all). */
export type RoleName = { readonly kind: 'root' } | { readonly kind: 'release' | 'pointer'; readonly of: string }

/** `root`, `release`, `release/os`, `pointer`, `pointer/stable`. Throws `usage`. */
export function parseRoleName(text: string): RoleName {
  const [kind = '', of = '*', ...rest] = text.split('/')
  if (rest.length === 0) {
    if (kind === 'root' && of === '*') return { kind }
    if (kind === 'release' || kind === 'pointer')
      return { kind, of: of === '*' ? of : parseName(of, kind === 'release' ? 'product' : 'channel') }
  }
  throw new PsyblobError('usage', `no role is called ${text}`, {
    hint: 'roles are root, release, release/PRODUCT, pointer and pointer/CHANNEL; without a name they are for all that have none of their own',
  })
}

function roleText(role: RoleName): string {
  return role.kind === 'root' ? 'root' : role.of === '*' ? role.kind : `${role.kind}/${role.of}`
}

function roleIn({ roles }: RootContent, role: RoleName): Signers | undefined {
  if (role.kind === 'root') return roles.root
  const all = roles[role.kind]
  return Object.hasOwn(all, role.of) ? all[role.of] : undefined
}

/** Without `signers` the role goes. */
function withRole(content: RootContent, role: RoleName, signers: Signers | undefined): RootContent {
  const copied = signers === undefined ? undefined : { threshold: signers.threshold, keys: [...signers.keys] }
  if (role.kind === 'root') return copied === undefined ? content : { ...content, roles: { ...content.roles, root: copied } }
  const { [role.of]: _, ...others } = content.roles[role.kind]
  return { ...content, roles: { ...content.roles, [role.kind]: copied === undefined ? others : { ...others, [role.of]: copied } } }
}

/** A role that is not there begins with a threshold of 1. Throws `conflict`, `usage`. */
export function addKey(content: RootContent, role: RoleName, key: PublicKey): RootContent {
  const { threshold, keys } = roleIn(content, role) ?? { threshold: 1, keys: [] }
  if (keys.some((one) => one.key.join() === key.key.join()))
    throw new PsyblobError('conflict', `${roleText(role)} has key ${keyIdText(key.id)} already`, {
      hint: 'psyblob root show lists the keys',
    })
  if (keys.length >= limits.keys)
    throw new PsyblobError('usage', `${roleText(role)} has ${limits.keys} keys already`, {
      hint: 'remove one with psyblob root remove-key',
    })
  return withRole(content, role, { threshold, keys: [...keys, key] })
}

/** `id` is the id or the line of the key. The last key of a role takes the role with it. Throws `not-found`, `usage`. */
export function removeKey(content: RootContent, role: RoleName, id: string): RootContent {
  const { threshold, keys } = roleIn(content, role) ?? { threshold: 1, keys: [] }
  const left = keys.filter((key) => keyIdText(key.id) !== id.toUpperCase() && key.text !== id)
  if (left.length === keys.length)
    throw new PsyblobError('not-found', `${roleText(role)} has no key ${id}`, {
      hint: `it has: ${keys.map((key) => keyIdText(key.id)).join(', ') || 'none'}`,
    })
  if (left.length === 0 && role.kind !== 'root') return withRole(content, role, undefined)
  if (left.length < threshold)
    throw new PsyblobError('usage', `${roleText(role)} asks for ${threshold} signatures, and ${left.length} keys would be left`, {
      hint: 'lower the threshold with psyblob root set-threshold, or add a key first',
    })
  return withRole(content, role, { threshold, keys: left })
}

/** Throws `usage` when the role has fewer keys, `not-found` when it is not there. */
export function setThreshold(content: RootContent, role: RoleName, threshold: number): RootContent {
  const found = roleIn(content, role)
  if (found === undefined)
    throw new PsyblobError('not-found', `the root has no role ${roleText(role)}`, { hint: 'psyblob root add-key makes it' })
  if (threshold < 1 || threshold > found.keys.length)
    throw new PsyblobError('usage', `${roleText(role)} has ${found.keys.length} keys: its threshold is from 1 to that, not ${threshold}`, {
      hint: 'add keys first with psyblob root add-key',
    })
  return withRole(content, role, { threshold, keys: found.keys })
}

/** Throws `usage` when the floor would go down: what was refused once stays refused. */
export function setFloor(content: RootContent, product: string, serial: number): RootContent {
  const name = parseName(product, 'product')
  const before = Object.hasOwn(content.floors, name) ? (content.floors[name] ?? 0) : 0
  if (parseSerial(serial) < before)
    throw new PsyblobError('usage', `the floor of ${name} is ${before} and never goes down`, { hint: 'name a higher serial' })
  return { ...content, floors: { ...content.floors, [name]: serial } }
}

/** Taking back is for ever, too. */
export function revoke(content: RootContent, cids: readonly CID[]): RootContent {
  const revoked = [...new Set([...content.revoked, ...cids])]
  if (revoked.length > limits.revoked)
    throw new PsyblobError('usage', `a root takes back at most ${limits.revoked} CIDs`, {
      hint: 'raise the floor of the product instead: psyblob root set-floor',
    })
  return { ...content, revoked }
}
