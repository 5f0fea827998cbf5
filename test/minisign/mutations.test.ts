// A hundred thousand mutated signatures: none is accepted that the real minisign refuses.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Stock } from './stock.ts'
import { tryMutations } from './trial.ts'

test('of a hundred thousand mutated signatures none is accepted that minisign refuses', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'psyblob-mutations-'))
  try {
    const { byChange, ...verdicts } = await tryMutations(dir, new Stock(dir), { count: 100_000, sample: 2000 })
    console.log(JSON.stringify(verdicts))
    console.log(JSON.stringify(byChange, null, 1))
    expect(verdicts).toMatchObject({ judged: 100_000, wrong: [] })
    expect(verdicts.accepted).toBeGreaterThan(5000)
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
})
