// A thousand histories of the model; `npm run model` tries a hundred thousand.
import { expect, test } from 'vitest'
import { tryHistories } from './histories.ts'
import { rememberVerified } from './remembered.ts'

test('a thousand random histories of publishers, thieves, mirrors and clocks: no downgrade, no mix, no unknown key', async () => {
  rememberVerified()
  const { histories, codes, failure } = await tryHistories({ seed: 'every time the same', from: 0, count: 1000 })
  if (failure !== undefined) throw new Error(failure)
  expect(histories).toBe(1000)
  // a model that refuses or accepts everything would keep every promise
  expect(Object.keys(codes).sort()).toEqual(
    ['corrupt', 'expired', 'malformed', 'none', 'not-found', 'rollback', 'unavailable', 'untrusted'].sort(),
  )
  expect(codes['none']).toBeGreaterThan(2000)
}, 300_000)
