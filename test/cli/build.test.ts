// psyblob build rootfs, squashfs and os, as typed: against a small Debian repository in a folder, and an apk that only pretends.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { noise, World } from './world.ts'

let world: World
beforeEach(() => {
  world = new World()
})
afterEach(() => world.close())

/** A repository with one package, which has one file and a folder that belongs to somebody else. */
function debianRepository(text: string): void {
  world.write(
    'package/DEBIAN/control',
    'Package: hello\nVersion: 1\nArchitecture: all\nMaintainer: nobody <n@example.org>\nDescription: hello\n',
  )
  world.write('package/usr/share/hello/text', text)
  world.write('package/usr/share/doc/hello/copyright', 'free')
  mkdirSync(world.path('package/var/lib/hello'), { recursive: true })
  execFileSync('chown', ['7:8', world.path('package/var/lib/hello')])
  mkdirSync(world.path('repository'), { recursive: true })
  world.run('dpkg-deb', ['--build', '-Znone', 'package', 'repository/hello.deb'])
  const deb = world.read('repository/hello.deb')
  const hash = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
  const control = readFileSync(world.path('package/DEBIAN/control'), 'utf8')
  const packages = `${control}Filename: ./hello.deb\nSize: ${deb.length}\nSHA256: ${hash(deb)}\n`
  world.write('repository/Packages', packages)
  world.write(
    'repository/Release',
    `Date: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n ${hash(Buffer.from(packages))} ${packages.length} Packages\n`,
  )
}

function debianRecipe(more = ''): string {
  return `psyblob: recipe/1
distribution: debian
variant: extract
repositories: ["deb [trusted=yes] copy:${world.path('repository')} ./"]
packages: [hello]
exclude: [/usr/share/doc/*]
program: none
files:
  - path: /etc/motd
    text: welcome
${more}`
}

const names = (folder: string) => (existsSync(world.path(folder)) ? readdirSync(world.path(folder)).sort() : [])
const hashOf = (file: string) => createHash('sha256').update(world.read(file)).digest('hex')
const root = process.getuid?.() === 0

describe.runIf(root)('a Debian root file system', () => {
  test('is the same in another folder, at another time, by another user’s settings; and its squashfs too', async () => {
    debianRepository('hello')
    world.write('one/os.yaml', debianRecipe())
    world.write('two/deep/os.yaml', debianRecipe())
    const first = await world.must('build rootfs --recipe one/os.yaml --out one/root.tar --cache cache-1')
    expect(first.stdout).toMatch(/^one\/root\.tar +\S+ kB\n$/)
    expect(first.stderr).toMatch(/^look for changes debian bookworm: .*\ninstall packages debian bookworm: .*\nlay files over it: /)
    await sleep(1100)
    const env = { TZ: 'Asia/Tokyo', LANG: 'de_DE.UTF-8' }
    await world.must('build rootfs --recipe two/deep/os.yaml --out two/deep/root.tar --cache cache-2', { env })
    expect(hashOf('two/deep/root.tar')).toBe(hashOf('one/root.tar'))
    const lines = world.run('tar', ['tvf', 'one/root.tar', '--numeric-owner', '--full-time'])
    expect(lines).toMatch(/drwxr-xr-x 7\/8 +0 1970-01-01 00:00:00 var\/lib\/hello\/\n/)
    expect(lines).toContain('usr/share/hello/text')
    expect(lines).not.toContain('copyright')
    await world.must('build squashfs one/root.tar one/squashfs --cache cache-1')
    await world.must(['build', 'squashfs', 'two/deep/root.tar', 'two/deep/squashfs', '--cache', 'cache-2'], { env })
    expect(hashOf('two/deep/squashfs')).toBe(hashOf('one/squashfs'))
    expect(world.run('unsquashfs', ['-lln', 'one/squashfs'])).toMatch(/drwxr-xr-x 7\/8 .*var\/lib\/hello\n/)
    // a time that was asked for stands in both
    await world.must('build rootfs --recipe one/os.yaml --out dated.tar --cache cache-1', { env: { SOURCE_DATE_EPOCH: '86400' } })
    expect(world.run('tar', ['tvf', 'dated.tar'])).not.toMatch(/ 1970-01-01 .*\n/)
    await world.must('build squashfs dated.tar dated --cache cache-1', { env: { SOURCE_DATE_EPOCH: '86400' } })
    expect(world.run('unsquashfs', ['-s', 'dated'])).toContain('Jan  2 00:00:00 1970')
    expect(names('one')).toEqual(['os.yaml', 'root.tar', 'squashfs'])
  })

  test('is installed anew when recipe or repository have changed, and only then', async () => {
    debianRepository('hello')
    world.write('os.yaml', debianRecipe())
    const build = () => world.must('build rootfs --recipe os.yaml --out root.tar --cache cache')
    expect((await build()).stderr).toContain('install packages')
    const again = await build()
    expect(again.stderr).not.toContain('install packages')
    expect(again.stderr).toContain('nothing has changed')
    // files are laid over what is kept
    world.write('os.yaml', debianRecipe('  - { path: /etc/issue, text: new }\n'))
    expect((await build()).stderr).not.toContain('install packages')
    expect(world.run('tar', ['tf', 'root.tar'])).toContain('etc/issue')
    debianRepository('hello again')
    expect((await build()).stderr).toContain('install packages')
    expect(world.run('tar', ['xOf', 'root.tar', 'usr/share/hello/text'])).toBe('hello again')
  })

  test('that cannot be made is told with what apt said; nothing is left', async () => {
    debianRepository('hello')
    world.write('os.yaml', debianRecipe().replace('packages: [hello]', 'packages: [helo]'))
    expect(await world.psyblob('build rootfs --recipe os.yaml --out root.tar --cache cache')).toMatchObject({
      code: 17,
      stderr: expect.stringContaining('Unable to locate package helo'),
    })
    expect(names('.')).toEqual(['cache', 'os.yaml', 'package', 'repository'])
    expect(names('cache/rootfs')).toEqual([])
  })

  test('on a full disk is told as such, wherever it is full; nothing is left', async () => {
    world.write('in/file', Buffer.alloc(3_000_000, 'x'))
    world.write('in/noise', noise('full', 3_000_000))
    mkdirSync(world.path('small'))
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', world.path('small')])
    try {
      for (const line of ['in small/out --cache cache', 'in out --cache small/cache']) {
        expect(await world.psyblob(`build squashfs ${line}`)).toMatchObject({ code: 15, stderr: expect.stringContaining('no-space') })
        expect(names('small/cache/squashfs')).toEqual([])
        expect(names('small').filter((name) => name !== 'cache')).toEqual([])
        expect(existsSync(world.path('out'))).toBe(false)
      }
    } finally {
      execFileSync('umount', [world.path('small')])
    }
  })
})

/** Programs that write down how they were called, and as apk a tree with a capability, a device and a key. */
function fakePrograms(): { readonly PATH: string; readonly LOG: string } {
  const { path } = world
  world.write(
    'bin/apk',
    `#!/bin/sh
echo "apk $*" >>"$LOG"
[ "$1" = --version ] && exec echo apk-tools 2.14
while [ $# -gt 0 ]; do [ "$1" = --root ] && root=$2; [ "$1" = --keys-dir ] && keys=$2; [ "$1" = --repositories-file ] && list=$2; shift; done
echo "keys $(ls "$keys" | tr '\\n' ' ')list $(tr '\\n' ' ' <"$list")" >>"$LOG"
[ -n "$SLOW" ] && { touch "$LOG.started"; sleep 60; }
mkdir -p "$root/bin" "$root/etc/ssh" "$root/sbin" && echo busybox >"$root/bin/busybox" && ln "$root/bin/busybox" "$root/bin/sh"
echo secret >"$root/etc/ssh/ssh_host_rsa_key"; date >"$root/etc/hostname"
`,
  )
  world.write('bin/chroot', '#!/bin/sh\necho "chroot in $(basename "$1"): $2 $3 $4" >>"$LOG"\necho changed >"$1/etc/changed"\n')
  for (const name of ['apk', 'chroot']) chmodSync(path.call(world, 'bin', name), 0o755)
  return { PATH: `${world.path('bin')}:${process.env['PATH']}`, LOG: world.path('log') }
}

function alpineRecipe(): string {
  return `psyblob: recipe/1
distribution: alpine
architecture: x86_64
repositories: ["${world.path('main')}", "@edge ${world.path('edge')}"]
keys: [keys]
packages: [alpine-base, nodejs]
commands: [rc-update add sshd]
program: none
`
}

describe.runIf(root)('an Alpine root file system', () => {
  beforeEach(() => {
    world.write('main/x86_64/APKINDEX.tar.gz', 'main')
    world.write('edge/x86_64/APKINDEX.tar.gz', 'edge')
    world.write('keys/alpine-devel.rsa.pub', 'key')
    world.write('os.yaml', alpineRecipe())
  })

  test('is made by apk with the recipe’s repositories and keys, its commands run, its traces removed', async () => {
    const env = fakePrograms()
    await world.must('build rootfs --recipe os.yaml --out root.tar --cache cache', { env })
    const log = world
      .read('log')
      .toString()
      .replaceAll(/\/\S*\.work-\S*\//g, '')
    expect(log).toBe(
      `apk --version
apk --root apk-root --initdb --arch x86_64 --keys-dir apk-keys --repositories-file apk-repositories --no-cache --no-progress add alpine-base nodejs
keys alpine-devel.rsa.pub list ${world.path('main')} @edge ${world.path('edge')} 
chroot in apk-root: /bin/sh -ec rc-update add sshd
`,
    )
    const lines = world.run('tar', ['tvf', 'root.tar'])
    expect(lines).toContain('bin/sh link to bin/busybox')
    expect(lines).toContain('etc/changed')
    expect(lines).not.toMatch(/ssh_host|hostname|dev\/null/)
    // and once more only when an index is another
    await world.must('build rootfs --recipe os.yaml --out root.tar --cache cache', { env })
    expect(
      world
        .read('log')
        .toString()
        .match(/add alpine-base/g),
    ).toHaveLength(1)
    world.write('edge/x86_64/APKINDEX.tar.gz', 'another')
    await world.must('build rootfs --recipe os.yaml --out root.tar --cache cache', { env })
    expect(
      world
        .read('log')
        .toString()
        .match(/add alpine-base/g),
    ).toHaveLength(2)
  })

  test('that somebody interrupts or kills leaves nothing under its name; the next build removes the rest', async () => {
    const env = { ...fakePrograms(), SLOW: 'yes' }
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      const outcome = await world.psyblob('build rootfs --recipe os.yaml --out root.tar --cache cache', {
        env,
        started: async (child) => {
          while (!existsSync(world.path('log.started'))) await sleep(20)
          child.kill(signal)
        },
      })
      expect(outcome.code).toBe(signal === 'SIGTERM' ? 130 : 137)
      expect(existsSync(world.path('root.tar'))).toBe(false)
      world.remove('log.started')
      if (signal === 'SIGTERM') expect(names('.').filter((name) => name.startsWith('.'))).toEqual([])
    }
    expect(names('.').filter((name) => name.startsWith('.'))).toHaveLength(1)
    await world.must('build rootfs --recipe os.yaml --out root.tar --cache cache', { env: { ...env, SLOW: '' } })
    expect(names('.').filter((name) => name.startsWith('.'))).toEqual([])
    expect(names('cache/rootfs')).toHaveLength(1)
  })

  test('without keys asks for them', async () => {
    world.write('os.yaml', alpineRecipe().replace('keys: [keys]', 'keys: [none]'))
    expect(await world.psyblob('build rootfs --recipe os.yaml --out root.tar --cache cache', { env: fakePrograms() })).toMatchObject({
      code: 10,
      stderr: expect.stringMatching(/keys: there is no .*\/none\n.*alpine-keys/),
    })
  })
})

describe('a build', () => {
  test('names all the programs that are missing at once, with their packages', async () => {
    debianRecipe()
    world.write('os.yaml', debianRecipe())
    mkdirSync(world.path('nothing'))
    const { code, stderr } = await world.psyblob('build os --recipe os.yaml --out os', { env: { PATH: world.path('nothing') } })
    expect(code).toBe(16)
    expect(stderr).toMatch(/not installed: mmdebstrap, .*mksquashfs/)
    expect(stderr).toMatch(/on Debian: apt-get install mmdebstrap .*squashfs-tools.*; on Alpine: apk add mmdebstrap .*squashfs-tools/)
    expect(names('.')).toEqual(['nothing', 'os.yaml'])
  })

  test('of a recipe that is wrong says where, with exit status 13, and leaves nothing', async () => {
    world.write('os.yaml', `${debianRecipe()}exclud: []\n`)
    for (const command of ['build os --recipe os.yaml --out os', 'build rootfs --recipe os.yaml --out root.tar']) {
      expect(await world.psyblob(command)).toMatchObject({
        code: 13,
        stderr: expect.stringContaining('malformed: os.yaml, line 11: exclud: no such key; did you mean exclude?'),
      })
    }
    expect(names('.')).toEqual(['os.yaml'])
  })

  test('never replaces a folder that has something of its own in it', async () => {
    world.write('os.yaml', debianRecipe())
    world.write('home/thesis', 'mine')
    for (const name of ['busybox', 'depmod', 'apt-get']) world.write(`bin/${name}`, '#!/bin/sh\nexit 1\n')
    for (const name of readdirSync(world.path('bin'))) chmodSync(world.path('bin', name), 0o755)
    const env = { PATH: `${process.env['PATH']}:${world.path('bin')}` }
    expect(await world.psyblob('build os --recipe os.yaml --out home', { env })).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('home has thesis in it'),
    })
    expect(world.read('home/thesis').toString()).toBe('mine')
  })

  test('takes a time from SOURCE_DATE_EPOCH, and only a time', async () => {
    world.write('in/file', 'x')
    expect(await world.psyblob('build squashfs in out', { env: { SOURCE_DATE_EPOCH: 'yesterday' } })).toMatchObject({ code: 2 })
  })
})

describe('a squashfs of a folder', () => {
  test('is the same on one processor as on all, keeps links, and leaves out what the recipe says', async () => {
    for (let at = 0; at < 50; at++)
      world.write(
        `in/${at}/file`,
        Buffer.alloc(
          at * 5000,
          `line ${at}
`,
        ),
      )
    symlinkSync('0/file', world.path('in/link'))
    execFileSync('ln', [world.path('in/1/file'), world.path('in/hard')])
    await world.must('build squashfs in one --cache cache-1')
    // a copy in another order on the disk
    execFileSync('tar', ['-cf', world.path('in.tar'), '-C', world.path('in'), '--sort=none', '.'])
    mkdirSync(world.path('copy'))
    execFileSync('tar', ['-xf', world.path('in.tar'), '-C', world.path('copy')])
    execFileSync(
      'taskset',
      [
        '-c',
        '0',
        process.execPath,
        'dist/psyblob.js',
        'build',
        'squashfs',
        world.path('copy'),
        world.path('two'),
        '--cache',
        world.path('cache-2'),
      ],
      {
        cwd: new URL('../..', import.meta.url),
        stdio: 'pipe',
      },
    )
    expect(hashOf('two')).toBe(hashOf('one'))
    for (const compressor of ['gzip', 'xz', 'zstd']) execFileSync(compressor, ['-qk', world.path('in.tar')])
    for (const ending of ['', '.gz', '.xz', '.zst']) {
      await world.must(`build squashfs in.tar${ending} three --cache cache-3`)
      expect(hashOf('three')).toBe(hashOf('one'))
    }
    world.write(
      'os.yaml',
      'psyblob: recipe/1\ndistribution: none\nfrom: in\nkernel: { dir: k }\nexclude: [/link, /2]\nsquashfs: { compression: gzip, level: 1 }\n',
    )
    await world.must('build squashfs in four --recipe os.yaml --cache cache-1')
    expect(world.run('unsquashfs', ['-s', 'four'])).toContain('Compression gzip')
    expect(world.run('unsquashfs', ['-l', 'four'])).not.toMatch(/link|root\/2\n/)
    world.write('text', 'no tar')
    expect(await world.psyblob('build squashfs text five')).toMatchObject({ code: 13, stderr: expect.stringContaining('not a tar file') })
    expect(await world.psyblob('build squashfs nowhere five')).toMatchObject({ code: 10 })
  })
})
