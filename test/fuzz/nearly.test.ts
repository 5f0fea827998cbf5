// Documents made from parts that are right, or nearly: what a writer makes of them is read as it was meant, and what cannot be meant is refused as malformed.
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  cidOf,
  formatManifest,
  formatPointer,
  formatRoot,
  isPsyblobError,
  parseComposition,
  parseManifest,
  parsePointer,
  parseRoot,
} from '../../core/mod.ts'
import { keyNumber } from './keys.ts'

/** The same documents every time. */
const runs = { numRuns: 150, seed: 20 }
let accepted = 0
beforeEach(() => {
  accepted = 0
})
// what is always refused tests nothing
afterEach(() => expect(accepted).toBeGreaterThan(runs.numRuns / 15))

/** Undefined for what is refused. */
function unlessRefused<Result>(work: () => Result): Result | undefined {
  try {
    const result = work()
    accepted++
    return result
  } catch (error) {
    if (isPsyblobError(error, 'malformed')) return undefined
    throw error
  }
}

const cid = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(cidOf)
const odd = ['__proto__', 'constructor', '7', 'blob', 'Os', '', 'o s', 'os\n', '*']
const name = fc.oneof({ weight: 30, arbitrary: fc.stringMatching(/^[a-z0-9][a-z0-9._-]{0,63}$/) }, fc.constantFrom(...odd))
const serial = fc.oneof({ weight: 20, arbitrary: fc.integer({ min: 1 }) }, fc.constantFrom(0, -1, 0.5, 2 ** 53 - 1, 2 ** 53))
const time = fc
  .date({ min: new Date(0), max: new Date('9999-12-31'), noInvalidDate: true })
  .map((at) => `${at.toISOString().slice(0, 19)}Z`)
const later = '9999-12-31T23:59:59Z'
const size = fc.oneof({ weight: 20, arbitrary: fc.nat() }, fc.constantFrom(2 ** 43, 2 ** 43 + 1, -1))
/** As many as do not make every document one that is refused. */
const few = { maxKeys: 3, noNullPrototype: true }

describe('what a writer makes', () => {
  test('of a manifest is read as it was meant', () => {
    const segment = fc.oneof(
      { weight: 20, arbitrary: fc.stringMatching(/^[A-Za-z0-9 ._äÄßſK-]{1,9}$/) },
      fc.constantFrom('.', '..', '', '\\', '\u202e', 'a\u0301'),
    )
    const path = fc.array(segment, { minLength: 1, maxLength: 3 }).map((segments) => `/${segments.join('/')}`)
    const common = { path, uid: fc.nat(), gid: fc.nat(), licence: fc.option(fc.string()), ccs: fc.constant(null) }
    const mode = (type: number) => fc.integer({ min: 0, max: 0o7777 }).map((bits) => type + bits)
    const bin = fc.record({ cid, size, index: fc.record({ cid, size }) }, { requiredKeys: ['cid', 'size'] })
    const nothing = { bin: fc.constant(null), target: fc.constant(null) }
    const record = fc.oneof(
      fc.record({ ...common, ...nothing, role: fc.constantFrom('file', 'kernel', 'squashfs'), mod: mode(0o100000), bin }),
      fc.record({ ...common, ...nothing, role: fc.constant('file'), mod: mode(0o40000) }),
      fc.record({ ...common, ...nothing, role: fc.constant('file'), mod: mode(0o120000), target: fc.string({ minLength: 1 }) }),
    ) as fc.Arbitrary<Parameters<typeof formatManifest>[0]['records'][number]>
    const content = fc.record({
      ...{
        repo: name,
        name,
        compat: name,
        desc: fc.string({ unit: 'grapheme' }),
        serial,
        version: fc.string({ minLength: 1 }),
        created: time,
      },
      ...{
        previous: fc.option(cid),
        key: fc.option(fc.string()),
        remotes: fc.array(fc.webUrl(), { maxLength: 17 }),
        'post-exec': fc.constant(null),
      },
      records: fc.array(record, { minLength: 1, maxLength: 6 }),
    })
    fc.assert(
      fc.property(content, (meant) => {
        const body = unlessRefused(() => formatManifest(meant))
        if (body === undefined) return
        const { psyblob: _, entries, size: __, records, ...rest } = parseManifest(body, 'manifest')
        const { records: meantRecords, ...meantRest } = meant
        expect(rest).toEqual(meantRest)
        expect(entries).toBe(meantRecords.length)
        expect(new Set(records.map((one) => JSON.stringify(one)))).toEqual(new Set(meantRecords.map((one) => JSON.stringify(inOrder(one)))))
        expect(Buffer.from(formatManifest({ ...rest, records }))).toEqual(Buffer.from(body))
      }),
      runs,
    )
  }, 300_000)

  test('of a pointer is read as it was meant', () => {
    const release = fc.record({ serial, manifest: cid, size: fc.integer({ min: 1, max: 2 ** 24 }) })
    const content = fc.record({
      ...{ repo: name, channel: name, version: serial, issued: time, expires: fc.constant(later), root: fc.nat() },
      products: fc.dictionary(name, release, few),
    })
    fc.assert(
      fc.property(content, (meant) => {
        const body = unlessRefused(() => formatPointer(meant))
        if (body !== undefined) expect(parsePointer(body)).toEqual({ psyblob: 'pointer/1', ...meant })
      }),
      runs,
    )
  })

  test('of a root is read as it was meant', () => {
    const keys = [1, 2, 3, 4].map((number) => keyNumber(number).publicKey)
    const role = fc.record({ threshold: fc.integer({ min: 0, max: 3 }), keys: fc.subarray(keys, { minLength: 2 }) })
    const content = fc.record({
      ...{ repo: name, version: serial, issued: time, expires: fc.constant(later), revoked: fc.array(cid, { maxLength: 4 }) },
      floors: fc.dictionary(name, serial, few),
      roles: fc.record({ root: role, release: fc.dictionary(name, role, few), pointer: fc.dictionary(name, role, few) }),
    })
    fc.assert(
      fc.property(content, (meant) => {
        const body = unlessRefused(() => formatRoot(meant))
        if (body !== undefined) expect(parseRoot(body)).toEqual({ psyblob: 'root/1', ...meant, revoked: [...meant.revoked].sort() })
      }),
      runs,
    )
  })
})

test('a composition, however it is spaced, is read as it was meant or refused', () => {
  const place = fc.oneof(fc.record({ dir: fc.string() }), fc.record({ device: fc.string() }), fc.record({ label: fc.string() }))
  const places = { a: place, b: place, esp: place }
  const target = fc.oneof(
    fc.record({ kind: fc.constant('slots'), ...places }, { requiredKeys: ['kind'] }),
    fc.record({ kind: fc.constant('esp'), esp: place }, { requiredKeys: ['kind'] }),
    fc.record({ kind: fc.constantFrom('tree', 'disk'), root: fc.string() }),
  )
  const optional = { repo: name, compat: name, 'post-exec': fc.boolean() }
  const component = fc.record(
    { name, key: fc.string({ minLength: 1 }), uris: fc.array(fc.string(), { maxLength: 3 }), channel: name, target, ...optional },
    { requiredKeys: ['name', 'key', 'uris', 'channel', 'target'] },
  )
  const spaces = fc.constantFrom('', ' ', '\t', ' \r')
  fc.assert(
    fc.property(fc.array(component, { minLength: 1, maxLength: 3 }), spaces, (components, space) => {
      const lines = components.map((one) => JSON.stringify(one).replace(/^\{/, `${space}{${space}`))
      const read = unlessRefused(() => parseComposition(lines.join('\n\n'), 'composition'))
      if (read !== undefined) expect(read).toEqual(components)
    }),
    runs,
  )
})

function inOrder({ path, role, mod, uid, gid, target, licence, bin, ccs }: Parameters<typeof formatManifest>[0]['records'][number]) {
  return { path, role, mod, uid, gid, target, licence, bin, ccs }
}
