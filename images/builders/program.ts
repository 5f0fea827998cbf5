// psyblob in an image: the program, its service, the composition.
import { createHash } from 'node:crypto'
import { createReadStream, existsSync } from 'node:fs'
import { chmod, copyFile, readFile, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { PsyblobError, utf8Encode } from '../../core/mod.ts'
import launcher from '../guest/psyblob.sh?raw'
import openrcSettings from '../guest/psyblob-agent.confd?raw'
import openrcScript from '../guest/psyblob-agent.initd?raw'
import systemdUnit from '../guest/psyblob-agent.service?raw'
import systemdCheck from '../guest/systemd-check.sh?raw'
import type { BuildContext, RootEntry } from './builder.ts'
import { cached } from './cache.ts'
import type { AgentOptions, Recipe } from './recipe.ts'

const home = '/usr/lib/psyblob'

/** What `recipe.psyblob` asks for, as files of the root file system. */
export async function programEntries(recipe: Recipe, context: BuildContext): Promise<readonly RootEntry[]> {
  const { program, agent, composition } = recipe.psyblob
  if (program === 'none') return []
  const isAlpine = recipe.root.distribution === 'alpine'
  const library = isAlpine ? 'musl' : 'gnu'
  if (program === 'executable') checkExecutable(recipe, library)
  return [
    { path: home, mode: 0o755, content: 'folder' },
    ...(program === 'bundle'
      ? await bundleEntries()
      : [{ path: `${home}/psyblob`, mode: 0o755, content: { file: await executable(context) } }]),
    { path: '/usr/bin/psyblob', mode: 0o777, content: { link: program === 'bundle' ? `${home}/psyblob.sh` : `${home}/psyblob` } },
    ...nativeEntries(recipe, library, context),
    { path: '/etc/psyblob/health.d', mode: 0o755, content: 'folder' },
    { path: '/var/psyblob', mode: 0o755, content: 'folder' },
    ...(composition.length === 0 ? [] : [text('/etc/composition', 0o644, composition.map((line) => `${JSON.stringify(line)}\n`).join(''))]),
    ...(agent === undefined ? [] : isAlpine ? openrcEntries(agent) : systemdEntries(agent, recipe)),
  ]
}

function text(path: string, mode: number, content: string): RootEntry {
  return { path, mode, content: { bytes: utf8Encode(content) } }
}

/** Of the bundle that lies beside this program. Throws `unsupported` where psyblob runs from its sources, or as such a bundle itself. */
function bundlePath(): string {
  const found = ['./guest/psyblob.cjs', '../guest/psyblob.cjs']
    .map((path) => fileURLToPath(new URL(path, import.meta.url)))
    .find((path) => existsSync(path))
  if (found !== undefined) return found
  throw new PsyblobError('unsupported', 'this psyblob cannot be put into an image: dist/guest/psyblob.cjs is not there', {
    hint: 'npm run build makes it; or say program: none in the recipe',
  })
}

async function bundleEntries(): Promise<readonly RootEntry[]> {
  return [{ path: `${home}/psyblob.cjs`, mode: 0o644, content: { file: bundlePath() } }, text(`${home}/psyblob.sh`, 0o755, launcher)]
}

const processors = { x86_64: 'x64', aarch64: 'arm64' } as const

/**
 * The native engine of hashing for the image's processor and C library, as far as npm has installed it here; test/build.mjs names it beside
 * the program. psyblob does without, at a price that is told.
 */
function nativeEntries({ architecture }: Recipe, library: Library, { report }: BuildContext): readonly RootEntry[] {
  const require = createRequire(import.meta.url)
  const engine = '@napi-rs/blake-hash'
  const binary = `${engine}-linux-${processors[architecture]}-${library}`
  try {
    return [{ path: `${home}/blake-hash.node`, mode: 0o644, content: { file: require.resolve(binary) } }]
  } catch {
    const { version } = require(`${engine}/package.json`) as { readonly version: string }
    const text = `${binary} is not installed here, so psyblob in the image hashes slower; npm install --no-save --force ${binary}@${version} brings it`
    report({ type: 'warning', text })
    return []
  }
}

type Library = 'gnu' | 'musl'

/** The C library that this Node was made with. */
function ownLibrary(): Library {
  const { header } = process.report.getReport() as { readonly header: { readonly glibcVersionRuntime?: string } }
  return header.glibcVersionRuntime === undefined ? 'musl' : 'gnu'
}

/** Throws `unsupported` when this Node, which would become part of the image, is for another kind of machine. */
function checkExecutable({ root, architecture }: Recipe, library: Library): void {
  const refuse = (got: string, expected: string) =>
    new PsyblobError('unsupported', `the single executable is made of this Node.js, which is for ${got}; the image is for ${expected}`, {
      hint: 'say program: bundle in the recipe and add the package nodejs, or build on such a machine',
    })
  if (processors[architecture] !== process.arch) throw refuse(process.arch, processors[architecture])
  // what something else made may have either
  if (root.distribution !== 'none' && library !== ownLibrary()) throw refuse(names[ownLibrary()], names[library])
}

const names = { gnu: 'glibc', musl: 'musl' } as const

/**
 * What stands in a Node binary where it keeps whether it holds an application (Node.js documentation, "Single executable applications").
 * In two parts here, for this program becomes that application, and the text must be there once.
 */
const fuse = ['NODE_SEA_FUSE', 'fce680ab2cc467b6e072b8b5df1996b2'].join('_')

/** Node and psyblob in one file, made of the Node that runs this. Throws `unsupported` when that one cannot be made one. */
async function executable(context: BuildContext): Promise<string> {
  const { run, report, work } = context
  const node = process.execPath
  const bundle = bundlePath()
  const parts = [1, await hashOf(node), await hashOf(bundle)]
  const { path } = await cached(context, { kind: 'executable', parts }, async (out) => {
    report({ type: 'step', step: 'psyblob as one executable', about: `with Node.js ${process.version}` })
    if (!(await readFile(node)).includes(fuse))
      throw new PsyblobError('unsupported', `${node} cannot hold an application: it was built without single executables`, {
        hint: 'use a Node.js from nodejs.org or nodesource, or say program: bundle in the recipe',
      })
    const settings = join(work, 'executable.json')
    const blob = join(work, 'executable.blob')
    // names without folders: paths would stand in the result
    await copyFile(bundle, join(work, basename(bundle)))
    await writeFile(
      settings,
      JSON.stringify({ main: basename(bundle), output: basename(blob), disableExperimentalSEAWarning: true, useCodeCache: false }),
    )
    await run([node, '--experimental-sea-config', basename(settings)], { cwd: dirname(settings) })
    await copyFile(node, out)
    await chmod(out, 0o755)
    const { inject } = (await import('postject')).default
    const { warn } = console
    // the package talks of sections without names, which is how Node is linked
    console.warn = () => undefined
    try {
      await inject(out, 'NODE_SEA_BLOB', await readFile(blob), { sentinelFuse: fuse })
    } finally {
      console.warn = warn
    }
  })
  return path
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const piece of createReadStream(path)) hash.update(piece)
  return hash.digest('hex')
}

function agentFlags({ every, jitter, reboot, patience }: AgentOptions): string {
  return `--every ${every} --jitter ${jitter} --reboot ${reboot} --patience ${patience}`
}

function systemdEntries(agent: AgentOptions, { files }: Recipe): readonly RootEntry[] {
  const unit = '/usr/lib/systemd/system/psyblob-agent.service'
  const check = '/etc/psyblob/health.d/10-systemd'
  return [
    text(unit, 0o644, systemdUnit),
    // a recipe may say otherwise of what well means
    ...(files.some(({ path }) => path === check) ? [] : [text(check, 0o755, systemdCheck)]),
    text('/etc/psyblob/agent.env', 0o644, `PSYBLOB_AGENT=${agentFlags(agent)}\n`),
    { path: '/etc/systemd/system/multi-user.target.wants/psyblob-agent.service', mode: 0o777, content: { link: unit } },
  ]
}

function openrcEntries(agent: AgentOptions): readonly RootEntry[] {
  return [
    text('/etc/init.d/psyblob-agent', 0o755, openrcScript),
    text('/etc/conf.d/psyblob-agent', 0o644, openrcSettings.replace('FLAGS', agentFlags(agent))),
    { path: '/etc/runlevels/default/psyblob-agent', mode: 0o777, content: { link: '/etc/init.d/psyblob-agent' } },
  ]
}
