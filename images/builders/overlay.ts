// What a recipe and psyblob add to a root file system, above what the distribution put there.
import { lstat, readdir, readlink, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { PsyblobError, visible } from '../../core/mod.ts'
import { translated } from '../../store/mod.ts'
import type { RootEntry } from './builder.ts'
import type { Recipe } from './recipe.ts'
import { type RootTree, rootNode, type TreeNode } from './root-tree.ts'

/** The recipe's own files. A folder brings everything in it along. Throws `not-found`, `malformed`. */
export async function recipeEntries({ dir, files }: Recipe): Promise<readonly RootEntry[]> {
  const entries: RootEntry[] = []
  for (const { path, mode, content } of files) {
    if (content === 'folder' || 'link' in content) entries.push({ path, mode, content })
    else if ('text' in content) entries.push({ path, mode, content: { bytes: Buffer.from(content.text, 'utf8') } })
    else entries.push(...(await entriesFrom(resolve(dir, content.from), path, mode)))
  }
  return entries
}

/** The file `source` at `path`, or the folder with what is in it: there a file is 0755 when its owner may run it, else 0644. */
async function entriesFrom(source: string, path: string, mode: number): Promise<readonly RootEntry[]> {
  const state = await stat(source).catch((cause: unknown) => {
    throw new PsyblobError('not-found', `${visible(path)}: there is no ${visible(source)}`, {
      cause,
      hint: 'check from: in the recipe; paths begin in the folder of the recipe',
    })
  })
  if (!state.isDirectory()) return [{ path, mode, content: { file: source } }]
  const entries: RootEntry[] = [{ path, mode: 0o755, content: 'folder' }]
  for (const name of (await readdir(source)).sort()) {
    const [from, to] = [join(source, name), `${path.replace(/\/$/, '')}/${name}`]
    const inner = await lstat(from)
    if (inner.isSymbolicLink()) entries.push({ path: to, mode: 0o777, content: { link: await readlink(from) } })
    else if (inner.isDirectory() || inner.isFile())
      entries.push(...(await entriesFrom(from, to, (inner.mode & 0o100) === 0 ? 0o644 : 0o755)))
    else throw new PsyblobError('malformed', `${visible(from)} is no file, folder or link`, { hint: 'take it out of that folder' })
  }
  return entries
}

/** Lays `entries` over `tree`, in their order: a later one replaces an earlier one. */
export async function layOver(tree: RootTree, entries: readonly RootEntry[]): Promise<void> {
  for (const entry of entries) {
    const path = bytesText(entry.path).replace(/^\/+|\/+$/g, '')
    tree.put(path, await nodeOf(entry))
  }
}

async function nodeOf({ mode, content }: RootEntry): Promise<TreeNode> {
  if (content === 'folder') return rootNode({ kind: 'folder', mode })
  if ('link' in content) return rootNode({ kind: 'symlink', mode: 0o777, link: bytesText(content.link) })
  if ('bytes' in content) return rootNode({ kind: 'file', mode, content })
  const { file } = content
  try {
    return rootNode({ kind: 'file', mode, content: { file, size: (await stat(file)).size } })
  } catch (error) {
    throw translated(error, `reading ${file}`)
  }
}

/** As trees have paths: one byte a character. */
function bytesText(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}
