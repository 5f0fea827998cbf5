// psyblob's side of a comparison: a repository with an old release, a node that runs it, and the update as typed.
import { mkdirSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { copy, copyLinked, same, share } from './files.ts'
import type { Contender } from './race.ts'
import { type Argv, run } from './run.ts'

export const program = resolve('dist/psyblob.js')
const psyblob = (...words: readonly string[]): Argv => [process.execPath, program, ...words]
const quietly = ['--json', '--progress', 'none']

export type World = {
  readonly dir: string
  /** Where the image of the new release ends up. */
  readonly output: string
  readonly publish: Contender
  sync(url: string): Contender
  /** The node as it is after `sync`, asked again. */
  again(url: string): Contender
  verify(url: string): Contender
}

/** Publishes the image `old` and installs it into slot a; `next` is ready to be published. */
export async function makeWorld(dir: string, old: string, next: string): Promise<World> {
  rmSync(dir, { recursive: true, force: true })
  const at = (...names: readonly string[]) => join(dir, ...names)
  for (const [release, image] of [
    ['old', old],
    ['next', next],
  ] as const) {
    mkdirSync(at(release), { recursive: true })
    await share(image, at(release, 'squashfs'))
  }
  const inDir = { cwd: dir }
  await run(psyblob('key', 'new', 'os', '--no-password'), inDir)
  await run(psyblob('init', 'repo.old', '--key', 'os.key', '--repo', 'org.example.bench'), inDir)
  await run(psyblob('publish', 'os', 'old', '--remote', 'repo.old', '--key', 'os.key', '--version', 'old', ...quietly), inDir)
  const node = (remote: string) => [
    '--key',
    'os.pub',
    '--remote',
    remote,
    '--store',
    'store',
    '--slot-a',
    'a',
    '--slot-b',
    'b',
    '--esp',
    'esp',
  ]
  await run(psyblob('sync', 'os', ...node('repo.old'), ...quietly), inDir)
  for (const name of ['store', 'esp']) copy(dir, name, `${name}.old`)

  const repository = () => {
    rmSync(at('repo'), { recursive: true, force: true })
    copyLinked(dir, 'repo.old', 'repo')
  }
  const output = at('b', 'squashfs')
  const contender = { tool: 'psyblob', cwd: dir }
  const publish = psyblob('publish', 'os', 'next', '--remote', 'repo', '--key', 'os.key', '--version', 'next', ...quietly)
  return {
    dir,
    output,
    publish: { ...contender, argv: publish, reset: repository },
    sync: (url) => ({
      ...contender,
      argv: psyblob('sync', 'os', ...node(url), '--booted', 'a', ...quietly),
      output,
      reset() {
        rmSync(at('b'), { recursive: true, force: true })
        for (const name of ['store', 'esp']) copy(dir, `${name}.old`, name)
      },
      check: () => same(output, next),
    }),
    again: (url) => ({ ...contender, argv: psyblob('sync', 'os', ...node(url), '--booted', 'b', ...quietly) }),
    verify: (url) => ({ ...contender, argv: psyblob('verify', 'os', '--slot', 'b', ...node(url), ...quietly) }),
  }
}
