import { describe, expect, it } from 'vitest'
import { comparePaths, type Entry, SortedEntries, sharedPath } from '../../core/mod.ts'

const paths = ['/a', '/a-b', '/a/b', '/a/b/c', '/b', '/é', '/\uffff', '/\u{1f600}'].sort(comparePaths)
const entry = (path: string) => ({ path }) as Entry
const all = paths.map(entry)

describe('entries in the order of their paths', () => {
  it('are found whatever was asked for before', () => {
    const sorted = new SortedEntries(all)
    for (const first of [...paths, '/', '/c'])
      for (const path of paths) {
        sorted.get(first)
        expect(sorted.get(path)?.path).toBe(path)
      }
  })

  it('are not found where there is none of that path', () => {
    const sorted = new SortedEntries(all)
    for (const path of ['/', '/a/', '/a/b/c/d', '/zz', '/\u{1f601}', '']) expect(sorted.has(path)).toBe(false)
    expect(new SortedEntries([]).get('/a')).toBeUndefined()
  })

  it('answer which of them others have not, for every choice of both', () => {
    const chosen = (bits: number) => all.filter((_, at) => (bits >> at) & 1)
    const wrong: string[] = []
    for (let one = 0; one < 256; one++)
      for (let two = 0; two < 256; two++) {
        const left = new SortedEntries(chosen(one)).without(chosen(two).map(({ path }) => entry(path)))
        const wanted = chosen(one & ~two)
        if (left.length !== wanted.length || left.some((found, at) => found !== wanted[at])) wrong.push(`${one} without ${two}`)
      }
    expect(wrong).toEqual([])
    expect(new SortedEntries(all).without(chosen(0b10101010))).toEqual(chosen(0b01010101))
    expect(new SortedEntries(all).without(all)).toEqual([])
  })

  it('answer whether something lies below a path', () => {
    const sorted = new SortedEntries(all)
    expect(sorted.below('/a')?.path).toBe('/a/b')
    expect(sorted.below('/a/b')?.path).toBe('/a/b/c')
    for (const path of ['/a/b/c', '/a-b', '/b', '/z']) expect(sorted.below(path)).toBeUndefined()
  })
})

describe('two releases for one root', () => {
  const folder = (path: string, mod = 0o40755) => ({ path, mod, uid: 0, gid: 0 }) as Entry
  const file = (path: string) => ({ path, mod: 0o100644, uid: 0, gid: 0 }) as Entry

  it('may have the same folders', () => {
    expect(sharedPath([folder('/usr'), file('/usr/a')], [folder('/usr'), file('/usr/b')])).toBeUndefined()
    expect(sharedPath([folder('/usr')], [folder('/usr', 0o40700)])).toBe('/usr')
  })

  it('may not have the same file, nor one what lies below a file of the other', () => {
    expect(sharedPath([file('/usr/a')], [file('/usr/a')])).toBe('/usr/a')
    expect(sharedPath([file('/opt/x')], [file('/opt/x/y')])).toBe('/opt/x')
    expect(sharedPath([file('/opt/x/y')], [file('/opt/x')])).toBe('/opt/x')
    expect(sharedPath([file('/opt/x-y')], [file('/opt/x')])).toBeUndefined()
  })
})
