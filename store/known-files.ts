// Files that are here and may hold something of a release: what their folder's manifest says of them is a hint.
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type CID, cidOf, type EntryBlob, isPsyblobError, type Manifest } from '../core/mod.ts'
import { blake3 } from './blake3.ts'
import { hasCode, translated } from './files.ts'
import { fileBytes } from './ingest.ts'

/** A folder that holds, or held, a release: the target itself, the other slot. */
export type SeedFolder = { readonly dir: string /** What its manifest says is in it: a hint. */; readonly manifest: Manifest | undefined }

/** The BLAKE3 CID of a file, or undefined when there is none of that size. */
export async function cidOfFile(path: string, size: number, signal?: AbortSignal): Promise<CID | undefined> {
  if ((await sizeOf(path)) !== size) return undefined
  const hasher = blake3().create()
  try {
    for await (const piece of fileBytes(path, { signal })) hasher.update(piece)
  } catch (error) {
    // a seed that cannot be read is no seed
    if (isPsyblobError(error, 'corrupt') || hasCode(error, 'ENOENT')) return undefined
    throw error
  }
  return cidOf(hasher.digest())
}

export async function sizeOf(path: string): Promise<number | undefined> {
  try {
    const state = await stat(path)
    return state.isFile() ? state.size : undefined
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'EIO', 'ELOOP')) return undefined
    throw translated(error, `reading ${path}`)
  }
}

export type Known = { readonly path: string; readonly size: number; readonly bin: EntryBlob | undefined; readonly name: string }

/** Every file of the folder but psyblob's own. */
export async function filesOf(folder: SeedFolder): Promise<readonly Known[]> {
  const said = new Map(folder.manifest?.records.map((record) => [record.path, record.bin ?? undefined]))
  const found: Known[] = []
  const visit = async (dir: string, prefix: string) => {
    for (const entry of await readdir(dir, { withFileTypes: true }).catch(() => [])) {
      const name = `${prefix}/${entry.name}`
      if (entry.isDirectory() && name !== '/.psyblob' && name !== '/lost+found') await visit(join(dir, entry.name), name)
      else if (entry.isFile() && name !== '/manifest' && name !== '/manifest.minisig') {
        const path = join(dir, entry.name)
        const size = await sizeOf(path)
        if (size !== undefined) found.push({ path, size, bin: said.get(name), name })
      }
    }
  }
  await visit(folder.dir, '')
  return found
}
