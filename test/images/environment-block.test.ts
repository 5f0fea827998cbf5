// GRUB's environment block, compared with what GRUB's own tool writes and reads.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { blockBytes, formatEnvironment, parseEnvironment, sectorBytes } from '../../images/environment-block.ts'
import { openRun } from '../../images/run.ts'

let dir: string
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'psyblob-block-'))
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const run = openRun(() => undefined)
const grubEditenv = async (...args: readonly string[]) => (await run(['grub-editenv', ...args])).stdout.toString()
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1')
const block = (content: string) => new Uint8Array(Buffer.from(content.padEnd(blockBytes, '#'), 'latin1'))
const header = '# GRUB Environment Block\n'

describe('an environment block', () => {
  test('is what grub-editenv lists', async () => {
    const path = join(dir, 'ours')
    writeFileSync(path, formatEnvironment({ seq: '1000000001', order: 'ab', good: '', commit: '1000000001' }))
    expect((await grubEditenv(path, 'list')).trimEnd()).toBe('seq=1000000001\norder=ab\ngood=\ncommit=1000000001')
  })

  test('written by grub-editenv is read, and written again byte for byte', async () => {
    const path = join(dir, 'theirs')
    await grubEditenv(path, 'create')
    await grubEditenv(path, 'set', 'tries_for=1000000001', 'tries=2')
    const bytes = readFileSync(path)
    expect(Object.fromEntries(parseEnvironment(bytes) ?? [])).toEqual({ tries_for: '1000000001', tries: '2' })
    expect(text(formatEnvironment({ tries_for: '1000000001', tries: '2' }))).toBe(
      text(bytes)
        .replace(/# WARNING[^\n]*\n/, '')
        .padEnd(blockBytes, '#'),
    )
  })

  test('comes back as it was, variables in their order, all in the first sector', () => {
    const name = fc.stringMatching(/^[a-z_]{1,12}$/)
    const value = fc.stringMatching(/^[0-9a-z]{0,12}$/)
    fc.assert(
      fc.property(fc.uniqueArray(fc.tuple(name, value), { selector: ([key]) => key, maxLength: 10 }), (pairs) => {
        const bytes = formatEnvironment(Object.fromEntries(pairs))
        expect(bytes.length).toBe(blockBytes)
        expect(text(bytes).slice(sectorBytes)).toMatch(/^#+$/)
        expect([...(parseEnvironment(bytes) ?? [])]).toEqual(pairs)
      }),
    )
  })

  test('that would not fit into one sector is never made', () => {
    expect(() => formatEnvironment({ long: 'x'.repeat(sectorBytes) })).toThrow(RangeError)
  })

  test.each([
    ['a byte short', block('').subarray(1)],
    ['a byte long', new Uint8Array([...block(header), 0x23])],
    ['without its first line', block('seq=1\n')],
    ['with carriage returns', block(header.replace('\n', '\r\n'))],
    ['with a name twice', block(`${header}seq=1\nseq=1\n`)],
    ['with a line that is no variable', block(`${header}seq\n`)],
    ['with an empty name', block(`${header}=1\n`)],
    ['with something in its filling', block(`${header}seq=1\n###x`)],
    ['of zeros', new Uint8Array(blockBytes)],
    ['of nothing', new Uint8Array()],
  ])('%s is none', (_, bytes) => {
    expect(parseEnvironment(bytes)).toBeUndefined()
  })

  test('of any bytes at all is read or refused, never thrown at', () => {
    fc.assert(fc.property(fc.uint8Array({ minLength: blockBytes, maxLength: blockBytes }), (bytes) => void parseEnvironment(bytes)))
    fc.assert(fc.property(fc.string({ maxLength: 900 }), (content) => void parseEnvironment(block(header + content))))
  })
})
