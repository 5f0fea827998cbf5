// Forty kinds of attack, each in every form we could think of: refused with its code, nothing changed, nothing printed raw, nothing wasted, and the next good sync works.
import { rmSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Arena, type Mode } from './arena.ts'
import type { Attack } from './attack.ts'
import { contentAttacks } from './content.ts'
import { documentAttacks } from './documents.ts'
import { peakOf, standing } from './memory.ts'
import { nodeAttacks } from './nodes.ts'
import { packedAttacks } from './packed.ts'
import { rootAttacks } from './roots.ts'
import { transportAttacks } from './transport.ts'

const all: readonly Attack[] = [
  ...documentAttacks,
  ...contentAttacks,
  ...packedAttacks,
  ...rootAttacks,
  ...nodeAttacks,
  ...transportAttacks,
]

// biome-ignore lint/suspicious/noControlCharactersInRegex: none may be printed
const control = /[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/

/** How many cases there are for nodes of both kinds. */
export const caseCount = all.reduce((sum, { modes }) => sum + (modes?.length ?? 2), 0)

/** Tries all of them on nodes that trust a key, or a root. */
export function tryAttacks(mode: Mode): void {
  const arena = new Arena(mode)
  let count = 0
  let stood = 0
  beforeAll(async () => {
    await arena.build()
    stood = standing()
  }, 60_000)
  afterAll(() => arena.close())

  test.each(all.filter(({ modes }) => modes?.includes(mode) ?? true).map((attack) => [`${attack.kind}: ${attack.what}`, attack] as const))(
    '%s',
    async (_, attack) => {
      const { bend, poison, stage, code, through, bytes = 1_000_000, seconds = 6, memory = 64_000_000, clock = 0 } = attack
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
      const untouched = {
        trusted: trusted(),
        b: arena.snapshot(home, 'b'),
        a: arena.snapshot(home, 'a'),
        esp: arena.snapshot(home, 'esp'),
        others: arena.snapshot('template'),
      }
      arena.now += clock
      const { result: outcome, peak } = await peakOf(() => arena.attack(home, answer, through)).finally(() => void (arena.now -= clock))

      expect(outcome, outcome.message).toMatchObject({ code })
      expect(outcome.message).not.toMatch(control)
      if (code !== 'none') {
        expect(arena.snapshot(home, 'b')).toBe(untouched.b)
        expect(arena.snapshot(home, 'esp')).toBe(untouched.esp)
        if (stage === undefined) {
          expect(arena.snapshot(home, 'a')).toBe(untouched.a)
          expect(trusted()).toBe(untouched.trusted)
        }
      }
      expect(arena.snapshot('template')).toBe(untouched.others)
      expect(outcome.sent).toBeLessThan(bytes)
      expect(peak - stood).toBeLessThan(memory)
      expect(outcome.milliseconds).toBeLessThan(seconds * 1000)

      // and nothing of it stays
      attack.mend?.(arena, home)
      const good = await arena.attack(home, arena.serve(arena.later))
      expect(good, good.message).toMatchObject({ code: attack.isLasting === true ? code : 'none' })
      rmSync(arena.path(home), { recursive: true, force: true })
    },
    30_000,
  )
}
