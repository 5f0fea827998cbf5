// A kernel's modules as depmod(8) describes them: which there are, what each needs, in which order they are loaded.
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { PsyblobError, visible } from '../../core/mod.ts'
import { hasCode, translated } from '../../store/mod.ts'
import { type Run, requirePrograms } from '../run.ts'
import { decompress } from './zstd.ts'

export type ModuleTree = {
  /** Of the kernel, as uname -r gives it. */
  readonly version: string
  /** The folder with modules.dep. */
  readonly dir: string
  /** Built into the kernel. */
  readonly builtin: ReadonlySet<string>
  /** Path of a module, relative to `dir`, by its name. */
  readonly paths: ReadonlyMap<string, string>
  /** Paths that a path needs; the last is loaded first. */
  readonly needs: ReadonlyMap<string, readonly string[]>
  /** Names that a name should be loaded after, and before. */
  readonly soft: ReadonlyMap<string, { readonly pre: readonly string[]; readonly post: readonly string[] }>
  /** Other names of modules. Those with wildcards are for hardware, and left out. */
  readonly aliases: ReadonlyMap<string, readonly string[]>
}

/** `-` and `_` are one letter in a module's name. */
function moduleName(path: string): string {
  return (path.split('/').at(-1) ?? '').replace(/\.ko(\.(gz|xz|zst))?$/, '').replaceAll('-', '_')
}

/** The folder with the modules of one kernel version: `dir` itself, or below it where packages have it. Throws `not-found`, `usage`. */
export async function findModules(dir: string): Promise<{ readonly dir: string; readonly version: string }> {
  const found: { dir: string; version: string }[] = []
  for (const place of ['lib/modules', 'usr/lib/modules', 'modules/lib/modules', 'modules']) {
    for (const version of await names(join(dir, place))) {
      if ((await names(join(dir, place, version))).includes('kernel')) found.push({ dir: join(dir, place, version), version })
    }
    // /lib is a link to /usr/lib where both are there
    if (found.length > 0) break
  }
  const [first] = found
  if (found.length > 1)
    throw new PsyblobError(
      'usage',
      `${visible(dir)} has modules of several kernels: ${found.map(({ version }) => visible(version)).join(', ')}`,
      {
        hint: 'leave one there',
      },
    )
  if (first !== undefined) return first
  const own = await names(dir)
  const version = dir.replace(/\/+$/, '').split('/').at(-1)
  if (own.includes('kernel') && version !== undefined) return { dir, version }
  throw new PsyblobError('not-found', `no kernel modules in ${visible(dir)}`, {
    hint: 'name a folder with lib/modules/VERSION in it, as psyblob build kernel makes one',
  })
}

async function names(dir: string): Promise<readonly string[]> {
  return readdir(dir).catch((error: unknown) => {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return []
    throw translated(error, `reading ${dir}`)
  })
}

/** Errors: `not-found`, `usage`. */
export async function openModules(place: string): Promise<ModuleTree> {
  const { dir, version } = await findModules(place)
  const lines = async (name: string): Promise<readonly string[]> => {
    const text = await readFile(join(dir, name), 'utf8').catch((error: unknown) => {
      if (hasCode(error, 'ENOENT')) return undefined
      throw translated(error, `reading ${join(dir, name)}`)
    })
    if (text === undefined && name === 'modules.dep')
      throw new PsyblobError('not-found', `${visible(dir)} has no modules.dep`, { hint: `depmod -b ROOT ${visible(version)} makes it` })
    return (text ?? '').split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  }
  const needs = new Map<string, readonly string[]>()
  for (const line of await lines('modules.dep')) {
    const [path = '', rest = ''] = line.split(':')
    needs.set(
      path,
      rest.split(' ').filter((word) => word !== ''),
    )
  }
  const soft = new Map<string, { pre: string[]; post: string[] }>()
  for (const line of await lines('modules.softdep')) {
    const [, name = '', ...words] = line.split(/\s+/)
    const of = soft.get(moduleName(name)) ?? { pre: [], post: [] }
    let into: string[] = []
    for (const word of words) {
      if (word === 'pre:') into = of.pre
      else if (word === 'post:') into = of.post
      else into.push(moduleName(word))
    }
    soft.set(moduleName(name), of)
  }
  const aliases = new Map<string, string[]>()
  for (const line of await lines('modules.alias')) {
    const [, alias = '', name = ''] = line.split(' ')
    if (/[*?[]/.test(alias)) continue
    const of = moduleName(alias)
    aliases.set(of, [...(aliases.get(of) ?? []), moduleName(name)])
  }
  return {
    version,
    dir,
    builtin: new Set((await lines('modules.builtin')).map(moduleName)),
    paths: new Map([...needs.keys()].map((path) => [moduleName(path), path])),
    needs,
    soft,
    aliases,
  }
}

/**
 * The paths of what is wanted and of what that needs, in the order they are loaded in, each once. What is built in needs no loading;
 * of `usual` what the kernel does not have is left out. Throws `not-found` for one of `named` that it does not have.
 */
export function loadOrder(
  tree: ModuleTree,
  { usual, named }: { readonly usual: readonly string[]; readonly named: readonly string[] },
): readonly string[] {
  const order = new Set<string>()
  const begun = new Set<string>()
  const visit = (path: string): void => {
    if (begun.has(path)) return
    begun.add(path)
    const soft = tree.soft.get(moduleName(path))
    for (const name of soft?.pre ?? []) for (const before of resolve(tree, name) ?? []) visit(before)
    for (const need of (tree.needs.get(path) ?? []).toReversed()) visit(need)
    order.add(path)
    for (const name of soft?.post ?? []) for (const after of resolve(tree, name) ?? []) visit(after)
  }
  for (const name of usual) for (const path of resolve(tree, name) ?? []) visit(path)
  for (const name of named) {
    const paths = resolve(tree, name)
    if (paths === undefined) throw missing(tree, name)
    for (const path of paths) visit(path)
  }
  return [...order]
}

/** Undefined: the kernel does not have it. An empty list: built in. */
function resolve(tree: ModuleTree, name: string): readonly string[] | undefined {
  const wanted = moduleName(name)
  const path = tree.paths.get(wanted)
  if (path !== undefined) return [path]
  if (tree.builtin.has(wanted)) return []
  return tree.aliases.get(wanted)?.flatMap((other) => tree.paths.get(other) ?? [])
}

function missing(tree: ModuleTree, name: string): PsyblobError {
  const wanted = moduleName(name)
  const like = [...tree.paths.keys(), ...tree.builtin].filter((other) => other.includes(wanted) || wanted.includes(other)).sort()
  return new PsyblobError('not-found', `kernel ${visible(tree.version)} has no module ${visible(name)}`, {
    hint:
      like.length > 0
        ? `it has: ${like.slice(0, 8).map(visible).join(', ')}`
        : 'modules.dep lists what it has; another kernel package may have more',
  })
}

/** A module as insmod takes it. Errors: `unsupported` (no xz to undo it with), `corrupt`. */
export async function moduleBytes(path: string, run: Run): Promise<Uint8Array> {
  const bytes = await readFile(path).catch((error: unknown) => {
    throw translated(error, `reading ${path}`)
  })
  if (path.endsWith('.zst')) return decompress(bytes, path)
  if (path.endsWith('.xz')) {
    await requirePrograms(['xz'])
    return (await run(['xz', '--decompress', '--stdout'], { input: bytes })).stdout
  }
  if (!path.endsWith('.gz')) return bytes
  try {
    return gunzipSync(bytes)
  } catch (cause) {
    throw new PsyblobError('corrupt', `${visible(path)} is not what gzip makes`, {
      cause,
      hint: 'it is damaged: unpack the kernel’s package again, or copy the module again',
    })
  }
}
