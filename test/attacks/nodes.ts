// Attacks on the node itself: a clock that is wrong, a store that somebody wrote to, a state that is damaged or another's.
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import type { Arena } from './arena.ts'
import { type Attack, year } from './attack.ts'

const statePath = (arena: Arena, home: string) => arena.path(home, 'store/state.json')
const state = (what: string, code: string, change: (text: string) => string): Attack => ({
  kind: 'damaged or replaced state',
  what,
  code,
  poison: (arena, home) => writeFileSync(statePath(arena, home), change(readFileSync(statePath(arena, home), 'utf8'))),
  mend: (arena, home) => cpSync(arena.path('template/store/state.json'), statePath(arena, home)),
})
const parsed = (change: (state: ReturnType<typeof JSON.parse>) => void) => (text: string) => {
  const value = JSON.parse(text)
  change(value)
  return JSON.stringify(value)
}

/** Something in the store that is not what it was; it must do no harm. */
const store = (what: string, change: (dir: string, arena: Arena) => void): Attack => ({
  kind: 'poisoned local store',
  what,
  code: 'none',
  poison: (arena, home) => change(arena.path(home, 'store'), arena),
})

export const nodeAttacks: readonly Attack[] = [
  { kind: 'clock', what: 'ten years ahead', code: 'expired', clock: 10 * year },
  { kind: 'clock', what: 'eight days ahead', code: 'expired', clock: 8 * 24 * 3_600_000 },
  { kind: 'clock', what: 'at 1970', code: 'none', clock: -Date.parse('2026-11-23T14:00:00Z') },
  { kind: 'clock', what: 'a month back', code: 'none', clock: -year / 12 },

  state('empty', 'corrupt', () => ''),
  state('cut short', 'corrupt', (text) => text.slice(0, text.length >> 1)),
  state('garbage', 'corrupt', () => '\u0000\u0001\u0002'),
  state('a list', 'corrupt', () => '[]'),
  state('null', 'corrupt', () => 'null'),
  state(
    'of another format',
    'unsupported',
    parsed((value) => void (value.psyblob = 'state/2')),
  ),
  state(
    'of no format',
    'corrupt',
    parsed((value) => void delete value.psyblob),
  ),
  state(
    'a serial that is text',
    'corrupt',
    parsed((value) => void (value.products.os.seen.serial = '2')),
  ),
  state('a serial of 2^53', 'corrupt', (text) => text.replace('"serial": 2', '"serial": 9007199254740992')),
  state('a misspelt member', 'corrupt', (text) => text.replace('"seen"', '"sean"')),
  state('a key twice', 'corrupt', (text) => text.replace('"products"', '"last": {}, "products"')),
  state('a prototype', 'corrupt', (text) => text.replace('"os": {', '"__proto__": {')),
  state('a product that is none', 'corrupt', (text) => text.replace('"os": {', '"../os": {')),
  state('larger than allowed', 'corrupt', (text) => `${text}${' '.repeat(2_000_000)}`),
  state(
    'another’s facts',
    'none',
    parsed((value) => void (value.products.os.key = 'RWQBAgMEBQYHCOqvviARd8aHQGkkUp/ZXgfZWnyIt9Pl+a7TiPAMPC4Q')),
  ),
  {
    ...state(
      'a root that is garbage',
      'corrupt',
      parsed((value) => void (value.roots[0].root = 'x\n')),
    ),
    modes: ['root'],
  },
  {
    kind: 'damaged or replaced state',
    what: 'a folder in its place',
    code: 'corrupt',
    poison: (arena, home) => {
      rmSync(statePath(arena, home))
      mkdirSync(statePath(arena, home))
    },
    mend: (arena, home) => {
      rmSync(statePath(arena, home), { recursive: true })
      cpSync(arena.path('template/store/state.json'), statePath(arena, home))
    },
  },

  store('the manifest of release 2', (dir) => writeFileSync(`${dir}/os/2`, '{}\n')),
  store('the manifest of release 3, by somebody', (dir, arena) => {
    writeFileSync(`${dir}/os/3`, readFileSync(arena.path('template/store/os/2')))
    writeFileSync(`${dir}/os/3.minisig`, readFileSync(arena.path('template/store/os/2.minisig')))
  }),
  store('its signature', (dir) => writeFileSync(`${dir}/os/2.minisig`, 'x')),
  store('links that lead out', (dir) => {
    for (const link of ['latest', 'current', 'previous']) {
      rmSync(`${dir}/os/${link}`, { force: true })
      symlinkSync('../../../../etc/passwd', `${dir}/os/${link}`)
    }
  }),
  store('links that lead to each other', (dir) => {
    rmSync(`${dir}/os/latest`, { force: true })
    symlinkSync('current', `${dir}/os/latest`)
    rmSync(`${dir}/os/current`, { force: true })
    symlinkSync('latest', `${dir}/os/current`)
  }),
  store('every chunk index', (dir) => {
    for (const entry of readdirSync(`${dir}/blob`, { recursive: true, withFileTypes: true }))
      if (entry.isFile()) writeFileSync(`${entry.parentPath}/${entry.name}`, Buffer.alloc(3000, 7))
  }),
  store('every chunk index, cut short', (dir) => {
    for (const entry of readdirSync(`${dir}/blob`, { recursive: true, withFileTypes: true }))
      if (entry.isFile()) truncateSync(`${entry.parentPath}/${entry.name}`, 20)
  }),
  store('what was learnt of the link', (dir) => writeFileSync(`${dir}/links.json`, '{"roundTrip":1e999}')),
  store('the diary', (dir) => writeFileSync(`${dir}/attempts`, '\u001b[2J'.repeat(10_000))),
  store('temporary files of others', (dir) => {
    writeFileSync(`${dir}/.state.json.1.0.tmp`, 'x')
    mkdirSync(`${dir}/.evidence`, { recursive: true })
    writeFileSync(`${dir}/.evidence/x`, 'x')
  }),
  {
    kind: 'changed between check and use',
    what: 'the slot that seeds come from, changed after it was installed',
    code: 'none',
    poison: (arena, home) => {
      const path = arena.path(home, 'a/squashfs')
      const bytes = readFileSync(path)
      for (let at = 0; at < bytes.length; at += 997) bytes[at] = (bytes[at] ?? 0) ^ 0xff
      writeFileSync(path, bytes)
    },
  },
  {
    kind: 'symlink swapped in',
    what: 'a link in the place of the kernel of the slot that is written',
    code: 'none',
    poison: (arena, home) => {
      rmSync(arena.path(home, 'a/kernel'))
      symlinkSync('../b/kernel', arena.path(home, 'a/kernel'))
    },
  },
  {
    kind: 'symlink swapped in',
    what: 'a link in the place of the manifest of the slot that is written',
    code: 'none',
    poison: (arena, home) => {
      rmSync(arena.path(home, 'a/manifest'))
      symlinkSync('../b/manifest', arena.path(home, 'a/manifest'))
    },
  },
]
