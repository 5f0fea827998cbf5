// What a folder becomes: entries for slots, or those of a tree.
import { type Entry, isTree, type Manifest, PsyblobError, type Report, visible } from '../core/mod.ts'
import { spareMemory } from './heap.ts'
import { Licences } from './licences.ts'
import { releaseFiles } from './release-folder.ts'
import { slotRecords, treeRecords } from './release-records.ts'
import { countsOf, looksLikeTree, type TreeFolder, treeFolder } from './tree-folder.ts'
import type { Uploads } from './uploads.ts'

export type TreeCounts = {
  readonly files: number
  readonly folders: number
  readonly links: number
  /** Files of which neither licence nor source is said. */
  readonly unlicensed: number
}

export type Described = {
  readonly records: readonly Entry[]
  readonly tree: TreeCounts | null
  /** To be called when the blobs are uploaded. */
  close(): void
}

type FolderOptions = {
  readonly dir: string
  readonly kind?: 'tree' | 'slots' | undefined
  readonly postExec?: string | undefined
  /** A file that says which files are under which licence. */
  readonly licenceMap?: string | undefined
  /** A folder of source packages. */
  readonly sources?: string | undefined
  readonly report: Report
  readonly signal?: AbortSignal | undefined
}

/** The entries of a folder; their blobs are with `uploads`. Throws `usage` for what cannot be published, `conflict` for what changes. */
export async function describe(
  { dir, kind, postExec, licenceMap, sources, report, signal }: FolderOptions,
  { uploads, current }: { readonly uploads: Uploads; readonly current: Manifest | undefined },
): Promise<Described> {
  const options = { uploads, current, report, signal }
  try {
    if ((kind ?? guessed(dir, current)) === 'slots') {
      const files = await releaseFiles(dir)
      report({ type: 'step', step: 'hash', about: `${files.length} files` })
      return { records: await slotRecords(files, options), tree: null, close: () => undefined }
    }
    spareMemory()
    const root = dir.replace(/\/+$/, '')
    const found = await treeFolder(root, { signal })
    warn(found, { dir, report })
    if (postExec !== undefined) checkPostExec(found, postExec)
    const counts = countsOf(found.items)
    report({ type: 'step', step: 'hash', about: `${counts.files} files` })
    const paths = found.items.flatMap(({ path, state }) => (state === undefined ? [] : [path]))
    const licences = await Licences.open(paths, { dir: root, licenceMap, sources, uploads })
    const records = await treeRecords({ dir: root, items: found.items, licences }, options)
    const isUnsaid = (record: Entry) => record.bin !== null && record.licence === null && record.ccs === null
    return { records, tree: { ...counts, unlicensed: records.filter(isUnsaid).length }, close: () => licences.close() }
  } catch (error) {
    await uploads.drop()
    throw error
  }
}

/** A product stays what it was; a new one is a tree when it looks like a system. */
function guessed(dir: string, current: Manifest | undefined): 'tree' | 'slots' {
  const looks = current === undefined ? looksLikeTree(dir) : isTree(current.records)
  return looks ? 'tree' : 'slots'
}

function warn({ special, mounts }: TreeFolder, { dir, report }: { readonly dir: string; readonly report: Report }): void {
  if (special.count > 0)
    report({
      type: 'warning',
      text: `left out ${special.count} of ${dir} that are no files, folders or links: devices, pipes, sockets; the first is ${special.first}`,
    })
  if (mounts.length > 0) {
    const told = mounts.slice(0, 5).join(', ')
    report({
      type: 'warning',
      text: `other file systems are mounted in ${dir} and left out, but for the folders they are mounted on: ${told}${mounts.length > 5 ? ` and ${mounts.length - 5} more` : ''}`,
    })
  }
}

function checkPostExec({ items }: TreeFolder, path: string): void {
  if (items.some((item) => item.path === path && item.state !== undefined)) return
  throw new PsyblobError('usage', `--post-exec names no plain file of the tree: ${visible(path)}`, {
    hint: 'name it as it will be on a node, e.g. --post-exec /usr/lib/base-system/post-exec',
  })
}
