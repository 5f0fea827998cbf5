// What builds keep for later: files appear whole, and those of killed builds go, but none that is being written.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { cached } from '../../../images/builders/cache.ts'
import { openRun } from '../../../images/run.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'psyblob-cache-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const keep = (parts: unknown, make: (path: string) => Promise<void> = async (path) => writeFileSync(path, 'made')) =>
  cached({ run: openRun(() => undefined), report: () => undefined, epoch: 0, work: dir, cache: dir }, { kind: 'kind', parts }, make)
const names = () => readdirSync(join(dir, 'kind'))

function old(name: string, hours: number): string {
  mkdirSync(join(dir, 'kind'), { recursive: true })
  writeFileSync(join(dir, 'kind', name), name)
  const then = Date.now() / 1000 - hours * 3600
  utimesSync(join(dir, 'kind', name), then, then)
  return name
}

describe('what is kept', () => {
  test('is made once', async () => {
    const first = await keep([1])
    expect(first.isNew).toBe(true)
    expect(await keep([1], () => Promise.reject(new Error('again')))).toEqual({ ...first, isNew: false })
    expect((await keep([2])).path).not.toBe(first.path)
  })

  test('is whole when two builds make the same at once, as in two containers', async () => {
    const writers: string[] = []
    let release = () => {}
    const both = new Promise<void>((resolve) => {
      release = resolve
    })
    const make = async (path: string) => {
      writers.push(path)
      writeFileSync(path, 'half')
      if (writers.length === 2) release()
      await both
      expect(readFileSync(path, 'utf8')).toBe('half')
      writeFileSync(path, 'whole')
    }
    const [one, two] = await Promise.all([keep([1], make), keep([1], make)])
    expect(new Set(writers).size).toBe(2)
    expect(one.path).toBe(two.path)
    expect(readFileSync(one.path, 'utf8')).toBe('whole')
    expect(names()).toHaveLength(1)
  })

  test('is nothing when it cannot be made', async () => {
    const make = async (path: string) => {
      writeFileSync(path, 'half')
      throw new Error('no')
    }
    await expect(keep([1], make)).rejects.toThrow('no')
    expect(names()).toEqual([])
  })

  test('goes a fortnight after somebody wanted it; what killed builds left, a day after they wrote to it, whatever processes there are', async () => {
    const stay = [old('wanted', 13 * 24), old('a.4194999.tmp', 23), old('b.tmp', 1)]
    old('unwanted', 15 * 24)
    old(`c.${process.pid}.tmp`, 25)
    const { path } = await keep([1])
    expect(names().sort()).toEqual([...stay, path.split('/').at(-1)].sort())
  })
})
