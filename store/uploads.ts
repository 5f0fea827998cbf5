// The blobs of a release on their way to a repository: copied there, hashed and cut from the copy, named when it is known what they are.
import { stat } from 'node:fs/promises'
import { type Bytes, type CID, type Entry, isPsyblobError, type Manifest, type Report } from '../core/mod.ts'
import { hasCode } from './files.ts'
import { indexTree } from './index-tree.ts'
import { changedWhileRead, fileBytes, type Ingested, ingest } from './ingest.ts'
import { isWorthCutting, type ReleaseFile } from './release-folder.ts'
import type { RemoteWriter, Staged } from './remote.ts'

/** Smaller files are quicker read twice than copied first. */
const stagedAbove = 1024 * 1024

type Upload = {
  readonly cid: CID
  readonly size: number
  /** Where it comes from, for messages. */
  readonly path: string
  readonly bytes: () => Bytes
  readonly staged: Staged | undefined
}

export type UploadOptions = { readonly report: Report; readonly signal: AbortSignal | undefined }

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

  /** The entries of `files`. What the `current` release has with that size is hashed where it lies: most of it is there already. */
  async describe(files: readonly ReleaseFile[], current: Manifest | undefined): Promise<readonly Entry[]> {
    const { report } = this.#options
    const total = files.reduce((sum, file) => sum + file.size, 0)
    const records: Entry[] = []
    let done = 0
    const onBytes = (bytes: number) => {
      done += bytes
      report({ type: 'bytes', done, total })
    }
    try {
      for (const file of files) {
        const isLikely = current?.records.some(({ path, bin }) => path === file.path && bin?.size === file.size) === true
        records.push(await this.#describe(file, { isStaged: !isLikely && file.size > stagedAbove, onBytes }))
      }
    } catch (error) {
      await this.#drop()
      throw error
    }
    return records
  }

  /**
   * Puts there what is not there, and answers how much that was. With `hashed` what is there is read, and replaced when it is not what it
   * is called.
   */
  async send({ hashed }: { readonly hashed: boolean }): Promise<{ readonly bytes: number; readonly blobs: number }> {
    const { report, signal } = this.#options
    const total = [...this.#blobs.values()].reduce((sum, blob) => sum + blob.size, 0)
    const sum = { bytes: 0, blobs: 0 }
    let done = 0
    try {
      for (const blob of this.#blobs.values()) {
        signal?.throwIfAborted()
        if (!(await this.#remote.has(blob.cid, blob.size, { hashed }))) {
          await this.#put(blob, (sent) => report({ type: 'bytes', done: done + sent, total }))
          sum.bytes += blob.size
          sum.blobs++
        }
        done += blob.size
        report({ type: 'bytes', done, total })
      }
    } finally {
      await this.#drop()
    }
    return sum
  }

  async #describe(
    file: ReleaseFile,
    { isStaged, onBytes }: { readonly isStaged: boolean; readonly onBytes: (bytes: number) => void },
  ): Promise<Entry> {
    const { signal } = this.#options
    const { source } = file
    const before = await stateOf(source)
    const staged = isStaged ? await this.#remote.stage(source) : undefined
    let ingested: Ingested
    try {
      ingested = await ingest(staged?.path ?? source, { chunked: isWorthCutting(file.role), onBytes, signal })
    } catch (error) {
      await staged?.drop()
      throw hasCode(error, 'ENOENT') ? changedWhileRead(source, error) : error
    }
    const { cid, size, index } = ingested
    if ((await stateOf(source)) !== before) {
      await staged?.drop()
      throw changedWhileRead(source, undefined)
    }
    if (this.#blobs.has(cid)) await staged?.drop()
    else this.#blobs.set(cid, { cid, size, path: source, bytes: () => fileBytes(source, { signal }), staged })
    const tree = index === undefined ? undefined : indexTree(index.bytes)
    for (const { cid: name, bytes } of tree?.blobs ?? []) {
      const one = async function* () {
        yield bytes
      }
      this.#blobs.set(name, { cid: name, size: bytes.length, path: source, bytes: one, staged: undefined })
    }
    return {
      path: file.path,
      role: file.role,
      mod: 0o100000 | (file.executable ? 0o755 : 0o644),
      uid: 0,
      gid: 0,
      target: null,
      licence: null,
      bin: { cid, size, ...(tree === undefined ? {} : { index: tree.index }) },
      ccs: null,
    }
  }

  async #put({ cid, path, bytes, staged }: Upload, onSent: (bytes: number) => void): Promise<void> {
    if (staged !== undefined) return staged.keep(cid)
    let sent = 0
    const counted = async function* (): Bytes {
      for await (const piece of bytes()) {
        sent += piece.length
        onSent(sent)
        yield piece
      }
    }
    await this.#remote.put(cid, counted()).catch((error: unknown) => {
      throw isPsyblobError(error, 'corrupt') || hasCode(error, 'ENOENT') ? changedWhileRead(path, error) : error
    })
  }

  /** Copies that were not kept are not needed. */
  async #drop(): Promise<void> {
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
