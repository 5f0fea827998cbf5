// Forty kinds of attack, each in every form we could think of: refused with its code, nothing changed, nothing printed raw, nothing wasted, and the next good sync works.
import { rmSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Arena, type Mode } from './arena.ts'
import type { Attack } from './attack.ts'
import { contentAttacks } from './content.ts'
import { documentAttacks } from './documents.ts'
import { nodeAttacks } from './nodes.ts'
import { rootAttacks } from './roots.ts'
import { transportAttacks } from './transport.ts'

const all: readonly Attack[] = [...documentAttacks, ...contentAttacks, ...rootAttacks, ...nodeAttacks, ...transportAttacks]

// biome-ignore lint/suspicious/noControlCharactersInRegex: none may be printed
const control = /[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/

test('there are two hundred and more', () => {
  expect(all.reduce((sum, { modes }) => sum + (modes?.length ?? 2), 0)).toBeGreaterThanOrEqual(200)
})

describe.each<Mode>(['key', 'root'])('a node that trusts a %s', (mode) => {
  const arena = new Arena(mode)
  let count = 0
  beforeAll(() => arena.build(), 60_000)
  afterAll(() => arena.close())

  test.each(all.filter(({ modes }) => modes?.includes(mode) ?? true).map((attack) => [`${attack.kind}: ${attack.what}`, attack] as const))(
    '%s',
    async (_, attack) => {
      const { bend, poison, stage, code, bytes = 1_000_000, seconds = 6, clock = 0 } = attack
      // a case that is not done in time must not stand in the way of the others
      const home = `node${count++}`
      arena.fresh(home)
      poison?.(arena, home)
      const files = new Map(arena.good)
      const answer = bend?.(arena, files) ?? arena.serve(files)
      const trusted = (): string => {
        try {
          return arena.trusted(home)
        } catch {
          return 'unreadable'
        }
      }
      const before = {
        trusted: trusted(),
        b: arena.snapshot(home, 'b'),
        a: arena.snapshot(home, 'a'),
        esp: arena.snapshot(home, 'esp'),
        others: arena.snapshot('template'),
      }
      arena.now += clock
      const outcome = await arena.attack(home, answer).finally(() => void (arena.now -= clock))

      expect(outcome, outcome.message).toMatchObject({ code })
      expect(outcome.message).not.toMatch(control)
      if (code !== 'none') {
        expect(arena.snapshot(home, 'b')).toBe(before.b)
        expect(arena.snapshot(home, 'esp')).toBe(before.esp)
        if (stage === undefined) {
          expect(arena.snapshot(home, 'a')).toBe(before.a)
          expect(trusted()).toBe(before.trusted)
        }
      }
      expect(arena.snapshot('template')).toBe(before.others)
      expect(outcome.sent).toBeLessThan(bytes)
      expect(outcome.milliseconds).toBeLessThan(seconds * 1000)

      // and nothing of it stays
      attack.mend?.(arena, home)
      const good = await arena.attack(home, arena.serve(arena.later))
      expect(good, good.message).toMatchObject({ code: attack.isLasting === true ? code : 'none' })
      rmSync(arena.path(home), { recursive: true, force: true })
    },
    30_000,
  )
})
