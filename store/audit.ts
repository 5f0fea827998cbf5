// The audit of files against a manifest: every byte hashed again, each bad file and bad range named.
import { lstat, open } from 'node:fs/promises'
import { join } from 'node:path'
import { type ChunkIndex, type CID, cidOf, type Entry, kindOf, type Manifest } from '../core/mod.ts'
import { blake3 } from './blake3.ts'
import { hasCode, readFull } from './files.ts'
import { sameBytes } from './seeds.ts'

/** Bytes `offset` to `offset + length` are not what was signed. */
export type BadRange = { readonly offset: number; readonly length: number }

export type Finding = {
  readonly path: string
  readonly problem: 'missing' | 'changed' | 'wrong size' | 'wrong type' | 'wrong mode' | 'unreadable' | 'unexpected'
  readonly expected?: CID
  readonly got?: CID
  /** Where it is bad, when the blob has an index that is at hand. */
  readonly ranges?: readonly BadRange[]
}

export type AuditOptions = {
  /** The index of an entry's blob when it is at hand. */
  readonly indexOf: (record: Entry) => Promise<ChunkIndex | undefined>
  readonly onBytes?: (bytes: number) => void
  readonly signal?: AbortSignal | undefined
}

/** Compares every file of `manifest` below `dir` with what was signed. */
export async function auditFolder(dir: string, manifest: Manifest, options: AuditOptions): Promise<readonly Finding[]> {
  const findings: Finding[] = []
  for (const record of manifest.records) {
    options.signal?.throwIfAborted()
    const finding = kindOf(record) === 'file' ? await auditFile(dir, record, options) : undefined
    if (finding !== undefined) findings.push(finding)
  }
  return findings
}

async function auditFile(dir: string, record: Entry, options: AuditOptions): Promise<Finding | undefined> {
  const { path, bin } = record
  if (bin === null) return undefined
  const place = join(dir, path)
  try {
    const state = await lstat(place)
    if (!state.isFile()) return { path, problem: 'wrong type', expected: bin.cid }
    const index = await options.indexOf(record)
    const { cid, ranges } = await hashByChunks(place, index, options)
    if (cid === bin.cid) return (state.mode & 0o7777) === (record.mod & 0o7777) ? undefined : { path, problem: 'wrong mode' }
    return {
      path,
      problem: state.size === bin.size ? 'changed' : 'wrong size',
      expected: bin.cid,
      got: cid,
      ...(index === undefined ? {} : { ranges }),
    }
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return { path, problem: 'missing', expected: bin.cid }
    if (hasCode(error, 'EIO', 'EACCES')) return { path, problem: 'unreadable', expected: bin.cid }
    throw error
  }
}

async function hashByChunks(
  path: string,
  index: ChunkIndex | undefined,
  { onBytes, signal }: AuditOptions,
): Promise<{ cid: CID; ranges: BadRange[] }> {
  const engine = blake3()
  const whole = engine.create()
  const window = Buffer.allocUnsafeSlow(4 * 1024 * 1024)
  const ranges: { offset: number; length: number }[] = []
  const bad = (offset: number, length: number) => {
    const last = ranges.at(-1)
    if (last !== undefined && last.offset + last.length === offset) last.length += length
    else ranges.push({ offset, length })
  }
  const file = await open(path, 'r')
  try {
    let chunk = 0
    for (let at = 0; ; ) {
      signal?.throwIfAborted()
      const got = await readFull(file, window, at)
      if (got === 0) break
      // without an index all is taken; with one, whole chunks, so that none is cut by the window
      let used = got
      if (index !== undefined && chunk < index.count) {
        used = 0
        for (; chunk < index.count && used + index.length(chunk) <= got; chunk++) {
          const length = index.length(chunk)
          if (!sameBytes(engine.digest(window.subarray(used, used + length)), index.digest(chunk))) bad(at + used, length)
          used += length
        }
        if (used === 0) {
          bad(at, got)
          used = got
          chunk = index.count
        }
      } else if (index !== undefined) bad(at, got)
      whole.update(window.subarray(0, used))
      onBytes?.(used)
      at += used
    }
    const { size } = await file.stat()
    if (index !== undefined && size < index.size) bad(size, index.size - size)
    return { cid: cidOf(whole.digest()), ranges }
  } finally {
    await file.close()
  }
}
