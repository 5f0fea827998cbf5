// From files to entries: those of slots by what their names say, those of a tree as they are (spec/manifest.md 4 and 8).
import { setImmediate } from 'node:timers/promises'
import type { CID, Entry, EntryBlob, Manifest, Report } from '../core/mod.ts'
import type { Licences } from './licences.ts'
import { isPatchable } from './patches/content.ts'
import { isWorthCutting, type ReleaseFile } from './release-folder.ts'
import { SmallFiles, smallFile } from './small-files.ts'
import type { TreeItem } from './tree-folder.ts'
import type { Uploads } from './uploads.ts'

type RecordOptions = {
  readonly uploads: Uploads
  /** The release that is pointed to. What it has with the same size is likely the same. */
  readonly current: Manifest | undefined
  readonly report: Report
  readonly signal?: AbortSignal | undefined
}

export async function slotRecords(files: readonly ReleaseFile[], options: RecordOptions): Promise<readonly Entry[]> {
  const { uploads } = options
  const onBytes = counted(files, options.report)
  const isLikely = likely(options.current)
  const records: Entry[] = []
  for (const file of files) {
    const chunked = isWorthCutting(file.role) || ((await isPatchable(file.source)) ? 'coarse' : false)
    const bin = await uploads.file(file.source, { chunked, isLikely: isLikely(file), size: file.size, onBytes })
    const mod = 0o100000 | (file.executable ? 0o755 : 0o644)
    records.push({ path: file.path, role: file.role, mod, uid: 0, gid: 0, target: null, licence: null, bin, ccs: null })
  }
  return records
}

/** Small files are hashed a few hundred at a time, large ones cut; several names of one file, and several files with one content, are one blob. */
export async function treeRecords(
  { dir, items, licences }: { readonly dir: string; readonly items: readonly TreeItem[]; readonly licences: Licences },
  { uploads, current, report, signal }: RecordOptions,
): Promise<readonly Entry[]> {
  const sizes = items.map(({ state }) => ({ size: state?.size ?? 0 }))
  const onBytes = counted(sizes, report)
  const isLikely = likely(current)
  const small = new SmallFiles()
  const linked = new Map<number, EntryBlob>()
  const records: Entry[] = []
  let since = 0
  for (const { path, mod, uid, gid, target, state } of items) {
    let bin: EntryBlob | null = null
    if (state !== undefined) {
      const { size, ino, nlink } = state
      const source = `${dir}${path}`
      const same = nlink > 1 ? linked.get(ino) : undefined
      if (same !== undefined) onBytes(size)
      else if (size > smallFile) bin = await uploads.file(source, { chunked: true, isLikely: isLikely({ path, size }), size, onBytes })
      else {
        const cid: CID = small.hash(source, { size, expected: state })
        uploads.known(cid, size, { folder: dir, path })
        bin = { cid, size }
        onBytes(size)
      }
      bin = same ?? bin
      if (nlink > 1 && bin !== null) linked.set(ino, bin)
      since += size + 20_000
      if (since > 16 * smallFile) {
        since = 0
        await setImmediate(undefined, { signal })
      }
    }
    const { licence, ccs } = target === null && state !== undefined ? licences.of(path) : { licence: null, ccs: null }
    records.push({ path, role: 'file', mod, uid, gid, target, licence, bin, ccs })
  }
  return records
}

function counted(files: readonly { readonly size: number }[], report: Report): (bytes: number) => void {
  const total = files.reduce((sum, file) => sum + file.size, 0)
  let done = 0
  return (bytes) => {
    done += bytes
    report({ type: 'bytes', done, total })
  }
}

function likely(current: Manifest | undefined): (file: { readonly path: string; readonly size: number }) => boolean {
  const sizes = new Map(current?.records.map(({ path, bin }) => [path, bin?.size]))
  return ({ path, size }) => sizes.get(path) === size
}
