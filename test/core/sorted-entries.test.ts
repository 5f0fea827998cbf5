import { describe, expect, it } from 'vitest'
import { comparePaths, type Entry, SortedEntries } from '../../core/mod.ts'

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
})
