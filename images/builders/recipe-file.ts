// Reads a recipe: YAML that a person wrote, with every complaint at its line, and what is not said filled in (spec/recipe.md).
import { dirname, resolve } from 'node:path'
import { type Document, isMap, isNode, isScalar, isSeq, LineCounter, parseDocument, visit } from 'yaml'
import { isPsyblobError, limits, PsyblobError, parseComposition, utf8Decode, visible } from '../../core/mod.ts'
import { readLimited } from '../../store/mod.ts'
import { parseDuration } from '../duration.ts'
import { holdsItself } from './circle.ts'
import type { KernelSource, Recipe, RecipeFile, RootSource } from './recipe.ts'
import { type Complaint, checkWritten, type Written } from './recipe-schema.ts'

/** Keys and values that a message names may be as long as the file. */
const longestMessage = 400
const hint = 'spec/recipe.md explains every key; spec/recipes has examples'

/** The recipe in the file `path`. Throws `not-found`, `malformed` with the line. */
export async function readRecipe(path: string): Promise<Recipe> {
  const bytes = await readLimited(path, limits.recipe)
  if (bytes === undefined)
    throw new PsyblobError('not-found', `there is no recipe ${visible(path)}`, { hint: 'name a recipe; spec/recipes has examples' })
  return parseRecipe(utf8Decode(bytes, path), { what: path, dir: dirname(resolve(path)) })
}

/** `source` as a recipe called `what` in errors, whose relative paths begin in `dir`. Throws `malformed` with the line. */
function parseRecipe(source: string, { what, dir }: { readonly what: string; readonly dir: string }): Recipe {
  const lineCounter = new LineCounter()
  const document = parseDocument(source, { lineCounter, prettyErrors: false, logLevel: 'error' })
  const refuse = (offset: number, message: string) =>
    new PsyblobError(
      'malformed',
      `${what}, line ${Math.max(1, lineCounter.linePos(offset).line)}: ${visible(message.slice(0, longestMessage))}`,
      { hint },
    )
  const [error] = [...document.errors, ...document.warnings].sort((one, two) => one.pos[0] - two.pos[0])
  if (error !== undefined) throw refuse(error.pos[0], syntaxText(error.code, error.message))
  keepModes(document)
  const checked = checkWritten(plainValue(document, refuse))
  const [first] = ('written' in checked ? contradictions(checked.written, dir) : checked.complaints)
    .map(({ path, message }) => ({
      offset: offsetOf(document, path),
      message: path.length === 0 ? message : `${pathText(path)}: ${message}`,
    }))
    .sort((one, two) => one.offset - two.offset)
  if (first !== undefined || !('written' in checked)) throw refuse(first?.offset ?? 0, first?.message ?? 'not a recipe')
  return recipeOf(checked.written, dir)
}

function plainValue(document: Document, refuse: (offset: number, message: string) => PsyblobError): unknown {
  try {
    const value: unknown = document.toJS()
    if (holdsItself(value)) throw refuse(0, 'an alias within what it stands for')
    return value
  } catch (error) {
    // aliases of aliases of aliases
    if (!(error instanceof ReferenceError)) throw error
    throw refuse(0, syntaxText('', error.message))
  }
}

/** YAML reads 0644 as six hundred and forty-four: permissions are kept as they were typed. */
function keepModes(document: Document): void {
  visit(document, {
    Pair(_, { key, value }) {
      if (isScalar(key) && key.value === 'mode' && isScalar(value) && typeof value.value === 'number') value.value = value.source
    },
  })
}

function syntaxText(code: string, message: string): string {
  if (code === 'DUPLICATE_KEY') return 'a key that stands here twice'
  if (code === 'TAB_AS_INDENT') return 'a tab: lines are indented with spaces'
  if (code === 'MULTIPLE_DOCS') return 'a second document: a recipe is one'
  if (message.startsWith('Maximum call stack')) return 'nested too deeply'
  const [line = ''] = message.split('\n')
  return `${line.charAt(0).toLowerCase()}${line.slice(1)}`.replace(/[.:]$/, '')
}

/** Where the value at `path` begins, or its key where the value is a list or a map; the map itself where the key is missing. */
function offsetOf(document: Document, path: readonly (string | number)[]): number {
  let offset = 0
  let node: unknown = document.contents
  for (const step of path) {
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === step)
      if (pair === undefined) break
      if (isNode(pair.key)) offset = pair.key.range?.[0] ?? offset
      node = pair.value
    } else if (isSeq(node)) {
      node = node.items[Number(step)]
      if (isNode(node)) offset = node.range?.[0] ?? offset
    }
  }
  return isScalar(node) ? (node.range?.[0] ?? offset) : offset
}

/** `squashfs.level`, `packages, item 3`, `files, item 1, mode`. */
function pathText(path: readonly (string | number)[]): string {
  return path
    .map((step, at) =>
      typeof step === 'number' ? `, item ${step + 1}` : `${at === 0 ? '' : typeof path[at - 1] === 'number' ? ', ' : '.'}${step}`,
    )
    .join('')
}

/** What is well-formed and yet cannot be meant. */
function contradictions(written: Written, dir: string): readonly Complaint[] {
  const found: Complaint[] = []
  for (const [at, file] of written.files.entries()) {
    const said = (['text', 'from', 'link', 'folder'] as const).filter((key) => file[key] !== undefined)
    if (said.length !== 1)
      found.push({ path: ['files', at], message: `expected one of text, from, link, folder, got ${said.join(' and ') || 'none'}` })
    if (file.link !== undefined && file.mode !== undefined)
      found.push({ path: ['files', at, 'mode'], message: 'a link has no permissions' })
  }
  const { kernel } = written
  if (typeof kernel === 'object' && (kernel.package === undefined) === (kernel.dir === undefined))
    found.push({ path: ['kernel'], message: 'expected package or dir, one of them' })
  const { compression, level } = written.squashfs
  const most = { zstd: 22, gzip: 9, xz: 0, lz4: 0 }[compression]
  if (level !== undefined && level > most)
    found.push({
      path: ['squashfs', 'level'],
      message: most === 0 ? `${compression} has no levels` : `expected a level of ${compression} from 1 to ${most}, got ${level}`,
    })
  for (const [at, component] of written.composition.entries()) {
    try {
      parseComposition(JSON.stringify(component), 'it')
    } catch (error) {
      if (!isPsyblobError(error)) throw error
      found.push({ path: ['composition', at], message: error.message.replace(/^it, line 1: /, '') })
    }
  }
  if (written.distribution === 'alpine' && (written.branch === undefined) === (written.repositories === undefined))
    found.push({ path: ['branch'], message: 'expected branch, e.g. v3.21, or repositories, one of them' })
  // what older branches have is older than 20.19
  const minor = written.distribution === 'alpine' ? /^v3\.(\d+)$/.exec(written.branch ?? '')?.[1] : undefined
  if (minor !== undefined && Number(minor) < 21 && (written.program ?? 'bundle') === 'bundle')
    found.push({ path: ['branch'], message: `the Node.js of v3.${minor} is too old for psyblob: take v3.21 or newer, or program none` })
  if (written.distribution === 'none') {
    if (kernel === undefined) found.push({ path: ['kernel'], message: 'missing: without a distribution it is a map with dir' })
    else if (typeof kernel === 'string' || kernel.package !== undefined)
      found.push({ path: ['kernel'], message: 'without a distribution there are no packages: it is a map with dir' })
  }
  if (written.distribution === 'debian' && written.variant === 'extract' && written.commands.length > 0)
    found.push({ path: ['commands'], message: 'the variant extract only unpacks: no commands run in it' })
  if (written.distribution === 'debian')
    for (const [at, line] of (written.repositories ?? []).entries())
      if (!/^deb\s+(\[[^\]]*\]\s+)?\S+\s+\S+/.test(line))
        found.push({ path: ['repositories', at], message: 'expected a line such as deb http://deb.debian.org/debian bookworm main' })
  const recipe = recipeOf(written, dir)
  if (recipe.psyblob.program === 'bundle' && recipe.root.distribution !== 'none' && !recipe.root.packages.some(isNode20))
    found.push({
      path: [written.program === undefined ? 'packages' : 'program'],
      message: 'a bundle runs on Node.js: add the package nodejs',
    })
  if (recipe.psyblob.program === 'none' && recipe.psyblob.agent !== undefined)
    found.push({ path: ['agent'], message: 'an agent without psyblob in the image: program is none' })
  found.push(...agentContradictions(recipe, written))
  return found
}

/** A service that could do nothing, or that could never call a boot healthy. */
function agentContradictions({ psyblob, initramfs, files, root }: Recipe, written: Written): readonly Complaint[] {
  const { agent, composition } = psyblob
  if (agent === undefined) return []
  const found: Complaint[] = []
  const isOwn = files.some(({ path }) => path === '/etc/composition') || root.distribution === 'none'
  if (composition.length === 0 && !isOwn)
    found.push({
      path: ['agent'],
      message: 'an agent that nothing tells what to keep up to date: add a composition, or the file /etc/composition',
    })
  const patience = parseDuration('patience', agent.patience) / 1000
  // the agent itself is started a while after the watchdog
  if (initramfs.watchdog > 0 && patience >= initramfs.watchdog)
    found.push({
      path: written.initramfs.watchdog === undefined ? ['agent'] : ['initramfs', 'watchdog'],
      message: `the watchdog resets the machine after ${initramfs.watchdog} seconds, before the agent's patience of ${agent.patience} is over`,
    })
  return found
}

function isNode20(name: string): boolean {
  return /^nodejs(-current|-lts)?([=<>~/].*)?$/.test(name)
}

/** The recipe with everything that was not said. */
function recipeOf(written: Written, dir: string): Recipe {
  const architecture = written.architecture ?? (process.arch === 'arm64' ? 'aarch64' : 'x86_64')
  const { agent } = written
  const options = agent === true ? { every: '1h', jitter: '10m', reboot: 'always', patience: '5m' } : agent
  const { compression, level = compression === 'zstd' ? 15 : undefined, block, fragments } = written.squashfs
  const { 'command-line': commandLine, 'extra-programs': extraPrograms, timeout, serial } = written.efisys
  return {
    name: written.name,
    dir,
    architecture,
    root: rootOf(written),
    exclude: written.exclude,
    commands: written.commands,
    files: written.files.map(fileOf),
    kernel: kernelOf(written, architecture),
    initramfs: { modules: written.initramfs.modules, watchdog: written.initramfs.watchdog ?? (options === false ? 0 : 600) },
    squashfs: { compression, level, block, fragments },
    psyblob: {
      program: written.program ?? programOf(written),
      agent: options === false ? undefined : options,
      composition: written.composition,
    },
    efisys: { commandLine, timeout, serial, extraPrograms },
  }
}

function rootOf(written: Written): RootSource {
  if (written.distribution === 'none') return { distribution: 'none', from: written.from }
  const { keys, packages } = written
  if (written.distribution === 'alpine') {
    const repositories =
      written.repositories ?? ['main', 'community'].map((name) => `https://dl-cdn.alpinelinux.org/alpine/${written.branch}/${name}`)
    return { distribution: 'alpine', repositories, keys, packages }
  }
  const { suite, variant } = written
  return { distribution: 'debian', suite, variant, repositories: written.repositories ?? debianRepositories(suite), keys, packages }
}

function debianRepositories(suite: string): readonly string[] {
  const mirror = 'deb http://deb.debian.org/debian'
  // these have neither updates nor security of their own
  if (['sid', 'unstable', 'experimental'].includes(suite)) return [`${mirror} ${suite} main`]
  return [`${mirror} ${suite} main`, `${mirror} ${suite}-updates main`, `${mirror}-security ${suite}-security main`]
}

function fileOf({ path, mode, text, from, link }: Written['files'][number]): RecipeFile {
  if (text !== undefined) return { path, mode: mode ?? 0o644, content: { text } }
  if (from !== undefined) return { path, mode: mode ?? 0o644, content: { from } }
  if (link !== undefined) return { path, mode: 0o777, content: { link } }
  return { path, mode: mode ?? 0o755, content: 'folder' }
}

function kernelOf({ kernel, distribution }: Written, architecture: Recipe['architecture']): KernelSource {
  if (typeof kernel === 'string') return { package: kernel }
  if (kernel?.dir !== undefined) return { dir: kernel.dir }
  if (kernel?.package !== undefined) return { package: kernel.package }
  return { package: distribution === 'alpine' ? 'linux-lts' : `linux-image-${architecture === 'aarch64' ? 'arm64' : 'amd64'}` }
}

/** Alpine's Node is new enough since v3.21, Debian's since trixie; a single executable needs none, but the C library it was made with. */
function programOf(written: Written): Recipe['psyblob']['program'] {
  if (written.distribution === 'none') return 'none'
  if (written.distribution === 'alpine') return 'bundle'
  return written.suite !== 'bookworm' && written.packages.some(isNode20) ? 'bundle' : 'executable'
}
