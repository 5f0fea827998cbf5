// Beside the real minisign, quickly: files up to a million bytes both ways, five thousand mutated signatures. All of it: npm run test:minisign.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { BothWays, quickSizes } from './both-ways.ts'
import { changes } from './mutator.ts'
import { Stock } from './stock.ts'
import { tryMutations } from './trial.ts'

describe('a file', () => {
  const both = new BothWays()
  beforeAll(() => both.begin())
  afterAll(() => both.close())

  test.each(quickSizes)('of %d bytes, signed by psyblob, is believed by minisign, and the other way round', async (size) => {
    await both.try(size)
  })
})

test('of five thousand mutated signatures none is accepted that minisign refuses', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'psyblob-mutations-'))
  try {
    const { byChange, ...verdicts } = await tryMutations(dir, new Stock(dir), { count: 5000, sample: 300 })
    expect(verdicts).toMatchObject({ judged: 5000, wrong: [] })
    // some are harmless, or nothing would have been compared
    expect(verdicts.accepted).toBeGreaterThan(250)
    expect(Object.keys(byChange).sort()).toEqual(Object.keys(changes).sort())
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
})
