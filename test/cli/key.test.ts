// Keys and signatures as a publisher types them, against the minisign program in both directions.
import { readdirSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { World } from './world.ts'

let world: World
beforeEach(() => {
  world = new World()
  world.write('file', 'hello')
})
afterEach(() => world.close())

function verified(name: string, key: string): string {
  return world.run('minisign', ['-V', '-H', '-m', name, '-p', key])
}

describe('key', () => {
  test('a key that minisign made signs, and shows the id that minisign prints', async () => {
    world.run('minisign', ['-G', '-W', '-p', 'm.pub', '-s', 'm.key'])
    const id = /public key ([0-9A-F]+)/.exec(world.read('m.pub').toString())?.[1]
    expect((await world.must('key show m.pub --json')).json).toMatchObject({ kind: 'public', id: id?.padStart(16, '0') })
    expect((await world.must('key show m.key --json')).json).toMatchObject({ kind: 'secret, not encrypted', id: id?.padStart(16, '0') })
    await world.must('sign file --key m.key')
    expect(verified('file', 'm.pub')).toContain('verified')
  })

  test('a key of ours signs with minisign', async () => {
    await world.must('key new os --no-password')
    world.run('minisign', ['-S', '-H', '-W', '-s', 'os.key', '-m', 'file'])
    expect(verified('file', 'os.pub')).toContain('verified')
  })

  test('a new key that cannot be finished leaves nothing behind', async () => {
    expect(await world.psyblob('key new os')).toMatchObject({ code: 2, stderr: expect.stringContaining('--no-password') })
    expect(await world.psyblob('key new os', { env: { PSYBLOB_PASSWORD: '' } })).toMatchObject({ code: 2 })
    expect(await world.psyblob('key new no/such/folder --no-password')).toMatchObject({ code: 10 })
    world.write('taken.pub', 'mine')
    expect(await world.psyblob('key new taken --no-password')).toMatchObject({ code: 11 })
    expect(readdirSync(world.dir).sort()).toEqual(['file', 'taken.pub'])
    expect(world.read('taken.pub').toString()).toBe('mine')
  })

  test('a file that is no key is refused, and its bytes do not reach the terminal', async () => {
    world.write('junk', 'untrusted comment: \u001b[2J\nnot base64\u202e\n')
    const { code, stdout, stderr } = await world.psyblob('key show junk')
    expect({ code, stdout }).toEqual({ code: 13, stdout: '' })
    expect(stderr).toMatch(/not a public key/)
    for (const character of ['\u001b', '\u202e']) expect(stderr).not.toContain(character)
    expect((await world.psyblob('key show nothing')).code).toBe(10)
  })
})

describe('sign', () => {
  beforeEach(async () => {
    await world.must('key new os --no-password')
  })

  test('writes the comments that were given, and minisign prints the trusted one', async () => {
    const line = ['sign', 'file', '--key', 'os.key', '--comment', 'release 17', '--untrusted-comment', 'made here', '--json']
    expect((await world.must(line)).json).toMatchObject({ file: 'file', signature: 'file.minisig', trustedComment: 'release 17' })
    expect(world.read('file.minisig').toString()).toMatch(/^untrusted comment: made here\n/)
    expect(verified('file', 'os.pub')).toContain('Trusted comment: release 17')
  })

  test('replaces a signature only when it is told to', async () => {
    await world.must('sign file --key os.key')
    const before = world.read('file.minisig').toString()
    expect(await world.psyblob(['sign', 'file', '--key', 'os.key', '--comment', 'other'])).toMatchObject({ code: 11 })
    expect(world.read('file.minisig').toString()).toBe(before)
    await world.must(['sign', 'file', '--key', 'os.key', '--comment', 'other', '--force'])
    expect(verified('file', 'os.pub')).toContain('Trusted comment: other')
  })

  test('refuses comments with line breaks, which would forge lines of the signature, and writes nothing', async () => {
    for (const option of ['--comment', '--untrusted-comment']) {
      expect(await world.psyblob(['sign', 'file', '--key', 'os.key', option, 'a\nb'])).toMatchObject({ code: 2 })
    }
    expect(readdirSync(world.dir).sort()).toEqual(['file', 'os.key', 'os.pub'])
  })

  test('signs a file that does not fit one read, and one with a name outside ASCII', async () => {
    world.write('größe\n.img', Buffer.alloc(9_000_001, 7))
    await world.must(['sign', 'größe\n.img', '--key', 'os.key'])
    expect(verified('größe\n.img', 'os.pub')).toContain('verified')
  })
})
