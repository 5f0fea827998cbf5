import { describe, expect, test } from 'vitest'
import {
  cidOf,
  digestOf,
  documents,
  parseCid,
  parseName,
  parsePath,
  parseSerial,
  parseTime,
  pathTwin,
  shardOf,
  visible,
} from '../../core/mod.ts'

const empty = Uint8Array.from(Buffer.from('af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262', 'hex'))
const malformed = expect.objectContaining({ code: 'malformed' })

describe('a CID', () => {
  test('of no bytes is the one everybody else computes', () => {
    expect(cidOf(empty)).toBe('bafkr4ifpcne3t5pzugtkaqcn5i3nzskjtpfslsnnyejlpte2spfoihzsmi')
  })
  test('reads back to the same digest, and sits in the folder of the two characters before its last', () => {
    const cid = parseCid(cidOf(empty))
    expect(Buffer.from(digestOf(cid))).toEqual(Buffer.from(empty))
    expect(shardOf(cid)).toBe('sm')
  })
  test.each([
    '',
    'bafkr4i',
    'BAFKR4IFPCNE3T5PZUGTKAQCN5I3NZSKJTPFSLSNNYEJLPTE2SPFOIHZSMI',
    'bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku',
    'bafkr4ifpcne3t5pzugtkaqcn5i3nzskjtpfslsnnyejlptevspfoihzsmj',
  ])('is refused when it is %j', (text) => expect(() => parseCid(text)).toThrow(malformed))
})

describe('names and paths', () => {
  test('good ones come back as they are', () => {
    expect(parseName('base-system', 'product')).toBe('base-system')
    expect(parsePath('/boot/kernel')).toBe('/boot/kernel')
    expect(documents.manifestSignature('os', 17)).toBe('manifests/os/17.minisig')
  })
  test.each(['', '.', '..', 'Os', '-os', 'a/b', 'a'.repeat(65), 'ö'])('the name %j is refused', (name) =>
    expect(() => parseName(name, 'product')).toThrow(malformed),
  )
  test.each(['', 'kernel', '/', '//a', '/a/', '/a/../b', '/./a', '/a\nb', '/a\u202eb', `/${'a'.repeat(256)}`, `/${'a/'.repeat(32)}a`])(
    'the path %j is refused',
    (path) => expect(() => parsePath(path)).toThrow(malformed),
  )
  test('paths that a file system may take for one are twins', () => {
    expect(pathTwin('/A\u0308')).toBe(pathTwin('/ä'))
  })
  test.each([0, -1, 1.5, 2 ** 53, Number.NaN])('the serial %d is refused', (serial) => expect(() => parseSerial(serial)).toThrow(malformed))
  test.each(['never', '2026-11-23', '2026-11-23T10:15:00', '2026-02-30T10:15:00Z', '2026-11-23T24:00:00Z', '2026-11-23T10:15:00.5Z'])(
    'the time %j is refused',
    (time) => expect(() => parseTime(time)).toThrow(malformed),
  )
  test('text from outside cannot steer a terminal', () => {
    expect(visible('a\u001b[31mb\u202ec')).toBe('a\\u{1b}[31mb\\u{202e}c')
  })
})
