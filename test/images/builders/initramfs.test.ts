// The initramfs as a file: what is in it, that it is the same twice, and what it takes to make it. That it boots: test/boot/initramfs.test.ts.
import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { readZstdFrames } from '../../../core/mod.ts'
import { initramfs } from '../../../images/builders/initramfs.ts'
import type { Recipe } from '../../../images/builders/recipe.ts'
import { decompress } from '../../../images/builders/zstd.ts'
import { openRun } from '../../../images/run.ts'
import { encoderOf } from '../../../store/mod.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'psyblob-initramfs-'))
  mkdirSync(join(dir, 'bin'))
  vi.stubEnv('PATH', `${join(dir, 'bin')}:${process.env['PATH']}`)
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(dir, { recursive: true, force: true })
})

function write(path: string, content: string | Uint8Array, mode = 0o644): void {
  mkdirSync(dirname(join(dir, path)), { recursive: true })
  writeFileSync(join(dir, path), content)
  chmodSync(join(dir, path), mode)
}

/** The head of a program (elf(5)): for x86_64, with one segment of that type; 3 is the name of what loads its libraries. */
function program({ machine = 62, segment = 1 } = {}): Uint8Array {
  const bytes = Buffer.alloc(128)
  bytes.write('\x7fELF\x02\x01\x01', 'latin1')
  bytes.writeUInt16LE(machine, 18)
  bytes.writeBigUInt64LE(64n, 32)
  bytes.writeUInt16LE(56, 54)
  bytes.writeUInt16LE(1, 56)
  bytes.writeUInt32LE(segment, 64)
  return bytes
}

function kernelModules(config?: string): void {
  const at = 'modules/lib/modules/6.1.0'
  for (const name of ['virtio_blk', 'virtio', 'softdog', 'watchdog', 'squashfs', 'extra']) write(`${at}/kernel/${name}.ko`, `elf ${name}`)
  write(
    `${at}/modules.dep`,
    'kernel/virtio_blk.ko: kernel/virtio.ko\nkernel/virtio.ko:\nkernel/softdog.ko: kernel/watchdog.ko\nkernel/watchdog.ko:\nkernel/squashfs.ko:\nkernel/extra.ko:\n',
  )
  if (config !== undefined) write('modules/boot/config-6.1.0', config)
}

async function build(out = 'initramfs', { modules = [] as readonly string[], epoch = 0, watchdog = 300 } = {}): Promise<Uint8Array> {
  const recipe = { architecture: 'x86_64', initramfs: { modules, watchdog } } as unknown as Recipe
  const path = join(dir, out)
  const context = { run: openRun(() => undefined), report: () => undefined, epoch, work: dir, cache: dir }
  const artifact = await initramfs(recipe, { out: path, modules: join(dir, 'modules') }, context)
  const bytes = readFileSync(path)
  expect(artifact).toEqual({ name: 'initramfs', path, size: bytes.length })
  return bytes
}

const file = (archive: Uint8Array, path: string) =>
  execFileSync('cpio', ['--extract', '--to-stdout', '--quiet', path], { input: archive, encoding: 'utf8' })

describe('an initramfs', () => {
  beforeEach(() => {
    kernelModules()
    write('bin/busybox.static', program(), 0o755)
  })

  test('is one frame of zstd around a cpio archive, and the same every time', async () => {
    const bytes = await build()
    expect(Buffer.compare(await build('again'), bytes)).toBe(0)
    expect(Buffer.compare(await build('later', { epoch: 1 }), bytes)).not.toBe(0)
    execFileSync('zstd', ['--test', '--quiet'], { input: bytes })
    const archive = await decompress(bytes, 'it')
    const names = execFileSync('cpio', ['--list', '--quiet'], { input: archive, encoding: 'utf8' }).split('\n')
    expect(names).toEqual(expect.arrayContaining(['init', 'bin/busybox', 'bin/sh', 'bin/switch_root', 'dev/console', 'dev/null', 'proc']))
    expect(file(archive, 'etc/psyblob/initramfs.conf')).toBe('watchdog=300\n')
    expect(file(archive, 'init')).toBe(readFileSync(join(import.meta.dirname, '../../../images/guest/init.sh'), 'utf8'))
  })

  test('lists its modules in the order they are loaded in, each with what it needs; the last resort of watchdogs apart', async () => {
    const archive = await decompress(await build('initramfs', { modules: ['extra'] }), 'it')
    const at = '/lib/modules/6.1.0/kernel'
    expect(file(archive, 'etc/psyblob/modules')).toBe(
      `${at}/virtio.ko\n${at}/virtio_blk.ko ${at}/virtio.ko\n${at}/squashfs.ko\n${at}/extra.ko\n`,
    )
    expect(file(archive, 'etc/psyblob/softdog')).toBe(`${at}/watchdog.ko\n${at}/softdog.ko ${at}/watchdog.ko\n`)
    expect(file(archive, `${at.slice(1)}/softdog.ko`)).toBe('elf softdog')
  })

  test('is packed by gzip for a kernel whose configuration does not know zstd', async () => {
    kernelModules('CONFIG_RD_GZIP=y\n# CONFIG_RD_ZSTD is not set\n')
    expect(file(gunzipSync(await build()), 'etc/psyblob/initramfs.conf')).toBe('watchdog=300\n')
    kernelModules('CONFIG_RD_ZSTD=y\n')
    expect(Buffer.from(await build()).readUInt32LE(0)).toBe(0xfd2fb528)
  })

  test('that is large is several archives, each whole in a frame that a node can pack again', async () => {
    const names = ['virtio_blk', 'virtio', 'squashfs', 'extra']
    for (const [at, name] of names.entries())
      write(`modules/lib/modules/6.1.0/kernel/${name}.ko`, Buffer.alloc(3 * 1024 * 1024, `module ${at} `))
    const bytes = await build('initramfs', { modules: ['extra'] })
    const { pieces = [] } = readZstdFrames(bytes) ?? {}
    expect(pieces.length).toBeGreaterThan(2)
    const all = new Set<string>()
    for (const { at, length, raw } of pieces) {
      const archive = await decompress(bytes.subarray(at, at + length), 'it')
      expect(archive.length).toBe(raw)
      expect(raw).toBeLessThan(8 * 1024 * 1024)
      for (const path of execFileSync('cpio', ['--list', '--quiet'], { input: archive, encoding: 'utf8' }).split('\n')) all.add(path)
    }
    expect([...all]).toEqual(expect.arrayContaining(['init', ...names.map((name) => `lib/modules/6.1.0/kernel/${name}.ko`)]))
    expect((await encoderOf(join(dir, 'initramfs'), () => undefined))?.codec).toEqual({ name: 'zstd-1.5.5', level: 15 })
  })

  test('with a module that the kernel does not have is not made', async () => {
    await expect(build('initramfs', { modules: ['zfs'] })).rejects.toMatchObject({ code: 'not-found' })
    expect(existsSync(join(dir, 'initramfs'))).toBe(false)
  })
})

describe('the busybox of an initramfs', () => {
  beforeEach(() => kernelModules())
  const alone = () => vi.stubEnv('PATH', join(dir, 'bin'))

  test('is the first one that needs no libraries', async () => {
    write('bin/busybox.static', program({ segment: 3 }), 0o755)
    write('bin/busybox', program(), 0o755)
    alone()
    await build()
  })

  test('that is not there is named with its package', async () => {
    alone()
    await expect(build()).rejects.toMatchObject({
      code: 'unsupported',
      message: 'not installed: a static busybox',
      hint: 'on Debian: apt-get install busybox-static; on Alpine: apk add busybox-static',
    })
  })

  test.each([
    ['needs libraries', program({ segment: 3 })],
    ['is for another machine', program({ machine: 183 })],
    ['is no program for 64 bits', '#!/bin/sh\nexec /opt/busybox "$@"\n'],
  ])('that %s is refused, and says why', async (why, bytes) => {
    write('bin/busybox', bytes, 0o755)
    alone()
    await expect(build()).rejects.toMatchObject({ code: 'unsupported', message: expect.stringContaining(`bin/busybox ${why}`) })
  })
})

describe('init', () => {
  const script = join(import.meta.dirname, '../../../images/guest/init.sh')
  const hasBusybox = existsSync('/bin/busybox')

  test('is read without complaint by a POSIX shell', () => {
    execFileSync('sh', ['-n', script])
  })

  test.runIf(hasBusybox)('and by busybox, which has every program that it runs', () => {
    execFileSync('/bin/busybox', ['sh', '-n', script])
    const there = new Set(execFileSync('/bin/busybox', ['--list'], { encoding: 'utf8' }).split('\n'))
    const source = readFileSync(join(import.meta.dirname, '../../../images/builders/initramfs.ts'), 'utf8')
    const listed = [...source.slice(source.indexOf('const applets'), source.indexOf('export type')).matchAll(/^ {2}'(.*)',$/gm)].flatMap(
      ([, line]) => (line ?? '').split(' '),
    )
    expect(listed.length).toBeGreaterThan(60)
    expect(listed.filter((name) => !there.has(name))).toEqual([])
  })

  /** What a part of init prints, from the line that begins with `first` to before the one with `last`, after `before` and with `after`. */
  function part({ first, last }: { first: string; last: string }, { before = '', after = '' }): string {
    const text = readFileSync(script, 'utf8')
    const start = text.indexOf(`\n${first}`)
    const end = text.indexOf(`\n${last}`, start)
    expect([start, end].every((at) => at > 0)).toBe(true)
    // nothing of a test belongs in this machine's log
    const lines = text.slice(start, end).replaceAll('-c /dev/kmsg', '-c /none')
    execFileSync('/bin/busybox', ['--install', '-s', join(dir, 'bin')])
    return execFileSync('/bin/busybox', ['sh', '-c', `set -f\nPATH=${join(dir, 'bin')}\n${before}\n${lines}\n${after}`], {
      encoding: 'latin1',
      cwd: dir,
    })
  }
  const telling = { first: 'tell()', last: 'restart()' }
  const reading = { first: '# 5 ', last: '# block devices' }

  test.runIf(hasBusybox)('tells what is long in several lines, for the kernel loses one that is too long', () => {
    const words = Array.from({ length: 500 }, (_, at) => `vda${at}`).join(' ')
    const lines = part(telling, { after: `say '${words}'; warn ${'x'.repeat(2000)}` })
      .trimEnd()
      .split('\n')
    expect(lines.length).toBeGreaterThan(4)
    for (const line of lines) expect(line).toMatch(/^psyblob: .{1,900}$/)
    expect(lines.map((line) => line.slice('psyblob: '.length)).join('')).toBe(words + 'x'.repeat(2000))
  })

  test.runIf(hasBusybox)('tells each line of what a program said, and nothing that a terminal obeys', () => {
    expect(part(telling, { after: `say "$(printf 'one\\nt\\033[2Jwo\\007')"` })).toBe('psyblob: one\npsyblob: t[2Jwo\n')
  })

  test.runIf(hasBusybox)('takes the label of a strange disk without what is not printable', () => {
    const disk = Buffer.alloc(40_000)
    disk.writeUInt16LE(0xef53, 1080)
    disk.write('psy\x1b[2J\nslot=x\xff', 1144, 'latin1')
    write('strange', disk)
    const probe = `probe ../..${join(dir, 'strange')}; echo "$type $name"`
    expect(part(reading, { after: probe })).toBe('ext4 psy[2Jslot=x\n')
    disk.writeUInt16LE(0, 1080)
    disk.write('CD001', 32_769)
    disk.write('2026010203040506', 33_598)
    disk.write('A \x9bLABEL'.padEnd(32), 32_808, 'latin1')
    write('strange', disk)
    expect(part(reading, { after: `${probe}; echo $uuid` })).toBe('iso9660 A LABEL\n2026-01-02-03-04-05-06\n')
  })

  test.runIf(hasBusybox)('gives everybody certificates and public keys of a node to read, and nobody what may be a secret', () => {
    const names = ['ca.crt', 'host.crt', 'host.key', 'config.yml', 'host.key.old', 'host'].map((name) => `nebula/${name}`)
    for (const name of [...names, 'nodename', 'age.key', 'ssh_host_rsa_key', 'ssh_host_rsa_key.pub'])
      write(`root/mnt/psyops-secret/mount/${name}`, name)
    const before = `root=${join(dir, 'root')}; secrets() { :; }; now() { echo 0; }; warn() { echo "$*"; }`
    const after = 'cd $root/etc; find . -type f -exec stat -c "%a %n" {} +'
    const modes = part({ first: '# put FILE', last: '# 11 ' }, { before, after }).trim().split('\n').sort()
    expect(modes).toEqual([
      '600 ./nebula/config.yml',
      '600 ./nebula/host',
      '600 ./nebula/host.key',
      '600 ./nebula/host.key.old',
      '600 ./psyblob/age.key',
      '600 ./ssh/ssh_host_rsa_key',
      '644 ./hostname',
      '644 ./nebula/ca.crt',
      '644 ./nebula/host.crt',
      '644 ./ssh/ssh_host_rsa_key.pub',
    ])
  })
})
