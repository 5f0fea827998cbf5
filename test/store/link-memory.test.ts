import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { rememberedLink, rememberLink } from '../../store/link-memory.ts'
import { temporaryFolder } from '../fixtures/repository.ts'

let dir: string
let remove: () => Promise<void>
beforeEach(async () => {
  ;({ dir, remove } = await temporaryFolder())
})
afterEach(() => remove())

const far = { roundTrip: 80.4, bandwidth: 11_000_000 }

test('a link is remembered by its remotes, and by nothing else', async () => {
  expect(await rememberedLink(dir, 'https://a/')).toBeUndefined()
  await rememberLink(dir, 'https://a/', far)
  expect(await rememberedLink(dir, 'https://a/')).toEqual(far)
  expect(await rememberedLink(dir, 'https://b/')).toBeUndefined()
})

test('what changes no plan is not written', async () => {
  await rememberLink(dir, 'https://a/', far)
  const before = await readFile(join(dir, 'links.json'))
  await rememberLink(dir, 'https://a/', { roundTrip: 78, bandwidth: 12_000_000 })
  expect(await readFile(join(dir, 'links.json'))).toEqual(before)
  await rememberLink(dir, 'https://a/', { roundTrip: 20, bandwidth: 12_000_000 })
  expect(await rememberedLink(dir, 'https://a/')).toEqual({ roundTrip: 20, bandwidth: 12_000_000 })
})

test('the last sixteen are kept', async () => {
  for (let at = 0; at < 20; at++) await rememberLink(dir, `https://host${at}/`, far)
  expect(await rememberedLink(dir, 'https://host3/')).toBeUndefined()
  expect(await rememberedLink(dir, 'https://host4/')).toEqual(far)
})

test.each(['', 'garbage', '{"psyblob":"links/1","links":{"https://a/":{"roundTrip":-1,"bandwidth":2}}}', `"${'x'.repeat(70_000)}"`])(
  'a memory that cannot be read is forgotten, and written anew',
  async (text) => {
    await writeFile(join(dir, 'links.json'), text)
    expect(await rememberedLink(dir, 'https://a/')).toBeUndefined()
    await rememberLink(dir, 'https://a/', far)
    expect(await rememberedLink(dir, 'https://a/')).toEqual(far)
  },
)
