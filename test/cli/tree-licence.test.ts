// Licences and sources of files of the system: stated by the publisher, asked on a node.
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { TreeWorld } from './tree-world.ts'
import { noise } from './world.ts'

let world: TreeWorld
beforeEach(() => {
  world = new TreeWorld()
})
afterEach(() => world.close())

/** What dpkg leaves of two packages: one of a source package of another name, one native. */
function asDebian(): void {
  const stanza = (name: string, more: string) => `Package: ${name}\nStatus: install ok installed\nArchitecture: amd64\n${more}\n`
  world.write(
    'src/var/lib/dpkg/status',
    [stanza('tool', 'Source: tools (1:2.0-3)\nVersion: 1:2.0-3+b1'), stanza('data', 'Version: 5')].join('\n'),
  )
  // merged /usr: the list has what the package has, the file lies elsewhere
  world.write('src/var/lib/dpkg/info/tool:amd64.list', '/.\n/bin\n/bin/tool\n/usr/share/doc/tool/copyright\n')
  world.write('src/var/lib/dpkg/info/data.list', '/usr/share/data/large\n')
  world.write('src/usr/share/doc/tools-common/copyright', 'Copyright: somebody\n')
  symlinkSync('tools-common', world.path('src/usr/share/doc/tool'))
  const [original, changes] = [noise('orig', 5000), noise('debian', 700)]
  world.write('sources/tools_2.0.orig.tar.xz', original)
  world.write('sources/tools_2.0-3.debian.tar.xz', changes)
  const line = (name: string) => ` ${'0'.repeat(64)} 1 ${name}\n`
  world.write('sources/tools_2.0-3.dsc', `Checksums-Sha256:\n${line('tools_2.0.orig.tar.xz')}${line('tools_2.0-3.debian.tar.xz')}`)
  world.write('sources/data_5.tar.gz', noise('data', 900))
}

describe('a Debian', () => {
  beforeEach(async () => {
    await world.withSystem()
    asDebian()
    const { stdout } = await world.publish('--sources sources')
    expect(stdout).toMatch(/of \d+ files neither licence nor source is known/)
    await world.must('apply base --root root')
  })

  test('says of a file by whatever name it is called the licence, as its package has it', async () => {
    for (const path of ['/usr/bin/tool', '/bin/tool'])
      expect(await world.must(`license ${path} --root root`)).toMatchObject({ stdout: 'Copyright: somebody\n' })
    expect((await world.must('license /bin/tool --root root --json')).json).toMatchObject({
      path: '/usr/bin/tool',
      licence: '/usr/share/doc/tools-common/copyright',
    })
    // a package without one
    expect((await world.psyblob('license /usr/share/data/large --root root')).code).toBe(10)
  })

  test('gives its source: one file as it is, several as one archive that is the same each time', async () => {
    await world.must('source /usr/share/data/large --root root --out got')
    expect(readFileSync(world.path('got/data_5.tar.gz'))).toEqual(noise('data', 900))
    const { json } = await world.must('source /bin/tool --root root --out got --json')
    expect(json.name).toBe('tools_2.0-3.source.tar')
    expect(world.run('tar', ['-tf', 'got/tools_2.0-3.source.tar']).split('\n')).toEqual([
      'tools_2.0-3.dsc',
      'tools_2.0-3.debian.tar.xz',
      'tools_2.0.orig.tar.xz',
      '',
    ])
    world.run('tar', ['-C', 'got', '-xf', 'got/tools_2.0-3.source.tar'])
    expect(readFileSync(world.path('got/tools_2.0.orig.tar.xz'))).toEqual(noise('orig', 5000))
    expect((await world.publish('--sources sources')).stdout).toContain('nothing changed')
    expect(readdirSync(tmpdir()).filter((name) => name.startsWith('psyblob-sources-'))).toEqual([])
  })

  test('does not put a source over something else, and leaves nothing of one that is not to be had', async () => {
    world.write('got/data_5.tar.gz', 'mine\n')
    expect((await world.psyblob('source /usr/share/data/large --root root --out got')).code).toBe(11)
    expect(world.read('got/data_5.tar.gz').toString()).toBe('mine\n')
    renameSync(world.path('repo/blobs'), world.path('away'))
    expect((await world.psyblob('source /bin/tool --root root --out other')).code).toBe(14)
    expect(existsSync(world.path('other/tools_2.0-3.source.tar'))).toBe(false)
  })
})

describe('a licence map', () => {
  beforeEach(() => world.withSystem())

  test('says it by pattern, the last line that fits first', async () => {
    mkdirSync(world.path('sources'))
    world.write('sources/x_1.tar', noise('x', 1000))
    world.write(
      'map',
      [
        '{"path":"/usr/**","licence":"MIT"}',
        '',
        '{"path":"/usr/lib/*.1","licence":"GPL-2.0-only","source":"x_1.tar"}',
        '{"path":"/etc/conf","licence":"/usr/share/data/twin"}',
      ].join('\n'),
    )
    await world.publish('--licence-map map --sources sources')
    await world.must('apply base --root root')
    expect((await world.must('license /usr/bin/tool --root root')).stdout).toBe('MIT\n')
    expect((await world.must('license /usr/lib/libx.so --root root')).stdout).toBe('GPL-2.0-only\n')
    await world.must('source /usr/lib/libx.so --root root')
    expect(world.read('x_1.tar')).toEqual(noise('x', 1000))
  })

  test.each([
    ['a line that is no JSON', 'nonsense', /map, line 1/],
    ['a field that is not known', '{"path":"/usr/**","license":"MIT"}', /map, line 1/],
    ['a path that is not absolute', '{"path":"usr","licence":"MIT"}', /not absolute/],
    ['nothing to say', '\n{"path":"/usr/**"}', /line 2: neither licence nor source/],
  ])('with %s is refused by its line, and nothing is published', async (_, text, message) => {
    world.write('map', text)
    const outcome = await world.psyblob('publish base src --licence-map map --remote repo --key os.key')
    expect(outcome).toMatchObject({ code: 13, stderr: expect.stringMatching(message) })
    expect((await world.must('refresh base --root root --json')).json.serial).toBe(1)
  })

  test('that names a source package which is not there is refused', async () => {
    mkdirSync(world.path('sources'))
    world.write('map', '{"path":"/usr/**","source":"y.tar"}\n')
    expect((await world.psyblob('publish base src --licence-map map --sources sources --remote repo --key os.key')).code).toBe(10)
  })
})
