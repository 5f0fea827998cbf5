// The diary of a node: what is counted, what is written when, what is forgotten.
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { addAttempt, readAttempts } from '../../store/attempts.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'psyblob-attempts-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const at = (hours: number) => new Date(Date.UTC(2026, 0, 1, hours)).toISOString().replace('.000', '')
const failed = (hours: number, message = 'no network') =>
  addAttempt(dir, { at: at(hours), what: 'sync', result: 'failed', product: 'os', message })
const inode = () => statSync(join(dir, 'attempts')).ino

describe('the same again and again', () => {
  test('is written once a day by a process that goes on, and counted in full', async () => {
    await failed(0)
    const before = inode()
    for (let hours = 1; hours < 24; hours++) await failed(hours)
    expect(inode()).toBe(before)
    expect(await readAttempts(dir)).toHaveLength(1)
    await failed(24)
    expect(inode()).not.toBe(before)
    expect(await readAttempts(dir)).toMatchObject([{ at: at(0), count: 25, last: at(24) }])
  })

  test('is counted in full also when something else follows', async () => {
    for (let hours = 0; hours < 5; hours++) await failed(hours)
    await failed(5, 'untrusted')
    expect(await readAttempts(dir)).toMatchObject([
      { at: at(0), count: 5, last: at(4) },
      { at: at(5), message: 'untrusted' },
    ])
  })

  test('of another product is another thing', async () => {
    await failed(0)
    await addAttempt(dir, { at: at(1), what: 'sync', result: 'failed', product: 'efisys', message: 'no network' })
    await failed(2)
    await failed(25)
    expect(await readAttempts(dir)).toMatchObject([{ product: 'os', count: 3, last: at(25) }, { product: 'efisys' }])
  })
})

test('a boot is told once for each product', async () => {
  const boot = (product: string, boot: string) => addAttempt(dir, { at: at(0), what: 'boot', result: 'ok', product, boot })
  expect([await boot('os', 'x'), await boot('os', 'x'), await boot('apps', 'x'), await boot('os', 'y')].map(({ isNew }) => isNew)).toEqual([
    true,
    false,
    true,
    true,
  ])
  expect(await readAttempts(dir)).toHaveLength(3)
})

test('the last 200 lines are kept, and long texts are cut', async () => {
  for (let hours = 0; hours < 205; hours++) await failed(hours, `${hours} ${'x'.repeat(1000)}`)
  const all = await readAttempts(dir)
  expect([all.length, all[0]?.at, all.at(-1)?.message?.length]).toEqual([200, at(5), 400])
  expect(readFileSync(join(dir, 'attempts'), 'utf8').endsWith('}\n')).toBe(true)
})
