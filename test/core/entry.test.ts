// What an entry may be, by the schema and by the short cut through it; and the order of paths.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { CID as AnyCid } from 'multiformats/cid'
import { describe, expect, test } from 'vitest'
import { parseCid } from '../../core/cid.ts'
import { formatEntry, parseEntry } from '../../core/entry.ts'
import { isPsyblobError } from '../../core/errors.ts'
import { cidOf, comparePaths } from '../../core/mod.ts'
import { isPath, parsePath } from '../../core/names.ts'
import { utf8Length } from '../../core/utf8.ts'

const accepted = (work: () => unknown): boolean => {
  try {
    work()
    return true
  } catch (error) {
    if (!isPsyblobError(error, 'malformed')) throw error
    return false
  }
}

describe('a CID', () => {
  test('is read exactly when decoding and encoding it gives it back', () => {
    const strict = (text: string) => {
      try {
        const cid = AnyCid.parse(text)
        const again = cidOf(cid.multihash.digest)
        return cid.code === 0x55 && cid.multihash.code === 0x1e && again === text
      } catch {
        return false
      }
    }
    const digest = fc.uint8Array({ minLength: 32, maxLength: 32 })
    fc.assert(
      fc.property(digest, fc.nat(58), fc.constantFrom(...'abcdefghijklmnopqrstuvwxyz234567A01='), (bytes, at, letter) => {
        const cid = cidOf(bytes)
        const bent = cid.slice(0, at) + letter + cid.slice(at + 1)
        expect(accepted(() => parseCid(cid))).toBe(true)
        expect(accepted(() => parseCid(bent))).toBe(strict(bent))
      }),
      { numRuns: 2000 },
    )
  })
})

describe('a path', () => {
  test('that the short cut takes is one that the rules take', () => {
    const piece = fc.constantFrom('/', '.', '..', 'a', 'Z', '~', ' ', '\\', '\u0007', 'ä', '\u200b', 'x'.repeat(100), '/a'.repeat(31))
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        const path = pieces.join('')
        if (isPath(path)) expect(accepted(() => parsePath(path))).toBe(true)
        if (accepted(() => parsePath(path)) && /^[ -~]{0,255}$/.test(path)) expect(isPath(path)).toBe(true)
      }),
      { numRuns: 3000 },
    )
  })

  test('comes before another as its bytes do, in whatever planes they are', () => {
    const path = fc.string({
      unit: fc.constantFrom('a', '/', '-', 'é', '\ud7ff', '\ue000', '\uffff', '\u{10000}', '\u{10ffff}'),
      maxLength: 6,
    })
    fc.assert(
      fc.property(path, path, (one, two) => {
        expect(Math.sign(comparePaths(one, two))).toBe(Buffer.compare(Buffer.from(one), Buffer.from(two)))
        expect(utf8Length(one)).toBe(Buffer.byteLength(one))
      }),
      { numRuns: 3000 },
    )
  })
})

describe('an entry', () => {
  const cid = cidOf(new Uint8Array(32).fill(7))
  const good = { path: '/a', role: 'file', mod: 33188, uid: 0, gid: 0, target: null, licence: null, bin: { cid, size: 5 }, ccs: null }

  test('is refused by the short cut and the schema alike, whatever one field holds', () => {
    const odd = [
      -1,
      1.5,
      2 ** 53,
      2 ** 43 + 1,
      2 ** 32,
      '',
      'x',
      'x'.repeat(5000),
      '/..',
      {},
      [],
      null,
      true,
      { cid, size: 1, more: 1 },
      { cid },
    ]
    for (const name of Object.keys(good)) {
      for (const value of odd) {
        const line = JSON.stringify({ ...good, [name]: value })
        // one more field sends it to the schema, whose word counts; a patch is as good a way
        const slow = JSON.stringify({
          ...good,
          bin: { ...good.bin, patches: [] },
          [name]: name === 'bin' && typeof value === 'object' && value !== null ? { ...value, patches: [] } : value,
        })
        expect(`${name} ${line} ${accepted(() => parseEntry(line, 'it'))}`).toBe(
          `${name} ${line} ${accepted(() => parseEntry(slow, 'it'))}`,
        )
      }
    }
  })

  test('with as many indexes as there may be is taken, and with one more refused', () => {
    const nested = (levels: number): object => (levels === 0 ? { cid, size: 1 } : { cid, size: 1, index: nested(levels - 1) })
    for (const levels of [0, 1, 2, 3, 4])
      expect(accepted(() => parseEntry(JSON.stringify({ ...good, bin: nested(levels) }), 'it'))).toBe(levels < 4)
  })

  test('is written with its fields in the order of the chapter', () => {
    const { path, ...rest } = good
    expect(formatEntry(parseEntry(JSON.stringify({ ...rest, path }), 'it'))).toBe(JSON.stringify(good))
  })

  test('of every manifest among the vectors that may be read is read', () => {
    const folder = join(import.meta.dirname, '../../spec/vectors/manifest')
    for (const name of readdirSync(folder)) {
      const { text, expect: outcome } = JSON.parse(readFileSync(join(folder, name), 'utf8'))
      if (outcome === 'ok') for (const line of text.trimEnd().split('\n').slice(1)) parseEntry(line, name)
    }
  })
})
