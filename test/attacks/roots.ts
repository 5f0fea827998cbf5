// Attacks by roots: gaps, forks, too few signatures, one key under two names, keys that were taken away, what was taken back.
import { documents } from '../../core/mod.ts'
import { type Arena, type Files, type Forged, type Loose, pointerName } from './arena.ts'
import type { Attack } from './attack.ts'

const modes = ['root'] as const

const root2 = (
  what: string,
  code: string,
  change: (root: Loose, arena: Arena) => void,
  forged: Forged = {},
  kind = 'root gaps and forks',
): Attack => ({
  kind,
  what,
  code,
  modes,
  bend: (arena, files) => void arena.root(files, 2, (root) => change(root, arena), forged),
})

const nothing = () => undefined
/** The key of somebody with the id of another. */
const borrowed = (arena: Arena): string => {
  const { id } = arena.keys.anna.publicKey
  const { key } = arena.keys.evil.publicKey
  return Buffer.concat([Buffer.from('Ed'), id, key]).toString('base64')
}

export const rootAttacks: readonly Attack[] = [
  root2('a next root by one of two', 'untrusted', nothing, { by: ['anna'] }),
  root2('a next root by one, twice', 'untrusted', nothing, { by: ['anna', 'anna'] }, 'one key used twice towards a threshold'),
  root2('a next root by nobody that counts', 'untrusted', nothing, { by: ['evil', 'os', 'ci'] }),
  root2(
    'a next root by those whom it names itself',
    'untrusted',
    (root, arena) => void (root.roles.root = { threshold: 1, keys: [arena.keys.evil.publicKey.text] }),
    { by: ['evil'] },
  ),
  root2(
    'a next root by those before, and not by those whom it names',
    'untrusted',
    (root, arena) => void (root.roles.root = { threshold: 1, keys: [arena.keys.evil.publicKey.text] }),
  ),
  root2('a threshold of none', 'malformed', (root) => void (root.roles.release['*'].threshold = 0), {}, 'threshold 0'),
  root2('a threshold of none for the root', 'malformed', (root) => void (root.roles.root.threshold = 0), {}, 'threshold 0'),
  root2(
    'one key under two ids',
    'malformed',
    (root, arena) => {
      const { key } = arena.keys.os.publicKey
      root.roles.release['*'] = {
        threshold: 2,
        keys: [arena.keys.os.publicKey.text, Buffer.concat([Buffer.from('Ed'), Buffer.alloc(8, 9), key]).toString('base64')],
      }
    },
    {},
    'one key used twice towards a threshold',
  ),
  root2('version 3 in the place of 2', 'untrusted', (root) => void (root.version = 3)),
  root2('version 1 again in the place of 2', 'untrusted', (root) => void (root.version = 1)),
  root2('of another repository', 'untrusted', (root) => void (root.repo = 'org.example.other'), {}, 'cross-repository replay'),
  root2('a time that is none', 'malformed', (root) => void (root.expires = 'never'), {}, 'freeze'),
  {
    ...root2(
      'a root that has expired',
      'expired',
      (root) => Object.assign(root, { issued: '2026-11-01T00:00:00Z', expires: '2026-11-02T00:00:00Z' }),
      {},
      'freeze',
    ),
    // it is in force all the same: there is no way back to the one before
    stage: 'bytes',
    isLasting: true,
  },
  root2('a field of a later version', 'malformed', (root) => void (root.delegations = {})),
  root2(
    'a repeated field',
    'malformed',
    nothing,
    { raw: (line) => line.replace('"version":2', '"version":2,"version":2') },
    'duplicate JSON keys',
  ),
  root2(
    'a prototype among its products',
    'malformed',
    nothing,
    { raw: (line) => line.replace('"release":{', '"release":{"__proto__":{"threshold":1,"keys":[]},') },
    '__proto__, constructor',
  ),
  root2(
    'a role of constructor',
    'malformed',
    (root) => void (root.roles.release['constructor'] = root.roles.release['*']),
    {},
    '__proto__, constructor',
  ),
  root2(
    'the trusted comment of another document',
    'untrusted',
    nothing,
    { comment: 'psyblob type=root repo=org.example.arena version=9 cid=x' },
    'comment injection',
  ),
  {
    kind: 'root gaps and forks',
    what: 'a next root without a signature',
    code: 'untrusted',
    modes,
    bend: (arena, files) => void [arena.root(files, 2, nothing), files.delete(documents.rootSignature(2))],
  },
  {
    kind: 'root gaps and forks',
    what: 'a next root that is garbage',
    code: 'malformed',
    modes,
    bend: (arena, files) => void [arena.root(files, 2, nothing, { raw: () => '<html>\u001b[2J</html>' })],
  },
  {
    kind: 'root gaps and forks',
    what: 'root 3 without a root 2',
    code: 'none',
    modes,
    bend: (arena, files) => void arena.root(files, 3, nothing),
  },
  {
    kind: 'root gaps and forks',
    what: 'a pointer under root 3, and no such root',
    code: 'untrusted',
    modes,
    bend: (arena, files) => void arena.pointer(files, (pointer) => void (pointer.root = 3)),
  },
  {
    kind: 'root gaps and forks',
    what: 'no roots at all, and a pointer of the time before',
    code: 'untrusted',
    modes,
    bend: (arena, files) => {
      files.delete(documents.root(1))
      files.delete(documents.rootSignature(1))
      arena.pointer(files, (pointer) => void (pointer.root = 0), { by: ['os'] })
      return undefined
    },
  },
  {
    kind: 'root gaps and forks',
    what: 'the key of others under the id of a keeper',
    code: 'untrusted',
    modes,
    bend: (arena, files) => void arena.root(files, 2, (root) => void (root.roles.root.keys[0] = borrowed(arena)), { by: ['evil', 'ben'] }),
  },
  {
    kind: 'unknown key',
    what: 'a release by a key that a new root takes away',
    code: 'untrusted',
    modes,
    isLasting: true,
    stage: 'bytes',
    bend: (arena, files) => void arena.root(files, 2, (root) => void (root.roles.release['*'].keys = [arena.keys.cleo.publicKey.text])),
  },
  {
    kind: 'malicious mirror',
    what: 'a node without a root is told of one that nobody gives',
    code: 'untrusted',
    modes: ['key'],
    bend: (arena, files) => void arena.pointer(files, (pointer) => void (pointer.root = 1)),
  },
  {
    kind: 'malicious mirror',
    what: 'a node without a root is given one by somebody',
    code: 'untrusted',
    modes: ['key'],
    bend: (arena, files) => void [arena.root(files, 1, nothing), arena.pointer(files, (pointer) => void (pointer.root = 1))],
  },
  {
    kind: 'malicious mirror',
    what: 'a node without a root is given one by its key, but not by the keepers',
    code: 'untrusted',
    modes: ['key'],
    bend: (arena, files) =>
      void [arena.root(files, 1, nothing, { by: ['os'] }), arena.pointer(files, (pointer) => void (pointer.root = 1))],
  },
  {
    kind: 'revoked object in cache',
    what: 'a release that root 2 takes back',
    code: 'untrusted',
    modes,
    stage: 'bytes',
    bend: revoked((arena) => arena.parsed(pointerName).products.os.manifest),
  },
  {
    kind: 'revoked object in cache',
    what: 'a blob of it',
    code: 'untrusted',
    modes,
    stage: 'bytes',
    bend: revoked((arena) => arena.blobName('/kernel').split('/').at(-1) as string),
  },
  {
    kind: 'rollback',
    what: 'a serial below the floor of root 2',
    code: 'rollback',
    modes,
    stage: 'bytes',
    isLasting: true,
    bend: (arena, files) => void arena.root(files, 2, (root) => void (root.floors = { os: 9 })),
  },
]

function revoked(what: (arena: Arena) => string) {
  return (arena: Arena, files: Files) => void arena.root(files, 2, (root) => void (root.revoked = [what(arena)]))
}
