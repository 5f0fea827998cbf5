// The frame of the command line: help, usage errors, output modes, the log.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { catalogue } from '../../cli/catalogue.ts'
import { World } from './world.ts'

let world: World
beforeEach(() => {
  world = new World()
})
afterEach(() => world.close())

describe('psyblob', () => {
  test('lists its commands in three groups, one line each', async () => {
    const { code, stdout } = await world.psyblob('')
    expect(code).toBe(0)
    expect(stdout.indexOf('Publisher')).toBeLessThan(stdout.indexOf('Node\n'))
    for (const { path, summary } of catalogue)
      expect(stdout).toMatch(new RegExp(`^  ${path.join(' ')} +${summary.replace(/[?]/g, '\\?')}$`, 'm'))
  })

  test('says its version', async () => {
    const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8'))
    expect((await world.must('--version')).stdout).toBe(`psyblob ${version}\n`)
    expect((await world.must('--version -v')).stdout).toMatch(/BLAKE3 engine: (native|portable)\nNode.js v/)
  })

  test('explains every command with usage, examples, options and exit codes', async () => {
    for (const { path } of catalogue) {
      const { code, stdout } = await world.psyblob([...path, '--help'])
      expect(code).toBe(0)
      expect(stdout).toContain(`Usage: psyblob ${path.join(' ')}`)
      expect(stdout).toMatch(/\nExamples\n {2}.*:\n {4}\S/)
      expect(stdout).toContain('--json')
      expect(stdout).toContain('Exit status: 0 done')
    }
  })

  test('guesses what was meant, on stderr, with exit status 2', async () => {
    expect(await world.psyblob('snyc os')).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringContaining('did you mean psyblob sync?'),
    })
    expect(await world.psyblob('key shwo')).toMatchObject({ code: 2, stderr: expect.stringContaining('psyblob key show') })
    expect(await world.psyblob('xyzzy')).toMatchObject({ code: 2, stderr: expect.stringContaining('psyblob lists the commands') })
    expect(await world.psyblob('sync --bogus')).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('--bogus') })
    expect(await world.psyblob('publish os')).toMatchObject({ code: 2, stderr: expect.stringContaining('psyblob publish PRODUCT DIR') })
    expect(await world.psyblob('status --progress often --key x')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('auto, bar, lines, json, none'),
    })
    expect(await world.psyblob('sync --timeout never --key x')).toMatchObject({ code: 10 })
  })

  test('without configuration says what to write, or which flags to give', async () => {
    const refused = await world.psyblob('sync', { env: { PSYBLOB_COMPOSITION: '' } })
    expect(refused.code).not.toBe(0)
    expect(refused.stderr).toContain('hint: ')
    expect(await world.psyblob('sync --composition none')).toMatchObject({
      code: 10,
      stderr: expect.stringContaining('no composition at none'),
    })
  })

  test('prints an error as JSON too when JSON is wanted', async () => {
    const { code, stdout, stderr } = await world.psyblob('--json status --composition none')
    expect(code).toBe(10)
    expect(JSON.parse(stdout)).toEqual({ error: { code: 'not-found', message: 'no composition at none', hint: expect.any(String) } })
    expect(stderr).toContain('psyblob: not-found: ')
    const typo = await world.psyblob('snyc --json')
    expect(typo.code).toBe(2)
    expect(typo.json).toEqual({ error: { code: 'usage', message: 'no command called snyc', hint: 'did you mean psyblob sync?' } })
  })

  test('shows what comes from outside without its control characters', async () => {
    const { stderr } = await world.psyblob(['key', 'show', 'evil\u001b[31m\u202ename'])
    expect(stderr).toContain('evil\\u{1b}[31m\\u{202e}name')
    expect(stderr).not.toContain('\u001b')
  })
})

describe('progress', () => {
  beforeEach(async () => {
    await world.withRelease()
  })

  test('is a line a step in a pipe, nothing when quiet, JSON Lines when asked', async () => {
    const lines = await world.must(`sync os ${world.node()}`)
    expect(lines.stderr).toMatch(
      /^verify os from .*\nplan: .*\nwrite slot a: 3\.32 MB \(.* fetched, .* reused\), .* s\nread back: .*\nseal: .*\nflip slot a first: /,
    )
    expect((await world.must(`sync os ${world.node()} --force -q`)).stderr).toBe('')
    const json = await world.must(`sync os ${world.node()} --force --progress json --json`)
    const values = json.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(values.filter((value) => value.type === 'step').map((value) => value.step)).toEqual([
      'verify',
      'plan',
      'write',
      'read back',
      'seal',
      'flip',
    ])
    expect(values.at(-1)).toMatchObject({ product: 'os', changed: true })
  })

  test('goes to the log with times, requests and programs included, whatever is shown', async () => {
    await world.must(`sync os ${world.node()} -q --log log.txt`)
    const log = world.read('log.txt').toString()
    expect(log).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z step verify os from /)
    expect(log).toContain(' step flip slot a first')
    await world.psyblob('sync --composition none --log log.txt')
    expect(world.read('log.txt').toString()).toContain('not-found: no composition at none')
    // nobody writes lines of their own into it
    await world.psyblob(['serve', '--port', '1\n2026-01-01T00:00:00.000Z step flip\u001b[31m', '--log', 'log.txt'])
    expect(world.read('log.txt').toString()).toMatch(/Z usage: --port is .* got 1\\u\{a\}2026.*\\u\{1b\}\[31m\n$/)
    expect(await world.psyblob('status --composition none --log no/such/folder')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('cannot write the log'),
    })
  })

  test('-v shows each request', async () => {
    const server = world.psyblob('serve repo --port 0', {
      started: (child) => {
        child.stdout?.once('data', async (data: Buffer) => {
          const shown = await world.psyblob(`sync os ${world.node(data.toString('utf8').trim())} -v`)
          child.kill('SIGTERM')
          world.write('shown', shown.stderr)
        })
      },
    })
    expect((await server).code).toBe(0)
    expect(world.read('shown').toString()).toMatch(/GET http:\/\/127\.0\.0\.1:\d+\/channels\/stable\n/)
  })
})

describe('a reader that has gone', () => {
  beforeEach(async () => {
    await world.withRelease()
  })

  test('does not stop a sync half-way, whichever pipe it closed', async () => {
    for (const mode of ['lines', 'json']) {
      world.remove('a')
      world.remove('esp')
      const { code } = await world.psyblob(`sync os ${world.node()} --progress ${mode}`, {
        started: (child) => {
          child.stdout?.destroy()
          child.stderr?.destroy()
        },
      })
      expect(code).toBe(0)
      expect((await world.must(`check os a ${world.node()}`)).code).toBe(0)
    }
  })
})

describe('keys', () => {
  test('are made, shown and used as minisign does it', async () => {
    const made = (await world.must('key new os --no-password --json')).json
    expect((await world.must('key show os.pub --json')).json).toMatchObject({ kind: 'public', key: made.key, id: made.id })
    expect((await world.must('key show os.key --json')).json).toMatchObject({ kind: 'secret, not encrypted', key: made.key })
    expect(world.run('stat', ['-c', '%a', 'os.key']).trim()).toBe('600')
    expect(await world.psyblob('key new os --no-password')).toMatchObject({ code: 11, stderr: expect.stringContaining('exists') })
    world.write('file', 'hello')
    await world.must('sign file --key os.key')
    expect(world.run('minisign', ['-V', '-H', '-m', 'file', '-p', 'os.pub'])).toContain('verified')
    expect((await world.psyblob('sign file --key os.key')).code).toBe(11)
    expect((await world.psyblob('sign nothing --key os.key')).code).toBe(10)
  })

  test('with a password are opened by it alone, and a publisher without one is told how to give it', async () => {
    await world.must('key new os', { env: { PSYBLOB_PASSWORD: 'correct horse' } })
    expect((await world.must('key show os.key')).stdout).toContain('secret, encrypted')
    world.write('file', 'hello')
    expect(await world.psyblob('sign file --key os.key')).toMatchObject({ code: 2, stderr: expect.stringContaining('PSYBLOB_PASSWORD') })
    expect(await world.psyblob('sign file --key os.key', { env: { PSYBLOB_PASSWORD: 'wrong' } })).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('wrong password'),
    })
    world.write('password', 'correct horse\n')
    await world.must('sign file --key os.key --password-file password')
    expect(world.run('minisign', ['-V', '-H', '-m', 'file', '-p', 'os.pub'])).toContain('verified')
  })
})
