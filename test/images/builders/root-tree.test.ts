// Root file systems in memory: read from what tar writes, written so that tar reads it, the same bytes every time.
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { BuildContext, RootEntry } from '../../../images/builders/builder.ts'
import { layOver } from '../../../images/builders/overlay.ts'
import { treeOf, writeTar } from '../../../images/builders/root-tar.ts'
import { RootTree, rootNode } from '../../../images/builders/root-tree.ts'
import { removeTraces } from '../../../images/builders/traces.ts'
import { openRun } from '../../../images/run.ts'
import { globTest } from '../../../store/glob.ts'

let dir: string
let context: BuildContext
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'psyblob-tree-'))
  context = { run: openRun(() => undefined), report: () => undefined, epoch: 86_400, work: dir, cache: dir }
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const path = (...names: readonly string[]) => join(dir, ...names)
const run = (...[program = '', ...args]: readonly string[]) =>
  execFileSync(program, args, { cwd: dir, encoding: 'latin1', env: { ...process.env, TZ: 'UTC' } })

/** The tar file that comes of another one, once `change` has been at its tree. */
async function rewritten(from: string, to: string, change: (tree: RootTree) => void | Promise<void> = () => undefined): Promise<Buffer> {
  const tar = await open(path(from))
  try {
    const tree = await treeOf(tar, { what: from })
    await change(tree)
    await writeTar(tree, path(to), context)
  } finally {
    await tar.close()
  }
  return readFileSync(path(to))
}

function tarOf(name: string, ...options: readonly string[]): void {
  run('tar', ...options, '-cf', name, '-C', 'in', '.')
}

describe('a root file system', () => {
  test('comes out sorted, at one time, whatever wrote the tar file and in whichever order', async () => {
    const long = `${'folder-with-a-long-name/'.repeat(9)}${'f'.repeat(120)}`
    mkdirSync(path('in', long, '..'), { recursive: true })
    for (const name of [long, 'b', 'a-file', 'a.x', 'Ü']) writeFileSync(path('in', name), `content of ${name}`)
    mkdirSync(path('in/a'))
    writeFileSync(path('in/a/inside'), 'x'.repeat(3000))
    symlinkSync('l'.repeat(150), path('in/link'))
    execFileSync('ln', [path('in/b'), path('in/a/hard')])
    execFileSync('mkfifo', [path('in/pipe')])
    tarOf('posix.tar', '--format=posix')
    tarOf('gnu.tar', '--format=gnu', '--sort=name', '--mtime=@5')
    const made = await rewritten('posix.tar', 'one.tar')
    expect((await rewritten('gnu.tar', 'two.tar')).equals(made)).toBe(true)
    expect((await rewritten('one.tar', 'three.tar')).equals(made)).toBe(true)
    const lines = run('tar', 'tvf', 'one.tar', '--quoting-style=literal').trim().split('\n')
    expect(lines.every((line) => line.includes('1970-01-02 00:00'))).toBe(true)
    expect(lines.map((line) => line.replace(/.*00:00 /, '').slice(0, 24))).toEqual([
      'a/',
      'a/hard',
      'a/inside',
      'a-file',
      'a.x',
      'b link to a/hard',
      ...Array.from({ length: 9 }, () => 'folder-with-a-long-name/'),
      'folder-with-a-long-name/',
      `link -> ${'l'.repeat(16)}`,
      'pipe',
      Buffer.from('Ü').toString('latin1'),
    ])
    mkdirSync(path('out'))
    run('tar', 'xf', 'one.tar', '-C', 'out')
    expect(run('diff', '-r', '--no-dereference', 'in/a', 'out/a')).toBe('')
    expect(readFileSync(path('out', long), 'utf8')).toBe(`content of ${long}`)
  })

  test('keeps capabilities, byte for byte, and drops what its machine said of it', async () => {
    mkdirSync(path('in'))
    // bytes that are no UTF-8: CAP_SYS_NICE is bit 23
    const capability = Buffer.from('0100000200008000000000000000000000000000', 'hex').toString('latin1')
    const name = { path: 'ping', kind: 'file' as const, mode: 0o755, uid: 3_000_000, gid: 0, link: '', size: 0, time: 0 }
    const { tarEnd, tarHeader } = await import('../../../images/builders/tar-header.ts')
    const attributes = new Map([
      ['security.capability', capability],
      ['security.selinux', 'unconfined'],
      ['user.note', 'kept'],
    ])
    writeFileSync(path('caps.tar'), Buffer.concat([tarHeader({ ...name, attributes }), tarEnd]))
    const text = (await rewritten('caps.tar', 'out.tar')).toString('latin1')
    expect(text).toContain(`SCHILY.xattr.security.capability=${capability}\n`)
    expect(text).toContain('SCHILY.xattr.user.note=kept\n')
    expect(text).toContain('uid=3000000\n')
    expect(text).not.toContain('selinux')
  })

  test('follows its own symlinks when something is laid over it, and leads nowhere outside', async () => {
    for (const name of ['usr/bin', 'usr/lib', 'etc']) mkdirSync(path('in', name), { recursive: true })
    writeFileSync(path('in/usr/bin/old'), 'old')
    symlinkSync('usr/bin', path('in/bin'))
    symlinkSync('/usr/lib', path('in/lib'))
    symlinkSync('../../../../..', path('in/etc/up'))
    symlinkSync('/run/resolv.conf', path('in/etc/resolv.conf'))
    tarOf('in.tar')
    const entries: RootEntry[] = [
      { path: '/bin/old', mode: 0o755, content: { bytes: Buffer.from('new') } },
      { path: '/lib/deep/er/file', mode: 0o600, content: { bytes: Buffer.from('x') } },
      { path: '/etc/up/at-top', mode: 0o644, content: { bytes: Buffer.from('x') } },
      { path: '/etc/resolv.conf', mode: 0o644, content: { bytes: Buffer.from('nameserver 9.9.9.9') } },
      { path: '/bin', mode: 0o700, content: 'folder' },
      { path: '/sbin', mode: 0o777, content: { link: 'usr/sbin' } },
    ]
    await rewritten('in.tar', 'out.tar', (tree) => layOver(tree, entries))
    const lines = run('tar', 'tvf', 'out.tar')
      .replaceAll(/ +[0-9]+ 1970-01-02 00:00/g, '')
      .replaceAll(/[a-z0-9]+\/[a-z0-9]+ /g, '')
    expect(lines).toContain('lrwxrwxrwx bin -> usr/bin\n')
    expect(lines).toContain('drwx------ usr/bin/\n')
    expect(lines).toContain('drwxr-xr-x usr/lib/deep/er/\n-rw------- usr/lib/deep/er/file\n')
    expect(lines).toContain('-rw-r--r-- at-top\n')
    expect(run('tar', 'xOf', 'out.tar', 'usr/bin/old', 'etc/resolv.conf')).toBe('nameserver 9.9.9.9new')
  })

  test('refuses what cannot be laid there', async () => {
    const tree = new RootTree()
    tree.put('etc/file', rootNode({ kind: 'file', mode: 0o644 }))
    tree.put('loop', rootNode({ kind: 'symlink', mode: 0o777, link: '/loop' }))
    const file = (to: string) => layOver(tree, [{ path: to, mode: 0o644, content: { bytes: Buffer.alloc(0) } }])
    await expect(file('/etc')).rejects.toMatchObject({ code: 'malformed', message: '/etc: a folder is there already' })
    await expect(file('/etc/file/x')).rejects.toMatchObject({ code: 'malformed', message: '/etc/file/x: /etc/file is no folder' })
    await expect(file('/loop/x')).rejects.toMatchObject({
      code: 'malformed',
      message: expect.stringContaining('circle'),
      hint: expect.stringContaining('exclude'),
    })
  })

  test('leaves no keys, names or logs of the machine that built it', () => {
    const tree = new RootTree()
    const kept = ['etc/ssh/sshd_config', 'etc/machine-id', 'var/log/apt', 'etc/resolv.conf', 'dev', 'var/lib/dpkg/status']
    const gone = [
      'etc/ssh/ssh_host_rsa_key',
      'etc/hostname',
      'var/log/apt/term.log',
      'dev/null',
      'var/lib/apt/lists/x/y',
      'etc/shadow-',
      'tmp/.x',
    ]
    for (const name of [...kept, ...gone]) {
      const kind = ['dev', 'var/log/apt'].includes(name) ? 'folder' : name === 'etc/resolv.conf' ? 'symlink' : 'file'
      tree.put(name, rootNode({ kind, mode: 0o644, link: '../run/x', content: { bytes: Buffer.from('secret') } }))
    }
    removeTraces(tree)
    for (const name of kept) expect(tree.at(name), name).toBeDefined()
    for (const name of gone) expect(tree.at(name), name).toBeUndefined()
    expect(tree.at('etc/machine-id')?.content).toEqual({ bytes: new Uint8Array() })
  })

  test('is not read from what is no tar file, a damaged one, or one that leads out', async () => {
    writeFileSync(path('text'), 'no tar file at all '.repeat(100))
    writeFileSync(path('empty'), '')
    mkdirSync(path('in'))
    writeFileSync(path('in/file'), 'x'.repeat(2000))
    tarOf('good.tar')
    const good = readFileSync(path('good.tar'))
    writeFileSync(path('short.tar'), good.subarray(0, 1800))
    writeFileSync(
      path('bent.tar'),
      good.map((byte, at) => (at === 700 ? byte ^ 1 : byte)),
    )
    run('tar', '-cPf', 'out-of-it.tar', '--transform', 's,^.*$,../../x,', path('in/file'))
    for (const [name, hint] of [
      ['text', 'name a tar file'],
      ['empty', 'name a tar file'],
      ['short.tar', 'copy it again'],
      ['bent.tar', 'copy it again'],
      ['out-of-it.tar', 'without -P'],
    ] as const)
      await expect(rewritten(name, `of-${name}`), name).rejects.toMatchObject({ code: 'malformed', hint: expect.stringContaining(hint) })
  })

  test('is not read from a tar file that a linked file is missing in', async () => {
    const { tarEnd, tarHeader } = await import('../../../images/builders/tar-header.ts')
    const link = { path: 'b', kind: 'hardlink' as const, mode: 0o644, uid: 0, gid: 0, link: 'a', size: 0, time: 0, attributes: new Map() }
    writeFileSync(path('link.tar'), Buffer.concat([tarHeader(link), tarEnd]))
    await expect(rewritten('link.tar', 'out.tar')).rejects.toMatchObject({
      code: 'malformed',
      message: 'link.tar: b is linked to a, which is not there',
      hint: expect.stringContaining('make the tar file anew'),
    })
  })
})

describe('a pattern', () => {
  test.each([
    ['/usr/share/doc/*', ['usr/share/doc/x'], ['usr/share/doc', 'usr/share/doc/x/y', 'usr/share/docs']],
    ['/usr/**/x?z', ['usr/xyz', 'usr/a/b/xyz'], ['usr/xz', 'xyz']],
    ['/a[bc].[!d]', ['ab.c', 'ac.e'], ['ad.c', 'ab.d', 'abxc']],
    ['/caf\u00e9/(x)', [Buffer.from('caf\u00e9/(x)').toString('latin1')], ['caf\u00e9/(x)']],
  ])('%s', (pattern, yes, no) => {
    const matches = globTest([pattern])
    for (const name of yes) expect(matches(name), name).toBe(true)
    for (const name of no) expect(matches(name), name).toBe(false)
  })
})
