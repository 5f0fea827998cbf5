// Every parser against what was once found in it, what it is known by, and some inputs that nobody wrote, the same ones each time. More of them: npm run fuzz.
import { beforeAll, describe, expect, test } from 'vitest'
import { corpusFolders, corpusOf } from './corpus.ts'
import { Hunt } from './hunt.ts'
import { utf8 } from './seeds.ts'
import { budget, judge, type Target } from './target.ts'
import { targets } from './targets.ts'

/** Tests run beside others, and beside other work on the machine. */
const patient = { ...budget, milliseconds: 5 * budget.milliseconds }
const inputs = 150
const seed = 1

test('the corpus is of parsers that there are', () => {
  const names = targets.map(({ name }) => name)
  expect(new Set(names).size).toBe(names.length)
  expect(corpusFolders().filter((folder) => !names.includes(folder))).toEqual([])
})

/** Was found once, and shows only when there is much of it. */
const long: readonly (readonly [string, string])[] = [
  ['cid', 'z'.repeat(60_000)],
  ['cid', 'k'.repeat(60_000)],
  ['address', `s3:${'//'.repeat(25_000)}`],
]

test.each(long)('the parser of %s stands what is long', async (name, text) => {
  const target = targets.find((one) => one.name === name)
  expect(target).toBeDefined()
  if (target !== undefined) expect((await judge(target, utf8(text), patient)).finding).toBeUndefined()
})

describe.each(targets.map((target) => [target.name, target] as const))('the parser of %s', (name, target: Target) => {
  const corpus = corpusOf(name)
  // what a parser loads when it is first used is not the first input's
  beforeAll(async () => {
    for (const input of await target.seeds()) await judge(target, input)
  })

  test.runIf(corpus.length > 0).each(corpus.map(({ name, input }) => [name, input] as const))('stands the input %s', async (_, input) => {
    expect(input.length).toBeLessThanOrEqual(4096)
    expect((await judge(target, input, patient)).finding).toBeUndefined()
  })

  test('stands what nobody wrote, and tells it apart', async () => {
    const hunt = await Hunt.of(target, { seed, budget: patient })
    const found: string[] = []
    while (hunt.executions < inputs) {
      const finding = await hunt.step()
      if (finding !== undefined) found.push(`${finding.what}: ${Buffer.from(finding.input.subarray(0, 300)).toString('base64')}`)
    }
    expect(found).toEqual([])
    expect(hunt.kinds).toBeGreaterThan(1)
    expect(hunt.isAnyRead).toBe(true)
    // its time is the processor's: others may keep it
  }, 300_000)
})
