// Single packages of a Debian repository, fetched and checked by apt with folders of its own: nothing of this machine's apt is touched.
import { createHash } from 'node:crypto'
import { copyFile, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { PsyblobError, visible } from '../../core/mod.ts'
import { hasCode, pathExists, translated } from '../../store/mod.ts'
import type { BuildContext } from './builder.ts'
import type { Recipe } from './recipe.ts'

const architectures = { x86_64: 'amd64', aarch64: 'arm64' } as const

/** Where Debian keeps the keys of its own repositories. */
const debianKeys = '/usr/share/keyrings/debian-archive-keyring.gpg'

/** The .deb files of a package, or of the one it stands for: `linux-image-amd64` is only a name for the newest. */
export async function fetchDebian(recipe: Recipe, name: string, context: BuildContext): Promise<readonly string[]> {
  const { run, work, cache, signal } = context
  const repositories = recipe.root.distribution === 'debian' ? recipe.root.repositories : []
  if (repositories.length === 0)
    throw new PsyblobError('usage', `no repository to fetch ${visible(name)} from`, {
      hint: 'say kernel: dir: FOLDER in the recipe, or distribution: debian',
    })
  const dir = join(work, 'apt')
  const kept = join(cache, 'packages')
  for (const folder of ['lists/partial', 'archives/partial', 'sources', 'preferences']) await mkdir(join(dir, folder), { recursive: true })
  await mkdir(kept, { recursive: true })
  const keys = recipe.root.distribution === 'debian' ? recipe.root.keys.map((key) => resolve(recipe.dir, key)) : []
  const signedBy = [...keys, ...((await pathExists(debianKeys)) ? [debianKeys] : [])].join(',')
  await writeFile(
    join(dir, 'sources.list'),
    repositories
      .map((line) => `${/^deb\s+\[/.test(line) || signedBy === '' ? line : line.replace(/^deb\s+/, `deb [signed-by=${signedBy}] `)}\n`)
      .join(''),
  )
  await writeFile(join(dir, 'status'), '')
  const options = [
    ['Dir::Etc::SourceList', join(dir, 'sources.list')],
    ['Dir::Etc::SourceParts', join(dir, 'sources')],
    ['Dir::Etc::PreferencesParts', join(dir, 'preferences')],
    ['Dir::State', dir],
    ['Dir::State::Lists', join(dir, 'lists')],
    ['Dir::State::Status', join(dir, 'status')],
    ['Dir::Cache', dir],
    ['APT::Architecture', architectures[recipe.architecture]],
    ['APT::Architectures', architectures[recipe.architecture]],
    ['APT::Sandbox::User', process.getuid?.() === 0 ? 'root' : ''],
    ['Acquire::Languages', 'none'],
  ].flatMap(([key, value]) => ['-o', `${key}=${value}`])
  await run(['apt-get', '-qq', ...options, 'update'], { signal })
  const wanted = await standsFor(name)
  const before = join(dir, 'fetched')
  await mkdir(before)
  const { stdout } = await run(['apt-get', '-qq', ...options, '--print-uris', 'download', wanted], { signal, cwd: before })
  // a repository of one's own may have new bytes under an old version: what is kept counts while it is what the signed lists say
  const [, file, sum] = /^'[^']+' (\S+) \d+ SHA256:([0-9a-f]{64})/m.exec(stdout.toString('utf8')) ?? []
  if (file !== undefined && (await sha256(join(kept, file))) === sum) return [join(kept, file)]
  await run(['apt-get', '-qq', ...options, 'download', wanted], { signal, cwd: before })
  const fetched: string[] = []
  for (const one of await readdir(before)) {
    const path = join(kept, one)
    // the cache may lie on another file system than where it builds; a crash leaves nothing or the whole package
    const temporary = `${path}.${process.pid}.tmp`
    try {
      await copyFile(join(before, one), temporary)
      await rename(temporary, path)
    } finally {
      await rm(temporary, { force: true })
    }
    fetched.push(path)
  }
  return fetched

  async function standsFor(meta: string): Promise<string> {
    const { stdout: text, code } = await run(['apt-cache', ...options, 'depends', '--important', meta], { allow: [100], signal })
    if (code !== 0)
      throw new PsyblobError('not-found', `no package ${visible(meta)} in the repositories of the recipe`, {
        hint: 'check kernel: package: in the recipe',
      })
    return /^\s*\|?Depends: (linux-image-\S+)/m.exec(text.toString('utf8'))?.[1] ?? meta
  }
}

async function sha256(path: string): Promise<string | undefined> {
  const bytes = await readFile(path).catch((error: unknown) => {
    if (hasCode(error, 'ENOENT')) return undefined
    throw translated(error, `reading ${path}`)
  })
  return bytes === undefined ? undefined : createHash('sha256').update(bytes).digest('hex')
}
