// Recipes: what is not said, and what is said wrong, with its line.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Recipe } from '../../../images/builders/recipe.ts'
import { readRecipe } from '../../../images/builders/recipe-file.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'psyblob-recipe-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

function read(text: string): Promise<Recipe> {
  writeFileSync(join(dir, 'os.yaml'), text)
  return readRecipe(join(dir, 'os.yaml'))
}

/** What is said of a Debian recipe with these lines; they begin at line 3. */
async function refused(lines: string, head = 'psyblob: recipe/1\ndistribution: debian\n'): Promise<string> {
  const error = await read(`${head}${lines}`).then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toMatchObject({ code: 'malformed', hint: expect.stringContaining('spec/recipe.md') })
  return (error as Error).message.replace(`${dir}/`, '')
}

describe('a recipe', () => {
  test('says little and means a whole Debian', async () => {
    expect(await read('psyblob: recipe/1\ndistribution: debian\narchitecture: x86_64\n')).toEqual({
      name: 'os',
      dir,
      architecture: 'x86_64',
      root: {
        distribution: 'debian',
        suite: 'bookworm',
        variant: 'minbase',
        repositories: [
          'deb http://deb.debian.org/debian bookworm main',
          'deb http://deb.debian.org/debian bookworm-updates main',
          'deb http://deb.debian.org/debian-security bookworm-security main',
        ],
        keys: [],
        packages: [],
      },
      exclude: [],
      commands: [],
      files: [],
      kernel: { package: 'linux-image-amd64' },
      initramfs: { modules: [], watchdog: 0 },
      squashfs: { compression: 'zstd', level: 15, block: 131_072, fragments: false },
      psyblob: { program: 'executable', agent: undefined, composition: [] },
      efisys: { commandLine: '', timeout: 3, serial: 115_200, extraPrograms: [] },
    })
  })

  test('means an Alpine of its branch, with psyblob run by Node.js', async () => {
    const recipe = await read(
      'psyblob: recipe/1\ndistribution: alpine\nbranch: v3.22\npackages: [alpine-base, nodejs]\nagent: true\nfiles: [{ path: /etc/composition, from: composition }]\n',
    )
    expect(recipe).toMatchObject({
      root: {
        repositories: ['https://dl-cdn.alpinelinux.org/alpine/v3.22/main', 'https://dl-cdn.alpinelinux.org/alpine/v3.22/community'],
      },
      kernel: { package: 'linux-lts' },
      initramfs: { watchdog: 600 },
      psyblob: { program: 'bundle', agent: { every: '1h', jitter: '10m', reboot: 'always', patience: '5m' } },
    })
  })

  test('takes sizes, times and permissions as people write them', async () => {
    const recipe = await read(`psyblob: recipe/1
distribution: debian
kernel: { dir: boot }
initramfs: { watchdog: 10m }
squashfs: { block: 1M, compression: xz }
files:
  - { path: /a, mode: 0755, text: a }
  - { path: /b, mode: "0644", from: b }
  - { path: /c, mode: 0o600, text: c }
  - { path: /d, mode: 4755, text: d }
  - { path: /e, text: e }
  - { path: /f, link: e }
  - { path: /g, folder: true, mode: 1777 }
`)
    expect(recipe.initramfs.watchdog).toBe(600)
    expect(recipe.squashfs).toEqual({ compression: 'xz', level: undefined, block: 1024 * 1024, fragments: false })
    expect(recipe.files.map(({ mode }) => mode.toString(8))).toEqual(['755', '644', '600', '4755', '644', '777', '1777'])
    expect(recipe.kernel).toEqual({ dir: 'boot' })
  })

  test.each(['debian', 'alpine'])('for %s is among the examples', async (name) => {
    const recipe = await readRecipe(join(import.meta.dirname, `../../../spec/recipes/${name}.yaml`))
    expect(recipe).toMatchObject({ name: 'os', root: { distribution: name }, initramfs: { watchdog: 600 } })
    expect(recipe.psyblob.composition).toHaveLength(1)
  })
})

/** So that an agent has something to do. */
const composed = 'files: [{ path: /etc/composition, from: composition }]\n'

describe('a mistake in a recipe is told with its line:', () => {
  test.each([
    ['packages: 5\n', 'os.yaml, line 3: packages: expected a list of texts, got a number'],
    ['packages:\n  - dash\n  - 5\n', 'os.yaml, line 5: packages, item 2: expected a text, the name of a package, got a number'],
    ['packages: [a b]\n', 'os.yaml, line 3: packages, item 1: expected a text, the name of a package, got "a b"'],
    ['name: os\npakages: [dash]\n', 'os.yaml, line 4: pakages: no such key; did you mean packages?'],
    ['zzzzzz: 1\n', 'os.yaml, line 3: zzzzzz: no such key'],
    ['branch: v3.21\n', 'os.yaml, line 3: branch: no such key'],
    ['squashfs:\n  level: 15\n  blok: 128K\n', 'os.yaml, line 5: squashfs.blok: no such key; did you mean block?'],
    ['squashfs:\n  block: 100K\n', 'os.yaml, line 4: squashfs.block: expected a power of two from 4K to 1M, got 102400'],
    ['squashfs:\n  fragments: yes\n', 'os.yaml, line 4: squashfs.fragments: expected true or false, got a text'],
    ['squashfs: { compression: xz, level: 6 }\n', 'os.yaml, line 3: squashfs.level: xz has no levels'],
    ['squashfs: { level: 30 }\n', 'os.yaml, line 3: squashfs.level: expected a whole number from 1 to 22, got 30'],
    ['architecture: arm\n', 'os.yaml, line 3: architecture: expected x86_64 or aarch64, got "arm"'],
    ['initramfs:\n  watchdog: soon\n', 'os.yaml, line 4: initramfs.watchdog: expected a time such as 30s, 10m or 1h, got "soon"'],
    [
      'files:\n  - path: etc/motd\n    text: x\n',
      'os.yaml, line 4: files, item 1, path: expected a path that begins with /, got "etc/motd"',
    ],
    ['files:\n  - path: /../x\n    text: x\n', 'os.yaml, line 4: files, item 1, path: expected a path without .., got "/../x"'],
    ['files:\n  - text: x\n', 'os.yaml, line 4: files, item 1, path: missing'],
    ['files:\n  - { path: /x }\n', 'os.yaml, line 4: files, item 1: expected one of text, from, link, folder, got none'],
    [
      'files:\n  - { path: /x, mode: 0888, text: x }\n',
      'os.yaml, line 4: files, item 1, mode: expected permissions such as "0644", got "0888"',
    ],
    ['kernel: { pakage: x }\n', 'os.yaml, line 3: kernel.pakage: no such key; did you mean package?'],
    ['repositories: [http://deb.debian.org]\n', 'os.yaml, line 3: repositories, item 1: expected a line such as deb http'],
    ['agent: { every: 1 hour }\n', 'os.yaml, line 3: agent.every: expected a time such as 30s, 10m or 1h, got "1 hour"'],
    ['agent: true\n', 'os.yaml, line 3: agent: an agent that nothing tells what to keep up to date'],
    [`agent: { patience: 20m }\n${composed}`, 'os.yaml, line 3: agent: the watchdog resets the machine after 600 seconds, before'],
    [`initramfs: { watchdog: 60 }\nagent: true\n${composed}`, 'os.yaml, line 3: initramfs.watchdog: the watchdog resets the machine'],
    ['agent: true\nprogram: none\n', 'os.yaml, line 3: agent: an agent without psyblob in the image'],
    ['program: bundle\n', 'os.yaml, line 3: program: a bundle runs on Node.js'],
    ['composition:\n  - name: os\n    uris: [x]\n', 'os.yaml, line 4: composition, item 1: field key: missing'],
    ['variant: extract\ncommands: ["true"]\n', 'os.yaml, line 4: commands: the variant extract only unpacks'],
    ['name: os\nname: os\n', 'os.yaml, line 4: a key that stands here twice'],
    ['files:\n\t- path: /x\n', 'os.yaml, line 4: a tab: lines are indented with spaces'],
    ['packages: [a\n', 'os.yaml, line 4: '],
    ['---\nname: os\n', 'os.yaml, line 3: a second document'],
    ['packages: [a\u001bb c]\n', 'os.yaml, line 3: packages, item 1'],
  ])('%j', async (lines, message) => {
    const told = await refused(lines)
    expect(told).toContain(message)
    expect(told).not.toContain('\u001b')
  })

  test('what comes first of several', async () => {
    expect(await refused('suite: 7\npackages: 5\nzzz: 1\n')).toContain('line 3: suite')
  })

  test('of the whole', async () => {
    expect(await refused('', '')).toBe('os.yaml, line 1: expected a map, got nothing')
    expect(await refused('', 'distribution: debian\n')).toBe('os.yaml, line 1: psyblob: missing')
    expect(await refused('', 'psyblob: recipe/2\ndistribution: debian\n')).toBe(
      'os.yaml, line 1: psyblob: expected recipe/1, got "recipe/2"',
    )
    expect(await refused('', 'psyblob: recipe/1\ndistribution: gentoo\n')).toContain(
      'line 2: distribution: expected debian, alpine or none',
    )
    expect(await refused('', 'psyblob: recipe/1\ndistribution: alpine\n')).toContain('expected branch, e.g. v3.21, or repositories')
    expect(await refused('', 'psyblob: recipe/1\ndistribution: alpine\nbranch: v3.20\npackages: [nodejs]\n')).toContain(
      'too old for psyblob',
    )
    expect(await refused('', 'psyblob: recipe/1\ndistribution: alpine\nbranch: v3.21\n')).toContain('add the package nodejs')
    expect(await refused('', 'psyblob: recipe/1\ndistribution: none\nfrom: x.tar\n')).toContain('kernel: missing')
  })

  test('and a recipe that is not there, or no text, is told as such', async () => {
    await expect(readRecipe(join(dir, 'none.yaml'))).rejects.toMatchObject({ code: 'not-found' })
    writeFileSync(join(dir, 'bad.yaml'), Buffer.from([0xff, 0xfe, 0x00]))
    await expect(readRecipe(join(dir, 'bad.yaml'))).rejects.toMatchObject({ code: 'malformed' })
    // aliases of aliases grow without end
    const bomb = ['psyblob: recipe/1', 'distribution: debian', 'a: &a [x,x,x,x,x,x,x,x,x]']
    for (const [one, two] of ['ab', 'bc', 'cd', 'de', 'ef', 'fg'].map((pair) => [...pair]))
      bomb.push(`${two}: &${two} [${Array.from({ length: 9 }, () => `*${one}`).join(',')}]`)
    await expect(read(`${bomb.join('\n')}\n`)).rejects.toMatchObject({ code: 'malformed' })
  })
})
