// Results are put in place whole, and what killed builds left goes: but nothing that another build works in, wherever that runs.
import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { putFileInPlace, putInPlace, workBeside } from '../../../images/builders/aside.ts'
import { isEnded, ownMark } from '../../../images/builders/process-mark.ts'

let dir: string
let out: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'psyblob-aside-'))
  out = join(dir, 'out')
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

function write(path: string, content: string): string {
  mkdirSync(dirname(join(dir, path)), { recursive: true })
  writeFileSync(join(dir, path), content)
  return path
}
const read = (path: string) => readFileSync(join(dir, path), 'utf8')
const names = () => readdirSync(dir).sort()
const hour = 3600
const daysOld = (path: string, seconds = 48 * hour) => {
  const then = Date.now() / 1000 - seconds
  utimesSync(join(dir, path), then, then)
}
const build = () => workBeside(out, async (work) => readdirSync(dir).filter((name) => !work.endsWith(name)))

describe('the work folder of a build', () => {
  const left = async (mark: string): Promise<string> => dirname(write(`.out.work-${mark}-aB3dEf/secret`, 'key'))
  const own = async () => (await ownMark()) ?? ''

  test('is there for its owner only, and gone at the end, whatever that is', async () => {
    await workBeside(out, async (work) => expect(statSync(work).mode & 0o777).toBe(0o700))
    await expect(workBeside(out, () => Promise.reject(new Error('no')))).rejects.toThrow('no')
    expect(names()).toEqual([])
  })

  test('stays as long as its process lives', async () => {
    const name = await left(await own())
    daysOld(name)
    expect(await build()).toEqual([name])
  })

  test('goes as soon as that has ended, also when another process has its number now', async () => {
    const [place, pid, begin] = (await own()).split('-')
    const ended = execFileSync('sh', ['-c', 'echo $$'], { encoding: 'utf8' }).trim()
    await left(`${place}-${pid}-${Number(begin) - 1}`)
    await left(`${place}-${ended}-${begin}`)
    expect(await build()).toEqual([])
  })

  test('of another container or machine stays, whatever number its process has, and goes a day after nobody touches it', async () => {
    const all = [await left(`${'0'.repeat(16)}-4194999-1`), await left('4194999'), await left('unmarked')].sort()
    for (const name of all) daysOld(name, 23 * hour)
    expect((await build()).sort()).toEqual(all)
    for (const name of all) daysOld(name)
    expect(await build()).toEqual([])
  })

  test('is touched as long as it is in use', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    try {
      await workBeside(out, async (work) => {
        utimesSync(work, 1, 1)
        vi.advanceTimersByTime(hour * 1000)
        while (statSync(work).mtimeMs < Date.now() - hour * 1000) await sleep(10)
      })
    } finally {
      vi.useRealTimers()
    }
  })

  test('is nobody else’s folder with a name that is like it', async () => {
    const mine = ['.out.work-mine', '.out.work-1-2-abcde', '.out.old-backup', '.other.work-1-abcdef']
    for (const name of mine) {
      write(`${name}/thesis`, 'mine')
      daysOld(name)
    }
    expect((await build()).sort()).toEqual(mine.sort())
  })

  test('has a mark that says nothing of processes elsewhere', async () => {
    expect(await isEnded(await own())).toBe(false)
    expect(await isEnded(`${'f'.repeat(16)}-${process.pid}-1`)).toBeUndefined()
    expect(await isEnded('1')).toBeUndefined()
  })
})

describe('a folder that is put in place', () => {
  test('replaces what was there', async () => {
    write('out/file', 'old')
    write('made/file', 'new')
    await putInPlace(join(dir, 'made'), out)
    expect(read('out/file')).toBe('new')
    expect(names()).toEqual(['out'])
  })

  test('and cannot be leaves what was there', async () => {
    write('out/file', 'old')
    await expect(putInPlace(join(dir, 'none'), out)).rejects.toMatchObject({ code: 'ENOENT' })
    expect(read('out/file')).toBe('old')
    expect(names()).toEqual(['out'])
  })

  test('by a run that was killed in between: the next one finds the old folder', async () => {
    write(`.out.old-${randomUUID()}/file`, 'old')
    await workBeside(out, async () => expect(read('out/file')).toBe('old'))
    expect(names()).toEqual(['out'])
  })

  test('by a run that was killed afterwards: the next one removes the old folder', async () => {
    write(`.out.old-${randomUUID()}/file`, 'old')
    write('out/file', 'new')
    await workBeside(out, async () => expect(read('out/file')).toBe('new'))
    expect(names()).toEqual(['out'])
  })

  test('by several builds at once is one of theirs, whole', async () => {
    write('out/file', 'old')
    const all = Array.from({ length: 4 }, (_, at) => `made-${at}`)
    for (const name of all) for (const file of ['one', 'two']) write(`${name}/${file}`, name)
    await Promise.all(all.map((name) => putInPlace(join(dir, name), out)))
    expect(names()).toEqual(['out'])
    expect(all).toContain(read('out/one'))
    expect(read('out/two')).toBe(read('out/one'))
  })
})

describe('a file that is put in place', () => {
  test('replaces what was there, unless that is to be kept, however late it came', async () => {
    write('made', 'new')
    write('out', 'old')
    const at = join(dir, 'made')
    await expect(putFileInPlace(at, out, { keep: true })).rejects.toMatchObject({
      code: 'conflict',
      hint: expect.stringContaining('--force'),
    })
    expect(read('out')).toBe('old')
    await putFileInPlace(at, out)
    expect(read('out')).toBe('new')
    expect(names()).toEqual(['out'])
  })

  test('where nothing is leaves no second name', async () => {
    write('made', 'new')
    await putFileInPlace(join(dir, 'made'), out, { keep: true })
    expect(read('out')).toBe('new')
    expect(names()).toEqual(['out'])
    expect(statSync(out).nlink).toBe(1)
  })

  const hasFat = /\tvfat\n/.test(readFileSync('/proc/filesystems', 'utf8'))
  test.runIf(process.getuid?.() === 0 && hasFat)('needs no links: FAT has none', async () => {
    const image = join(dir, 'image')
    const stick = join(dir, 'stick')
    mkdirSync(stick)
    writeFileSync(image, Buffer.alloc(4 * 1024 * 1024))
    execFileSync('/usr/sbin/mkfs.vfat', [image], { stdio: 'ignore' })
    execFileSync('mount', ['-o', 'loop', image, stick])
    try {
      write('stick/made', 'new')
      await putFileInPlace(join(stick, 'made'), join(stick, 'out'), { keep: true })
      write('stick/made', 'other')
      await expect(putFileInPlace(join(stick, 'made'), join(stick, 'out'), { keep: true })).rejects.toMatchObject({ code: 'conflict' })
      expect(read('stick/out')).toBe('new')
    } finally {
      execFileSync('umount', [stick])
    }
  })
})
