// OSTree's static deltas between the trees of the images. They take minutes to make, so they are kept.
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { copyLinked } from './files.ts'
import type { Contender } from './race.ts'
import { run } from './run.ts'

/** Bytes of the delta as it lies on the server, and seconds it took to make. */
export type Delta = { readonly bytes: number; readonly seconds: number }

export type Ostree = {
  readonly deltas: Readonly<Record<string, Delta>>
  /** Pulls `next` into a repository that has `old`. */
  pull(url: string, old: string, next: string): Promise<Contender>
}

const ostree = (repo: string, ...words: readonly string[]) => ['ostree', `--repo=${repo}`, ...words]

async function make(dir: string, trees: string, updates: readonly (readonly [string, string])[]): Promise<void> {
  const part = `${dir}.part`
  rmSync(part, { recursive: true, force: true })
  mkdirSync(part, { recursive: true })
  const repo = join(part, 'repo')
  await run(ostree(repo, 'init', '--mode=archive'))
  // as in the images: kernels are files of their own
  const skip = join(part, 'skip')
  writeFileSync(skip, '/boot\n')
  for (const name of new Set(updates.flat()))
    await run(
      ostree(repo, 'commit', `--branch=${name}`, `--tree=dir=${join(trees, name)}`, '--timestamp=2020-01-01', `--skip-list=${skip}`),
    )
  const deltas: Record<string, Delta> = {}
  for (const [old, next] of updates) {
    const begin = performance.now()
    await run(ostree(repo, 'static-delta', 'generate', `--from=${old}`, `--to=${next}`, '--min-fallback-size=0'))
    const seconds = (performance.now() - begin) / 1000
    const all = Number((await run(['du', '-sb', join(repo, 'deltas')])).split('\t')[0])
    const before = Object.values(deltas).reduce((sum, { bytes }) => sum + bytes, 0)
    deltas[next] = { bytes: all - before, seconds }
  }
  await run(ostree(repo, 'summary', '--update'))
  writeFileSync(join(part, 'deltas.json'), JSON.stringify(deltas))
  rmSync(dir, { recursive: true, force: true })
  renameSync(part, dir)
}

/** The repository with its deltas, as `ostree` among what is served; made when it is not there. Works in `dir`. */
export async function openOstree(
  dir: string,
  options: { trees: string; served: string; updates: readonly (readonly [string, string])[] },
): Promise<Ostree> {
  if (!existsSync(join(dir, 'deltas.json'))) {
    await make(dir, options.trees, options.updates)
  }
  const server = join(dir, 'repo')
  rmSync(join(options.served, 'ostree'), { force: true })
  symlinkSync(server, join(options.served, 'ostree'))
  return {
    deltas: JSON.parse(readFileSync(join(dir, 'deltas.json'), 'utf8')),
    async pull(url, old, next) {
      const client = `client-${old}`
      const ready = `${client}.old`
      rmSync(join(dir, ready), { recursive: true, force: true })
      const inDir = { cwd: dir }
      await run(ostree(ready, 'init', '--mode=bare'), inDir)
      await run(ostree(ready, 'pull-local', server, old), inDir)
      await run(ostree(ready, 'remote', 'add', '--no-gpg-verify', '--no-sign-verify', 'bench', `${url}/ostree`), inDir)
      return {
        tool: 'ostree delta',
        argv: ostree(client, 'pull', '--require-static-deltas', 'bench', next),
        cwd: dir,
        reset: () => copyLinked(dir, ready, client),
        // a commit is named by all that is in it, and fsck reads all of it
        async check() {
          const ours = await run(ostree(client, 'rev-parse', `bench:${next}`), inDir)
          if (ours !== (await run(ostree(server, 'rev-parse', next)))) throw new Error(`ostree pulled ${ours.trim()}, which is not ${next}`)
          await run(ostree(client, 'fsck', '--quiet'), inDir)
        },
      }
    },
  }
}
