// Other programs: run as a list of words, traced, with their failures told in ours.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { ProgressEvent } from '../../core/progress.ts'
import { openRun } from '../../images/run.ts'

let dir: string
let told: ProgressEvent[]
const run = openRun((event) => told.push(event))
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'psyblob-run-'))
  told = []
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

describe('a program', () => {
  test('gives its bytes, its talk and its status, and is traced as one could type it', async () => {
    const { code, stdout, stderr } = await run(['sh', '-c', 'printf "\\377\\n"; echo talk >&2'])
    expect([code, [...stdout], stderr]).toEqual([0, [0xff, 0x0a], 'talk\n'])
    expect(told).toEqual([{ type: 'trace', text: expect.stringMatching(/^run sh -c "/) }])
  })

  test('never meets a shell', async () => {
    const word = '$(id) `id` ; * "\' \\'
    expect((await run(['printf', '%s', word])).stdout.toString()).toBe(word)
  })

  test('that fails is told with its status and last line, made safe to print', async () => {
    await expect(run(['sh', '-c', 'echo first >&2; printf "bad\\033[2J" >&2; exit 3'])).rejects.toMatchObject({
      code: 'command-failed',
      message: 'sh failed with status 3: bad\\u{1b}[2J',
      hint: expect.stringContaining('-v'),
    })
  })

  test('that points at dmesg last is told with what it said before', async () => {
    await expect(
      run(['sh', '-c', 'echo "mount: bad superblock" >&2; echo "   dmesg(1) may have more" >&2; exit 32']),
    ).rejects.toMatchObject({
      message: 'sh failed with status 32: mount: bad superblock',
    })
  })

  test('may fail in the ways that were allowed', async () => {
    expect((await run(['sh', '-c', 'exit 2'], { allow: [2] })).code).toBe(2)
    await expect(run(['sh', '-c', 'exit 3'], { allow: [2] })).rejects.toMatchObject({ code: 'command-failed' })
  })

  test('that is not there is unsupported, with the package of Debian and of Alpine', async () => {
    const { PATH } = process.env
    process.env['PATH'] = dir
    try {
      await expect(run(['xorriso', '-version'])).rejects.toMatchObject({
        code: 'unsupported',
        hint: 'on Debian: apt-get install xorriso; on Alpine: apk add xorriso',
      })
    } finally {
      process.env['PATH'] = PATH
    }
  })

  test('runs in a process group of its own, so that an interrupt from the keyboard cuts no program short', async () => {
    const { stdout } = await run(['sh', '-c', 'ps -o pgid= -p $$; echo $$'])
    const [group, own] = stdout.toString().trim().split(/\s+/)
    expect(group).toBe(own)
  })

  test('finds the programs of administrators when PATH does not', async () => {
    const { PATH } = process.env
    process.env['PATH'] = '/usr/local/bin:/usr/bin:/bin'
    try {
      expect((await run(['losetup', '--version'])).code).toBe(0)
    } finally {
      process.env['PATH'] = PATH
    }
  })
})
