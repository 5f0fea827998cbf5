// OSTree's static deltas between the trees of the images. They take minutes to make, so they are kept. Each is one file
// that is downloaded and applied: `ostree pull` of 2022.7 begins to fetch single objects while it still applies the delta
// that has them, hundreds more or fewer each time.
import { existsSync, mkdirSync, readFileSync, realpathSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { copyLinked } from './files.ts'
import type { Contender } from './race.ts'
import { run, timed } from './run.ts'

/** Bytes of the delta as it lies on the server, seconds and peak memory it took to make. Those made long ago do not say the memory. */
export type Delta = { readonly bytes: number; readonly seconds: number; readonly memory?: number }

export type Ostree = {
  readonly deltas: Readonly<Record<string, Delta>>
  /** Downloads the delta and applies it to a repository that has `old`. */
  update(url: string, old: string, next: string): Promise<Contender>
}

const deltaOf = (next: string) => `${next}.delta`
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
      ostree(
        repo,
        'commit',
        `--branch=${name}`,
        `--tree=dir=${realpathSync(join(trees, name))}`,
        '--timestamp=2020-01-01',
        `--skip-list=${skip}`,
      ),
    )
  const deltas: Record<string, Delta> = {}
  for (const [old, next] of updates) {
    const file = join(part, deltaOf(next))
    const options = ['--min-fallback-size=0', '--inline', `--filename=${file}`]
    const generate = ostree(repo, 'static-delta', 'generate', `--from=${old}`, `--to=${next}`, ...options)
    const { seconds, memory } = await timed(generate, { scratch: part })
    deltas[next] = { bytes: statSync(file).size, seconds, memory }
  }
  writeFileSync(join(part, 'deltas.json'), JSON.stringify(deltas))
  rmSync(dir, { recursive: true, force: true })
  renameSync(part, dir)
}

/** The deltas, in `ostree` among what is served; kept in `dir`, made when they are not there. Clients work in `scratch`. */
export async function openOstree(
  dir: string,
  options: { trees: string; served: string; scratch: string; updates: readonly (readonly [string, string])[] },
): Promise<Ostree> {
  if (!existsSync(join(dir, 'deltas.json'))) await make(dir, options.trees, options.updates)
  const server = join(dir, 'repo')
  rmSync(join(options.served, 'ostree'), { force: true })
  symlinkSync(dir, join(options.served, 'ostree'))
  return {
    deltas: JSON.parse(readFileSync(join(dir, 'deltas.json'), 'utf8')),
    async update(url, old, next) {
      const clients = join(options.scratch, 'ostree')
      const client = `client-${old}`
      const ready = `${client}.old`
      mkdirSync(clients, { recursive: true })
      const inDir = { cwd: clients }
      await run(ostree(ready, 'init', '--mode=bare'), inDir)
      await run(ostree(ready, 'pull-local', server, old), inDir)
      const expected = (await run(ostree(server, 'rev-parse', next))).trim()
      const delta = deltaOf(next)
      const fetchAndApply = `curl -sf -o ${delta} ${url}/ostree/${delta} && ostree --repo=${client} static-delta apply-offline ${delta}`
      return {
        tool: 'ostree delta',
        argv: ['sh', '-c', fetchAndApply],
        cwd: clients,
        reset: () => copyLinked(clients, ready, client),
        // a commit is named by all that is in it, and fsck reads all of it
        async check() {
          await run(ostree(client, 'ls', expected), inDir)
          await run(ostree(client, 'fsck', '--quiet'), inDir)
        },
      }
    },
  }
}
