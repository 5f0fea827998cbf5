import { describe, expect, it } from 'vitest'
import { Counterparts } from '../../core/counterparts.ts'

const among = (files: Readonly<Record<string, number>>) => new Counterparts(new Map(Object.entries(files)))

describe('the counterpart of a file', () => {
  it('is the one at the same path, whatever its size', () => {
    expect(among({ '/bin/a': 5, '/bin/b': 1000, '/usr/bin/a': 1000 }).of('/bin/a', 1000)).toBe('/bin/a')
  })

  it('is the one of another kernel before one whose other numbers differ', () => {
    const files = among({ '/lib/modules/6.1.0-17-amd64/kernel/fs/nls.ko': 10, '/lib/modules/6.1.0-17-arm64/kernel/fs/nls.ko': 900 })
    expect(files.of('/lib/modules/6.1.0-18-amd64/kernel/fs/nls.ko', 11)).toBe('/lib/modules/6.1.0-17-amd64/kernel/fs/nls.ko')
    // of several that fit as well the one that is nearest in size
    expect(files.of('/lib/modules/6.2.0-1-amd64/kernel/fs/nls.ko', 800)).toBe('/lib/modules/6.1.0-17-arm64/kernel/fs/nls.ko')
  })

  it('is the one with other numbers in its path', () => {
    expect(among({ '/usr/lib/libc.so.6.35': 10, '/lib/libc': 12 }).of('/usr/lib/libc.so.6.36', 12)).toBe('/usr/lib/libc.so.6.35')
  })

  it('is the one of the same name elsewhere, of several the one that is nearest in size', () => {
    expect(among({ '/bin/tool': 100, '/opt/tool': 5000, '/bin/tools': 4000 }).of('/usr/bin/tool', 4000)).toBe('/opt/tool')
  })

  it('is none for a new name', () => {
    expect(among({ '/bin/a': 5 }).of('/bin/b', 5)).toBeUndefined()
    expect(among({}).of('/bin/b', 5)).toBeUndefined()
  })

  it('is the same one each time it is asked for', () => {
    const files = among({ '/a/x': 1, '/b/x': 2 })
    expect(files.of('/c/x', 2)).toBe('/b/x')
    expect(files.of('/c/x', 1)).toBe('/b/x')
  })

  it('is found at once among names that mean to take long', () => {
    const begun = process.cpuUsage()
    const digits = '1'.repeat(4000)
    const files = among({ [`/${digits}.${digits}.${digits}`]: 1, [`/${'1.'.repeat(4000)}`]: 1 })
    files.of(`/${'1.1.'.repeat(3000)}`, 1)
    expect(process.cpuUsage(begun).user).toBeLessThan(2_000_000)
  })
})
