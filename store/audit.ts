// The audit of files against a manifest: every byte hashed again, each bad file and bad range named.
import { lstat, open } from 'node:fs/promises'
import { join } from 'node:path'
import { type ChunkIndex, type CID, cidOf, type Entry, isPsyblobError, kindOf, limits, type Manifest } from '../core/mod.ts'
import { blake3 } from './blake3.ts'
import { borrow, giveBack } from './buffers.ts'
import { hasCode, readFull } from './files.ts'
import { fileBytes } from './ingest.ts'
import { sameBytes } from './seeds.ts'

/** Bytes `offset` to `offset + length` are not what was signed. */
export type BadRange = { readonly offset: number; readonly length: number }

export type Finding = {
  readonly path: string
  readonly problem:
    | 'missing'
    | 'changed'
    | 'wrong size'
    | 'wrong type'
    | 'wrong target'
    | 'wrong mode'
    | 'wrong owner'
    | 'behind a link'
    | 'behind a mount'
    | 'unreadable'
    | 'unexpected'
    | 'malformed'
    | 'untrusted'
  /** What was wrong, of documents. */
  readonly why?: string
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
    const cid = await hashFile(place, options)
    if (cid === bin.cid) return (state.mode & 0o7777) === (record.mod & 0o7777) ? undefined : { path, problem: 'wrong mode' }
    const index = await options.indexOf(record)
    return {
      path,
      problem: state.size === bin.size ? 'changed' : 'wrong size',
      expected: bin.cid,
      got: cid,
      ...(index === undefined ? {} : { ranges: await badRanges(place, index, options.signal) }),
    }
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return { path, problem: 'missing', expected: bin.cid }
    if (hasCode(error, 'EIO', 'EACCES') || isPsyblobError(error, 'corrupt', 'unsupported'))
      return { path, problem: 'unreadable', expected: bin.cid }
    throw error
  }
}

async function hashFile(path: string, { onBytes, signal }: AuditOptions): Promise<CID> {
  const hasher = blake3().create()
  for await (const piece of fileBytes(path, { signal })) {
    hasher.update(piece)
    onBytes?.(piece.length)
  }
  return cidOf(hasher.digest())
}

/** Where a file is not what its index says: read again chunk by chunk, for that is needed of damaged files only. */
async function badRanges(path: string, index: ChunkIndex, signal: AbortSignal | undefined): Promise<readonly BadRange[]> {
  const ranges: { offset: number; length: number }[] = []
  const bad = (offset: number, length: number) => {
    const last = ranges.at(-1)
    if (last !== undefined && last.offset + last.length === offset) last.length += length
    else ranges.push({ offset, length })
  }
  const buffer = borrow(limits.chunk)
  const file = await open(path, 'r')
  try {
    for (let chunk = 0; chunk < index.count; chunk++) {
      signal?.throwIfAborted()
      const [offset, length] = [index.offset(chunk), index.length(chunk)]
      const bytes = buffer.subarray(0, length)
      const got = await readFull(file, bytes, offset)
      if (got < length || !sameBytes(blake3().digest(bytes), index.digest(chunk))) bad(offset, length)
    }
    const { size } = await file.stat()
    if (size > index.size) bad(index.size, size - index.size)
    return ranges
  } finally {
    giveBack(buffer)
    await file.close()
  }
}
