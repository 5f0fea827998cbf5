// A Debian root file system by mmdebstrap: a tar file, without root's rights where user namespaces work.

import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { PsyblobError, visible } from '../../core/mod.ts'
import type { BuildContext } from './builder.ts'
import { fingerprints } from './freshness.ts'
import type { Recipe, RootSource } from './recipe.ts'

type Debian = Extract<RootSource, { distribution: 'debian' }>

export const debianPrograms = ['mmdebstrap', 'tar', 'unshare'] as const

const architectures = { x86_64: 'amd64', aarch64: 'arm64' } as const

/** All that the root file system depends on; undefined when a repository does not tell what it has. */
export async function debianParts(root: Debian, recipe: Recipe, context: BuildContext): Promise<unknown> {
  const releases = await fingerprints(root.repositories.map(releaseAddresses), context)
  if (releases === undefined) return undefined
  const { stdout } = await context.run(['mmdebstrap', '--version'], { signal: context.signal })
  const keys = await Promise.all(
    root.keys.map(async (key) =>
      createHash('sha256')
        .update(await keyBytes(recipe, key))
        .digest('hex'),
    ),
  )
  return {
    ...root,
    keys,
    releases,
    commands: recipe.commands,
    architecture: recipe.architecture,
    epoch: context.epoch,
    tool: stdout.toString(),
  }
}

async function keyBytes(recipe: Recipe, key: string): Promise<Uint8Array> {
  return readFile(resolve(recipe.dir, key)).catch((cause: unknown) => {
    throw new PsyblobError('not-found', `keys: there is no ${visible(key)}`, { cause, hint: 'name a keyring that gpg has exported' })
  })
}

/** Where the signed list of a repository line lies, or a list without a signature: `deb [options] URI SUITE COMPONENT…`. */
function releaseAddresses(line: string): readonly string[] {
  const [, uri, suite] = /^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)/.exec(line) ?? []
  if (uri === undefined || suite === undefined) return []
  const base = uri.replace(/\/$/, '')
  const folder = suite.endsWith('/') ? `${base}/${suite.replace(/^\.?\//, '')}` : `${base}/dists/${suite}/`
  return [`${folder}InRelease`, `${folder}Release`]
}

/** Writes the root file system to the tar file `out`. */
export async function debianTar(root: Debian, recipe: Recipe, { out, context }: { out: string; context: BuildContext }): Promise<void> {
  const { run, signal, epoch, work } = context
  // beside what is built, so that a build that was killed leaves nothing elsewhere; a user's own folders are often closed to a namespace
  const isRoot = process.getuid?.() === 0
  const argv = [
    '--format=tar',
    `--variant=${root.variant}`,
    `--architectures=${architectures[recipe.architecture]}`,
    ...root.packages.map((name) => `--include=${name}`),
    ...root.keys.map((key) => `--keyring=${resolve(recipe.dir, key)}`),
    ...recipe.commands.map((command) => `--customize-hook=chroot "$1" /bin/sh -ec ${quoted(command)}`),
    root.suite,
    out,
    ...root.repositories,
  ]
  const env = { ...(isRoot ? { TMPDIR: work } : {}), SOURCE_DATE_EPOCH: String(epoch) }
  const { code, stderr } = await run([...(await apart(context)), 'mmdebstrap', ...argv], { signal, allow: anyStatus, env })
  if (code === 0) return
  for (const line of stderr.split('\n')) context.report({ type: 'trace', text: `mmdebstrap: ${line}` })
  const isFull = stderr.includes(diskFull)
  throw new PsyblobError(isFull ? 'no-space' : 'command-failed', `mmdebstrap failed with status ${code}: ${visible(reason(stderr))}`, {
    hint: isFull
      ? 'make room where it builds, then run the same command again'
      : 'check suite, repositories, packages and commands of the recipe; -v shows everything that it said',
  })
}

/**
 * As root mmdebstrap mounts /proc and /sys in what it makes, and one that is killed leaves them there for whoever removes the folder. In a
 * mount namespace they go with it. Where root may make none it may mount nothing either.
 */
async function apart({ run, signal }: BuildContext): Promise<readonly [] | readonly [string, ...string[]]> {
  const words = ['unshare', '--mount', '--propagation', 'private', '--'] as const
  if (process.getuid?.() !== 0) return []
  return (await run([...words, 'true'], { signal, allow: anyStatus })).code === 0 ? words : []
}

const diskFull = 'No space left on device'
const anyStatus = Array.from({ length: 255 }, (_, at) => at + 1)

/** The first error that apt tells, else what was said just before mmdebstrap tells of its own. */
function reason(stderr: string): string {
  const lines = stderr.split('\n').filter((line) => line.trim() !== '')
  const own = lines.findIndex((line) => /^E: (setup failed|mmdebstrap failed|.* failed$)/.test(line))
  const first =
    lines.find((line) => line.includes(diskFull)) ??
    lines.slice(0, own).find((line) => line.startsWith('E: ')) ??
    lines[own - 1] ??
    lines.at(-1) ??
    ''
  return first.replace(/^E: /, '').trim().slice(0, 300)
}

/** One word of a shell, which mmdebstrap runs its hooks with. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}
