// Two hundred files from nothing to 5 GB, signed and verified both ways.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { allSizes, BothWays } from './both-ways.ts'

const both = new BothWays()
beforeAll(() => both.begin())
afterAll(() => both.close())

test('there are two hundred, and they go up to 5 GB', () => {
  expect(allSizes()).toHaveLength(200)
  expect(allSizes().at(-1)).toBe(5_000_000_000)
})

test.each(allSizes())('%d bytes, signed by psyblob, are believed by minisign, and the other way round', async (size) => {
  await both.try(size)
})

test('with keys that a password protects, made by either', async () => {
  const sealed = new BothWays()
  await sealed.trySealed().finally(() => sealed.close())
})
