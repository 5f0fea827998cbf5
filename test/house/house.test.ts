// The house keeps itself in order: direction of dependency, owners of packages, sizes, names.
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { imports, rooms, violations } from './direction.ts'

const root = join(import.meta.dirname, '../..')
const tracked = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], { cwd: root, encoding: 'utf8' })
  .trim()
  .split('\n')
const sources = tracked.filter((path) => path.endsWith('.ts') && rooms.some((room) => path.startsWith(`${room}/`)))

describe('the direction of dependency', () => {
  let made: string | undefined
  afterEach(() => {
    if (made !== undefined) rmSync(made, { recursive: true, force: true })
    made = undefined
  })

  /** A project of a few files, and what is wrong with it. */
  async function broken(files: Readonly<Record<string, string>>): Promise<readonly string[]> {
    made = mkdtempSync(join(tmpdir(), 'psyblob-house-'))
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(made, path)), { recursive: true })
      writeFileSync(join(made, path), text)
    }
    return violations(await imports(made, Object.keys(files)))
  }

  test('is cli, images, store, core, and packages have one owner', async () => {
    const all = await imports(root, sources)
    expect(all.length).toBeGreaterThan(300)
    expect(violations(all)).toEqual([])
  })

  test('an import upwards is named', async () => {
    expect(
      await broken({ 'core/cid.ts': "import { x } from '../store/mod.ts'\nexport const y = x\n", 'store/mod.ts': 'export const x = 1\n' }),
    ).toEqual(['core/cid.ts -> store/mod.ts: core must not know store'])
  })

  test('an import of types only counts', async () => {
    expect(
      await broken({
        'store/a.ts': "import type { X } from '../images/mod.ts'\nexport type Y = X\nexport const z: X = 1\n",
        'images/mod.ts': 'export type X = number\n',
      }),
    ).toEqual(['store/a.ts -> images/mod.ts: store must not know images'])
  })

  test('a room entered by its window is named', async () => {
    expect(
      await broken({ 'store/a.ts': "import { x } from '../core/cid.ts'\nexport const y = x\n", 'core/cid.ts': 'export const x = 1\n' }),
    ).toEqual(['store/a.ts -> core/cid.ts: a room is entered through its mod.ts'])
  })

  test('a cycle is printed as the chain it is', async () => {
    const found = await broken({
      'core/a.ts': "import './b.ts'\nexport {}\n",
      'core/b.ts': "import './c.ts'\nexport {}\n",
      'core/c.ts': "import './a.ts'\nexport {}\n",
    })
    expect(found).toEqual(['core/a.ts -> core/b.ts -> core/c.ts -> core/a.ts: a cycle'])
  })

  test('the platform in core, and a package in the wrong file, are named', async () => {
    expect(await broken({ 'core/a.ts': "import 'node:fs'\nimport 'undici'\nimport 'left-pad'\n" })).toEqual([
      'core/a.ts -> left-pad: the package has no owner in test/house/direction.ts',
      'core/a.ts -> node:fs: core knows no platform',
      'core/a.ts -> undici: undici belongs to store/remotes/http.ts',
    ])
  })
})

describe('the house', () => {
  test('has only the rooms that it was built with', () => {
    const dots = /^\./
    const allowed = [
      'core',
      'store',
      'cli',
      'images',
      'spec',
      'test',
      'package.json',
      'package-lock.json',
      'tsconfig.json',
      'vitest.config.ts',
      'biome.json',
      'knip.json',
      'README.md',
      'CHANGELOG.md',
      'SECURITY.md',
      'LICENSE',
    ]
    const top = [...new Set(tracked.map((path) => path.split('/')[0] ?? ''))]
    expect(top.filter((name) => !dots.test(name) && !allowed.includes(name))).toEqual([])
  })

  test('keeps its files small: one noun each', () => {
    const long = sources.filter((path) => readFileSync(join(root, path), 'utf8').split('\n').length > 400)
    expect(long).toEqual([])
  })

  test('opens each file with a sentence that says what lives there', () => {
    const silent = sources.filter((path) => !readFileSync(join(root, path), 'utf8').startsWith('// '))
    expect(silent).toEqual([])
  })

  test('calls nothing by the names that say nothing', () => {
    const empty = /^(utils?|helpers?|common|manager|service|types|misc)\.ts$/
    expect(sources.filter((path) => empty.test(basename(path)))).toEqual([])
  })
})
