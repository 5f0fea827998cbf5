import { describe, expect, test } from 'vitest'
import { guarded, isNear, type Lookup, parseBase } from '../../../store/remotes/address.ts'

describe('addresses of this machine and its link', () => {
  test.each([
    '127.0.0.1',
    '127.8.9.1',
    '0.0.0.0',
    '169.254.169.254',
    '[::1]',
    '::1',
    '[::]',
    '[fe80::1]',
    '[::ffff:7f00:1]',
    '[::ffff:169.254.169.254]',
    '[fd00:ec2::254]',
    'localhost',
    'LOCALHOST.',
    'a.localhost',
  ])('%s is one', (host) => {
    expect(isNear(host)).toBe(true)
  })

  test.each(['192.168.1.1', '10.0.0.1', '8.8.8.8', '[2001:db8::1]', 'os.example', 'localhost.example', '127.0.0.1.example'])(
    '%s is none',
    (host) => {
      expect(isNear(host)).toBe(false)
    },
  )
})

test('a name is refused when any of its addresses is such a one', async () => {
  const answers: Readonly<Record<string, string[]>> = { good: ['192.0.2.1'], mixed: ['192.0.2.1', '127.0.0.1'], bad: ['::1'] }
  const lookup: Lookup = (host, _, done) =>
    done(
      null,
      (answers[host] ?? []).map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    )
  const ask = (host: string) => new Promise((done) => guarded(lookup)(host, { all: true }, (error) => done(error?.message ?? 'fine')))
  expect(await ask('good')).toBe('fine')
  expect(await ask('mixed')).toMatch(/^a redirect to mixed, /)
  expect(await ask('bad')).toMatch(/^a redirect to bad, /)
})

test('an address gives its folder and, apart from it, its credentials', () => {
  expect(parseBase('https://me:p%40ss@os.example/repo')).toEqual({
    base: new URL('https://os.example/repo/'),
    authorization: `Basic ${Buffer.from('me:p@ss').toString('base64')}`,
  })
  expect(parseBase('https://os.example').authorization).toBeUndefined()
})
