// The blobs of a release on their way to a repository: copied there, hashed and cut from the copy, named when it is known what they are.
import { stat } from 'node:fs/promises'
import { type Bytes, type CID, type EntryBlob, isPsyblobError, type Report } from '../core/mod.ts'
import { hasCode } from './files.ts'
import { indexTree } from './index-tree.ts'
import { type Cutting, changedWhileRead, fileBytes, type Ingested, ingest } from './ingest.ts'
import type { RemoteWriter, Staged } from './remote.ts'
import { SmallFiles, smallFile } from './small-files.ts'

/** Smaller files are quicker read twice than copied first. */
const stagedAbove = 1024 * 1024

type Upload = {
  readonly cid: CID
  readonly size: number
  /** Where it comes from, `folder` followed by `path`; for bytes that came of a file, that file. */
  readonly folder: string
  readonly path: string
  /** Undefined for those of the file itself. */
  readonly bytes: Uint8Array | undefined
  readonly staged: Staged | undefined
}

export type UploadOptions = { readonly report: Report; readonly signal: AbortSignal | undefined }
type FileOptions = {
  readonly chunked: Cutting
  /** The repository has it already, by all appearances: it is hashed where it lies. */
  readonly isLikely: boolean
  readonly size: number
  readonly onBytes: (bytes: number) => void
}

export class Uploads {
  readonly #remote: RemoteWriter
  readonly #options: UploadOptions
  readonly #blobs = new Map<CID, Upload>()

  constructor(remote: RemoteWriter, options: UploadOptions) {
    this.#remote = remote
    this.#options = options
  }

  /** How many blobs the release has, indexes included. */
  get count(): number {
    return this.#blobs.size
  }

  /** A file that was hashed already: `path` in `folder`, two texts that others have as well. */
  known(cid: CID, size: number, { folder, path }: { readonly folder: string; readonly path: string }): void {
    if (!this.#blobs.has(cid)) this.#blobs.set(cid, { cid, size, folder, path, bytes: undefined, staged: undefined })
  }

  /** Hashes a file, and cuts it when it is worth that; answers its blob as a manifest names it. */
  async file(path: string, { chunked, isLikely, size: stated, onBytes }: FileOptions): Promise<EntryBlob> {
    const { signal } = this.#options
    const before = await stateOf(path)
    const staged = !isLikely && stated > stagedAbove ? await this.#remote.stage(path) : undefined
    let ingested: Ingested
    try {
      ingested = await ingest(staged?.path ?? path, { chunked, onBytes, signal })
    } catch (error) {
      await staged?.drop()
      throw hasCode(error, 'ENOENT') ? changedWhileRead(path, error) : error
    }
    const { cid, size, index } = ingested
    if ((await stateOf(path)) !== before) {
      await staged?.drop()
      throw changedWhileRead(path, undefined)
    }
    if (this.#blobs.has(cid)) await staged?.drop()
    else this.#blobs.set(cid, { cid, size, folder: '', path, bytes: undefined, staged })
    const tree = index === undefined ? undefined : indexTree(index.bytes)
    for (const { cid: name, bytes } of tree?.blobs ?? [])
      this.#blobs.set(name, { cid: name, size: bytes.length, folder: '', path, bytes, staged: undefined })
    return { cid, size, ...(tree === undefined ? {} : { index: tree.index }) }
  }

  /**
   * Puts there what is not there, and answers how much that was. With `hashed` what is there is read, and replaced when it is not what it
   * is called.
   */
  async send({ hashed }: { readonly hashed: boolean }): Promise<{ readonly bytes: number; readonly blobs: number }> {
    const { report, signal } = this.#options
    const sum = { bytes: 0, blobs: 0 }
    let total = [...this.#blobs.values()].reduce((all, blob) => all + blob.size, 0)
    let done = 0
    const onBytes = (bytes: number) => {
      done += bytes
      report({ type: 'bytes', done, total })
    }
    try {
      const lacking = await this.#remote.lacking(this.#blobs.values(), { hashed, signal, onBytes: hashed ? onBytes : () => undefined })
      const missing = [...this.#blobs.values()].filter(({ cid }) => lacking.has(cid))
      for (const { size } of missing) sum.bytes += size
      sum.blobs = missing.length
      if (!hashed) total = sum.bytes
      const isSmall = ({ size, staged }: Upload) => size <= smallFile && staged === undefined
      await this.#putSmall(missing.filter(isSmall), onBytes)
      for (const blob of missing.filter((one) => !isSmall(one))) {
        signal?.throwIfAborted()
        await this.#put(blob, onBytes)
      }
    } finally {
      await this.drop()
    }
    return sum
  }

  async #putSmall(blobs: readonly Upload[], onBytes: (bytes: number) => void): Promise<void> {
    const files = new SmallFiles()
    let path = ''
    const given = function* () {
      for (const blob of blobs) {
        path = `${blob.folder}${blob.path}`
        yield { cid: blob.cid, bytes: blob.bytes ?? files.read(path, { size: blob.size }) }
        onBytes(blob.size)
      }
    }
    await this.#remote.putMany(given(), this.#options).catch((error: unknown) => {
      throw isPsyblobError(error, 'corrupt') ? changedWhileRead(path, error) : error
    })
  }

  async #put({ cid, folder, path: name, bytes, staged }: Upload, onBytes: (bytes: number) => void): Promise<void> {
    const path = `${folder}${name}`
    if (staged !== undefined) return staged.keep(cid)
    const { signal } = this.#options
    const counted = async function* (): Bytes {
      if (bytes !== undefined) return yield bytes
      for await (const piece of fileBytes(path, { signal })) {
        onBytes(piece.length)
        yield piece
      }
    }
    await this.#remote.put(cid, counted()).catch((error: unknown) => {
      throw isPsyblobError(error, 'corrupt') || hasCode(error, 'ENOENT') ? changedWhileRead(path, error) : error
    })
  }

  /** Copies that were not kept are not needed. */
  async drop(): Promise<void> {
    for (const { staged } of this.#blobs.values()) await staged?.drop()
  }
}

/** Changes when somebody writes to the file or puts another in its place. */
async function stateOf(path: string): Promise<string> {
  try {
    const { size, ino, mtimeNs, ctimeNs } = await stat(path, { bigint: true })
    return `${size} ${ino} ${mtimeNs} ${ctimeNs}`
  } catch (error) {
    throw hasCode(error, 'ENOENT') ? changedWhileRead(path, error) : error
  }
}
