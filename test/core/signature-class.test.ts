// Our own Ed25519 vectors leave out no class that the published sets have, and are of the classes they say.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { cctv, isPublishedHere, speccheck, wycheproof } from './published.ts'
import { classOf, mustHold } from './signature-class.ts'

const folder = join(import.meta.dirname, '../../spec/vectors/ed25519')
const hex = (text: string) => Uint8Array.from(Buffer.from(text, 'hex'))
type Case = { what: string; publicKey: string; message: string; signature: string; expect: 'ok' | 'untrusted' }
const own = readdirSync(folder).map((name) => {
  const { what, publicKey, message, signature, expect: expected } = JSON.parse(readFileSync(join(folder, name), 'utf8')) as Case
  return { name, what, expected, publicKey: hex(publicKey), message: hex(message), signature: hex(signature) }
})

describe('our own vectors', () => {
  test.each(own)('$name is of the class it says, and what it expects follows from that', (vector) => {
    if (vector.what.includes('; the equation ')) expect(classOf(vector)).toBe(vector.what)
    expect(vector.expected).toBe(mustHold(vector) ? 'ok' : 'untrusted')
  })
})

describe.skipIf(!isPublishedHere)('the published sets', () => {
  test('have no class that our own vectors have not', () => {
    const ours = new Set(own.map(classOf))
    const published = new Set([...wycheproof(), ...speccheck(), ...cctv()].map(classOf))
    expect([...published].filter((each) => !ours.has(each))).toEqual([])
    expect(published.size).toBe(65)
  })
})
