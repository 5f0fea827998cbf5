// psyblob's side of a comparison: a repository with an old release, a node that runs it, and the update as typed.
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { copy, copyLinked, same, share } from './files.ts'
import type { Contender } from './race.ts'
import { type Argv, run } from './run.ts'

export const program = resolve('dist/psyblob.js')
const psyblob = (...words: readonly string[]): Argv => [process.execPath, program, ...words]
const quietly = ['--json', '--progress', 'none']

/** What `sync --json` prints of an entry. The first way is the one that is taken. */
export type PlanLine = {
  readonly path: string
  readonly how: string
  readonly size: number
  readonly fetch: number
  readonly ways: readonly { readonly how: string; readonly bytes: number; readonly seconds: number }[]
}

/** What `sync --json` prints, as far as it is of use here. */
export type SyncPrinted = { readonly plan: readonly PlanLine[]; readonly bytes: { readonly fetched: number } }

export type World = {
  readonly dir: string
  /** Where the image of the new release ends up. */
  readonly output: string
  /** Into the folder `repo`, with nothing to fetch but chunks. */
  readonly publish: Contender
  /** The same into the folder `patched`, with patches from the release before. */
  readonly publishPatches: Contender
  /** `words` go with it. */
  sync(url: string, ...words: readonly string[]): Contender
  /** Hears what `sync` would do. */
  plan(url: string, ...words: readonly string[]): Promise<SyncPrinted>
  /** A node that has nothing gets the new release. */
  install(url: string): Contender
  /** What that node has learnt of links; the node of `sync` knows it from then on. */
  learnt(): string
  teach(links: string): void
  /** The node as it is after `sync`, asked again. */
  again(url: string): Contender
  verify(url: string): Contender
}

/** A release is a folder, or an image alone. */
function filesOf(release: string): readonly (readonly [name: string, path: string])[] {
  if (!statSync(release).isDirectory()) return [['squashfs', release]]
  return readdirSync(release).map((name) => [name, join(release, name)])
}

/** Publishes the release `old` and installs it into slot a; `next` is ready to be published. */
export async function makeWorld(dir: string, old: string, next: string): Promise<World> {
  rmSync(dir, { recursive: true, force: true })
  const at = (...names: readonly string[]) => join(dir, ...names)
  for (const [name, release] of [
    ['old', old],
    ['next', next],
  ] as const) {
    mkdirSync(at(name), { recursive: true })
    for (const [file, path] of filesOf(release)) await share(path, at(name, file))
  }
  const inDir = { cwd: dir }
  const publish = (release: string, remote: string, ...words: readonly string[]) =>
    psyblob('publish', 'os', release, '--remote', remote, '--key', 'os.key', '--version', release, ...words, ...quietly)
  await run(psyblob('key', 'new', 'os', '--no-password'), inDir)
  await run(psyblob('init', 'repo.old', '--key', 'os.key', '--repo', 'org.example.bench'), inDir)
  await run(publish('old', 'repo.old', '--no-patches'), inDir)
  const node = (remote: string, own = '') => {
    const places = ['--store', `${own}store`, '--slot-a', `${own}a`, '--slot-b', `${own}b`, '--esp', `${own}esp`]
    return ['--key', 'os.pub', '--remote', remote, ...places, ...quietly]
  }
  await run(psyblob('sync', 'os', ...node('repo.old')), inDir)
  for (const name of ['store', 'esp']) copy(dir, name, `${name}.old`)

  const publishInto = (remote: string, ...words: readonly string[]): Contender => ({
    tool: 'psyblob',
    cwd: dir,
    argv: publish('next', remote, ...words),
    reset() {
      rmSync(at(remote), { recursive: true, force: true })
      copyLinked(dir, 'repo.old', remote)
    },
  })
  const slot = async (name: string) => {
    for (const [file, path] of filesOf(next)) await same(at(name, file), path)
  }
  const output = at('b', 'squashfs')
  const contender = { tool: 'psyblob', cwd: dir }
  const update = (url: string, ...words: readonly string[]) => psyblob('sync', 'os', ...words, '--booted', 'a', ...node(url))
  const renew = () => {
    rmSync(at('b'), { recursive: true, force: true })
    for (const name of ['store', 'esp']) copy(dir, `${name}.old`, name)
  }
  return {
    dir,
    output,
    publish: publishInto('repo', '--no-patches'),
    publishPatches: { ...publishInto('patched', '--patches', '1'), tool: 'psyblob patch' },
    sync: (url, ...words) => ({ ...contender, argv: update(url, ...words), output, reset: renew, check: () => slot('b') }),
    async plan(url, ...words) {
      renew()
      return JSON.parse(await run(update(url, '--dry-run', ...words), inDir))
    },
    install: (url) => ({
      ...contender,
      argv: psyblob('sync', 'os', ...node(url, 'new-')),
      output: at('new-a', 'squashfs'),
      reset() {
        for (const name of ['store', 'a', 'b', 'esp']) rmSync(at(`new-${name}`), { recursive: true, force: true })
      },
      check: () => slot('new-a'),
    }),
    learnt: () => readFileSync(at('new-store', 'links.json'), 'utf8'),
    teach: (links) => writeFileSync(at('store.old', 'links.json'), links),
    again: (url) => ({ ...contender, argv: psyblob('sync', 'os', '--booted', 'b', ...node(url)) }),
    verify: (url) => ({ ...contender, argv: psyblob('verify', 'os', '--slot', 'b', ...node(url)) }),
  }
}
