// Every attack, on a node that trusts one key.
import { expect, test } from 'vitest'
import { caseCount, tryAttacks } from './trial.ts'

test('there are five hundred and more', () => {
  expect(caseCount).toBeGreaterThanOrEqual(500)
})

tryAttacks('key')
