// Kernels out of folders and packages: a fake depmod, a real apt with a repository in a folder, an apk that only pretends.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { buildKernel } from '../../../images/builders/kernel.ts'
import type { Recipe } from '../../../images/builders/recipe.ts'
import { openRun } from '../../../images/run.ts'

let dir: string
const ran: string[] = []
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'psyblob-kernel-'))
  ran.length = 0
  write('bin/depmod', '#!/bin/sh\necho "kernel/a.ko:" >"$2/lib/modules/$3/modules.dep"\n', 0o755)
  vi.stubEnv('PATH', `${join(dir, 'bin')}:${process.env['PATH']}`)
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(dir, { recursive: true, force: true })
})

function write(path: string, content: string, mode = 0o644): void {
  mkdirSync(dirname(join(dir, path)), { recursive: true })
  writeFileSync(join(dir, path), content)
  chmodSync(join(dir, path), mode)
}
const read = (path: string) => readFileSync(join(dir, path), 'utf8')
const files = (path: string) =>
  readdirSync(join(dir, path), { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(join(dir, path, name)).isFile())
    .sort()

async function build(recipe: Partial<Recipe>): Promise<readonly string[]> {
  const work = mkdtempSync(join(dir, 'work-'))
  const run = openRun((event) => ran.push(event.type === 'trace' ? event.text : ''))
  const context = { run, report: () => undefined, epoch: 0, work, cache: join(dir, 'cache') }
  try {
    const artifacts = await buildKernel(
      { dir, architecture: 'x86_64', root: {}, ...recipe } as unknown as Recipe,
      { out: join(dir, 'out') },
      context,
    )
    return artifacts.map(({ name, path, size }) => `${name} ${path.slice(dir.length + 1)} ${size}`)
  } finally {
    rmSync(work, { recursive: true })
  }
}

/** What a package of a kernel has in it, below `at`. */
function unpacked(at: string, version = '6.1.0-9-amd64', text = 'kernel'): void {
  write(`${at}/boot/vmlinuz-${version}`, text)
  write(`${at}/boot/System.map-${version}`, 'map')
  write(`${at}/boot/config-${version}`, 'CONFIG_RD_ZSTD=y\n')
  write(`${at}/lib/modules/${version}/kernel/a.ko`, 'a')
  write(`${at}/lib/modules/${version}/modules.order`, 'kernel/a.ko\n')
  write(`${at}/lib/modules/${version}/modules.builtin`, '')
}

const whole = [
  'System.map',
  'config',
  'kernel',
  'modules/boot/config-6.1.0-9-amd64',
  'modules/lib/modules/6.1.0-9-amd64/kernel/a.ko',
  'modules/lib/modules/6.1.0-9-amd64/modules.builtin',
  'modules/lib/modules/6.1.0-9-amd64/modules.dep',
  'modules/lib/modules/6.1.0-9-amd64/modules.order',
]

describe('a kernel from a folder', () => {
  test('is taken with what belongs to it, and what was made for it elsewhere; links to its sources stay', async () => {
    unpacked('mine')
    write('mine/lib/modules/6.1.0-9-amd64/updates/dkms/b.ko', 'b')
    write('mine/lib/modules/6.1.0-9-amd64/modules.dep', 'old')
    symlinkSync('/usr/src/linux', join(dir, 'mine/lib/modules/6.1.0-9-amd64/build'))
    expect(await build({ kernel: { dir: 'mine' } })).toEqual(['kernel out/kernel 6', 'System.map out/System.map 3', 'config out/config 17'])
    expect(files('out')).toEqual([...whole, 'modules/lib/modules/6.1.0-9-amd64/updates/dkms/b.ko'].sort())
    expect(read('out/modules/lib/modules/6.1.0-9-amd64/modules.dep')).toBe('kernel/a.ko:\n')
  })

  test('may lie there as one that was built before; an earlier result is replaced, a folder of somebody’s own is not', async () => {
    unpacked('mine')
    await build({ kernel: { dir: 'mine' } })
    rmSync(join(dir, 'mine'), { recursive: true })
    execFileSync('cp', ['-r', join(dir, 'out'), join(dir, 'before')])
    await build({ kernel: { dir: 'before' } })
    expect(files('out')).toEqual(whole)
    write('out/thesis', 'years of work')
    await expect(build({ kernel: { dir: 'before' } })).rejects.toMatchObject({ code: 'usage', message: expect.stringContaining('thesis') })
    expect(read('out/thesis')).toBe('years of work')
  })

  test('has the image that its modules are for', async () => {
    unpacked('mine')
    write('mine/boot/vmlinuz-5.10.0-1-amd64', 'older')
    write('mine/boot/config-5.10.0-1-amd64', 'older')
    await build({ kernel: { dir: 'mine' } })
    expect(read('out/kernel')).toBe('kernel')
    expect(read('out/config')).toContain('ZSTD')
  })

  test('brings its device trees', async () => {
    unpacked('mine')
    write('mine/usr/lib/linux-image-6.1.0-9-arm64/vendor/board.dtb', 'tree')
    write('mine/usr/lib/linux-image-6.1.0-9-arm64/vendor/README', '')
    await build({ kernel: { dir: 'mine' } })
    expect(files('out/dtbs')).toEqual(['vendor/board.dtb'])
  })

  test('that is not there is told, and nothing is left', async () => {
    await expect(build({ kernel: { dir: 'mine' } })).rejects.toMatchObject({
      code: 'not-found',
      message: expect.stringContaining('modules'),
    })
    write('mine/lib/modules/6.1.0-9-amd64/kernel/a.ko', 'a')
    await expect(build({ kernel: { dir: 'mine' } })).rejects.toMatchObject({ code: 'not-found', hint: expect.stringContaining('vmlinuz') })
    expect(existsSync(join(dir, 'out'))).toBe(false)
  })
})

/** A repository in a folder: a kernel, and the package that only names the newest one. */
function repository(text: string): void {
  const entries = ['linux-image-6.1.0-9-amd64', 'linux-image-amd64'].map((name) => {
    rmSync(join(dir, 'deb'), { recursive: true, force: true })
    const depends = name === 'linux-image-amd64' ? 'Depends: linux-image-6.1.0-9-amd64 (= 1)\n' : ''
    const control = `Package: ${name}\nVersion: 1\nArchitecture: amd64\nMaintainer: nobody <n@example.org>\n${depends}Description: a kernel\n`
    if (depends === '') unpacked('deb', '6.1.0-9-amd64', text)
    write('deb/DEBIAN/control', control)
    mkdirSync(join(dir, 'repository'), { recursive: true })
    execFileSync('dpkg-deb', ['--build', '-Znone', 'deb', `repository/${name}.deb`], { cwd: dir, stdio: 'ignore' })
    const deb = readFileSync(join(dir, `repository/${name}.deb`))
    return `${control}Filename: ./${name}.deb\nSize: ${deb.length}\nSHA256: ${createHash('sha256').update(deb).digest('hex')}\n`
  })
  const packages = entries.join('\n')
  write('repository/Packages', packages)
  const hash = createHash('sha256').update(packages).digest('hex')
  write('repository/Release', `Date: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n ${hash} ${packages.length} Packages\n`)
}

describe('a kernel of Debian', () => {
  const debian = (name: string): Partial<Recipe> => ({
    kernel: { package: name },
    root: {
      distribution: 'debian',
      suite: 'bookworm',
      variant: 'minbase',
      repositories: [`deb [trusted=yes] copy:${join(dir, 'repository')} ./`],
      keys: [],
      packages: [],
    },
  })

  test('is the package that its name stands for, fetched once, and again when it has changed', async () => {
    repository('kernel')
    await build(debian('linux-image-amd64'))
    expect(files('out')).toEqual(whole)
    expect(readdirSync(join(dir, 'cache/packages'))).toEqual(['linux-image-6.1.0-9-amd64_1_amd64.deb'])
    const downloads = () => ran.filter((line) => / download /.test(line) && !line.includes('--print-uris')).length
    expect(downloads()).toBe(1)
    await build(debian('linux-image-6.1.0-9-amd64'))
    expect(downloads()).toBe(1)
    repository('kernel, better')
    await build(debian('linux-image-amd64'))
    expect(downloads()).toBe(2)
    expect(read('out/kernel')).toBe('kernel, better')
  })

  test('that no repository has is told', async () => {
    repository('kernel')
    await expect(build(debian('linux-image-moon'))).rejects.toMatchObject({
      code: 'not-found',
      message: 'no package linux-image-moon in the repositories of the recipe',
    })
  })
})

describe('a kernel of Alpine', () => {
  test('is what apk unpacks, with none of its scripts run', async () => {
    unpacked('package', '6.6.9-0-virt')
    write('keys/alpine.rsa.pub', 'key')
    write(
      'bin/apk',
      `#!/bin/sh
echo "$@" | sed 's|/[^ ]*/work-[^/]*/||g' >${dir}/log
while [ "$1" != --root ]; do shift; done
cp -r ${dir}/package/. "$2"
mv "$2/boot/vmlinuz-6.6.9-0-virt" "$2/boot/vmlinuz-virt"
mv "$2/boot/config-6.6.9-0-virt" "$2/boot/config-virt"
`,
      0o755,
    )
    await build({
      kernel: { package: 'linux-virt' },
      root: {
        distribution: 'alpine',
        repositories: ['http://alpine.example/main', '@edge http://alpine.example/edge'],
        keys: ['keys'],
        packages: [],
      },
    })
    expect(read('log')).toMatch(
      /^--root kernel-package --initdb --arch x86_64 --keys-dir kernel-keys --repository http:\/\/alpine\.example\/main --repository http:\/\/alpine\.example\/edge --no-cache --no-progress --no-scripts (--no-chown )?add linux-virt\n$/,
    )
    expect(files('out')).toEqual(whole.map((name) => name.replace('6.1.0-9-amd64', '6.6.9-0-virt')))
    expect(read('out/kernel')).toBe('kernel')
  })

  test('is trusted by the recipe’s keys: one that is not there is told, and of a folder it is every file', async () => {
    unpacked('package')
    write(
      'bin/apk',
      `#!/bin/sh\nwhile [ "$1" != --keys-dir ]; do [ "$1" = --root ] && root=$2; shift; done\nls "$2" >${dir}/log\ncp -r ${dir}/package/. "$root"\n`,
      0o755,
    )
    const root = { distribution: 'alpine' as const, repositories: ['http://alpine.example/main'], packages: [] }
    await expect(build({ kernel: { package: 'linux-virt' }, root: { ...root, keys: ['none.rsa.pub'] } })).rejects.toMatchObject({
      code: 'not-found',
      message: `keys: there is no ${join(dir, 'none.rsa.pub')}`,
      hint: expect.stringContaining('alpine-keys'),
    })
    expect(existsSync(join(dir, 'out'))).toBe(false)
    for (const name of ['keys/b.rsa.pub', 'keys/old/c.rsa.pub', 'a.rsa.pub']) write(name, 'key')
    await build({ kernel: { package: 'linux-virt' }, root: { ...root, keys: ['keys', 'a.rsa.pub'] } })
    expect(read('log')).toBe('a.rsa.pub\nb.rsa.pub\n')
  })
})
