// Releases of system files that must not be installed: refused before anything is written.
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Entry, formatPublicKeyFile } from '../../core/mod.ts'
import { fileEntry, Site, siteRepo } from '../fixtures/site.ts'
import { TreeWorld } from './tree-world.ts'

const site = new Site()
const blob = site.plain(Buffer.from('bytes\n'))
const folder = (path: string): Entry => ({ ...fileEntry(path, 'file', blob), mod: 0o40755, bin: null })
const file = (path: string, mod = 0o100644): Entry => ({ ...fileEntry(path, 'file', blob), mod })
const link = (path: string, target: string): Entry => ({ ...fileEntry(path, 'file', blob), mod: 0o120777, bin: null, target })

let world: TreeWorld
beforeEach(() => {
  world = new TreeWorld()
  mkdirSync(world.path('root'))
  mkdirSync(world.path('outside'))
})
afterEach(() => world.close())

/** A repository with what the site signed, `bend` changing the manifest before that. */
function publishSite(records: readonly Entry[], bend?: (body: string) => string, serial = 1): void {
  site.release(serial, records, { compat: 'x86_64-uefi', ...(bend === undefined ? {} : { bend }) })
  for (const [path, bytes] of site.files) {
    mkdirSync(dirname(world.path('repo', path)), { recursive: true })
    writeFileSync(world.path('repo', path), bytes)
  }
  world.write('repo/psyblob.json', JSON.stringify({ psyblob: 'repository/1', repo: siteRepo }))
  world.write('site.pub', formatPublicKeyFile(site.key.publicKey))
}

const apply = (words = '') => world.psyblob(`apply os --root root --key site.pub --remote repo --compat x86_64-uefi --store store ${words}`)

describe('a manifest', () => {
  const raw = (path: string) => (body: string) => body.replaceAll('/usr/PLACE', path)
  type Case = readonly [what: string, code: number, records: readonly Entry[], bend?: (body: string) => string]
  const cases: readonly Case[] = [
    ['with a path that climbs', 13, [folder('/usr'), file('/usr/PLACE')], raw('/usr/../../outside/x')],
    ['with a relative path', 13, [folder('/usr'), file('/usr/PLACE')], raw('usr/x')],
    ['with an empty segment', 13, [folder('/usr'), file('/usr/PLACE')], raw('/usr//x')],
    ['with an escape sequence in a path', 13, [folder('/usr'), file('/usr/PLACE')], raw('/usr/\\u001b[2J')],
    [
      'with a file below its own link',
      13,
      [folder('/usr'), link('/usr/PLACE', '/outside')],
      (body) => `${body.replaceAll('/usr/PLACE', '/usr/l')}${body.split('\n')[2]?.replaceAll('/usr/PLACE', '/usr/l/x')}\n`,
    ],
    ['with a device', 13, [folder('/usr'), file('/usr/PLACE')], (body) => body.replace('"mod":33188', '"mod":8612')],
    ['with a pipe', 13, [folder('/usr'), file('/usr/PLACE')], (body) => body.replace('"mod":33188', '"mod":4516')],
    ['with a socket', 13, [folder('/usr'), file('/usr/PLACE')], (body) => body.replace('"mod":33188', '"mod":49572')],
    ["in psyblob's own place", 12, [folder('/.psyblob'), file('/.psyblob/journal')]],
    ['with a file that runs as its owner', 12, [folder('/usr'), file('/usr/su', 0o104755)]],
    ['with a file that runs as its group', 12, [folder('/usr'), file('/usr/wall', 0o102755)]],
  ]
  test.each(cases.map(([what, code, records, bend]) => ({ what, code, records, bend })))(
    '$what is refused, exit $code',
    async ({ code, records, bend }) => {
      publishSite(records, bend)
      const outcome = await apply()
      expect(outcome).toMatchObject({ code, stderr: expect.stringMatching(/^ {2}hint: \S/m) })
      // biome-ignore lint/suspicious/noControlCharactersInRegex: none may be printed
      expect(outcome.stderr).not.toMatch(/\u001b/)
      expect(world.tree('root')).toEqual({})
      expect(world.tree('outside')).toEqual({})
      publishSite([folder('/usr'), file('/usr/good')], undefined, 2)
      expect((await apply()).code).toBe(0)
    },
  )

  test('with a file that runs as its owner is taken where the composition allows it', async () => {
    publishSite([folder('/usr'), file('/usr/su', 0o104755)])
    const key = site.key.publicKey.text
    const line = { name: 'os', key, uris: [world.path('repo')], compat: 'x86_64-uefi', target: { kind: 'tree', root: '/' } }
    world.write('composition', `${JSON.stringify({ ...line, allow: ['setuid'] })}\n`)
    expect((await world.psyblob('apply os --root root --store store --composition composition')).code).toBe(0)
    expect(world.tree('root')['/usr/su']).toContain('file 4755')
  })

  test('with a path in the store is refused: it would write what this machine trusts', async () => {
    publishSite([folder('/var'), folder('/var/psyblob'), file('/var/psyblob/state.json')])
    const inside = await world.psyblob('apply os --root root --key site.pub --remote repo --compat x86_64-uefi')
    expect(inside).toMatchObject({ code: 11, stderr: expect.stringContaining('lies in the store') })
  })
})

test('a root with a link that leads outside is not followed', async () => {
  publishSite([folder('/usr'), folder('/usr/lib'), file('/usr/lib/x')])
  mkdirSync(world.path('root/usr'))
  world.run('ln', ['-s', world.path('outside'), 'root/usr/lib'])
  const outcome = await apply()
  expect(world.tree('outside')).toEqual({})
  // the link is somebody's: kept beside the folder that the release has
  expect(outcome).toMatchObject({ code: 0, stdout: expect.stringContaining('/usr/lib.psyblob-saved') })
})

describe('the program of a release', () => {
  const script = (status: number) => `#!/bin/sh\necho "ran $PSYBLOB_PRODUCT $PSYBLOB_SERIAL"\necho ran >> /ran\nexit ${status}\n`
  const publishProgram = async (status: number, composed: Readonly<Record<string, unknown>>) => {
    await world.withSystem(composed)
    world.write('src/usr/libexec/after', script(status))
    chmodSync(world.path('src/usr/libexec/after'), 0o755)
    // a shell for the root, with all it needs in one file
    world.run('cp', ['/bin/busybox', 'src/usr/bin/sh'])
    await world.publish('--post-exec /usr/libexec/after')
  }

  test('is not run unless the composition allows it', async () => {
    await publishProgram(0, {})
    const outcome = await world.must('apply base --root root')
    expect(outcome.stderr).toContain('"post-exec":true')
    expect(world.tree('root')['/ran']).toBeUndefined()
  })

  test('is run once, in the root, and its output is kept', async () => {
    await publishProgram(0, { 'post-exec': true })
    await world.must('apply base --root root')
    await world.must('apply base --root root')
    expect(world.read('root/ran').toString()).toBe('ran\n')
    expect(world.read('root/var/psyblob/base/post-exec.log').toString()).toContain('ran base 2')
  })

  test('that fails is told with exit 17, and the release stays', async () => {
    await publishProgram(3, { 'post-exec': true })
    const outcome = await world.psyblob('apply base --root root')
    expect(outcome).toMatchObject({
      code: 17,
      stderr: expect.stringMatching(/is installed, but its program .* ended with status 3[\s\S]*post-exec\.log/),
    })
    await world.must('check current --root root')
    expect((await world.must('status --root root --json')).json).toMatchObject({ tree: { serial: 2 }, last: { result: 'command-failed' } })
  })
})
