// A repository in a folder of this machine: a USB stick, a network mount, what a web server serves.
import { constants, copyFile, type FileHandle, open, readdir, realpath, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { type Bytes, type CID, cidOf, type DocumentName, isPsyblobError, PsyblobError } from '../../core/mod.ts'
import { blake3 } from '../blake3.ts'
import { borrow, giveBack } from '../buffers.ts'
import {
  flushFolder,
  hasCode,
  makeFolder,
  readFull,
  readLimited,
  removeAbandoned,
  temporaryBeside,
  translated,
  writeAll,
  writeWhole,
} from '../files.ts'
import { type Lock, lock } from '../lock.ts'
import type { Range, ReadOptions, RemoteWriter, Staged } from '../remote.ts'
import { SmallFiles, smallFile } from '../small-files.ts'
import { checkedBlob } from '../whole.ts'
import { blobName, type GivenBlob, isThere, putMany, type SizedBlob } from './dir-many.ts'

const pieceBytes = 256 * 1024
const incomplete = 'the folder is damaged or incomplete: psyblob verify --remote says what is missing'

export class DirRemote implements RemoteWriter {
  readonly label: string
  readonly #dir: string

  constructor(dir: string) {
    this.#dir = resolve(dir)
    this.label = this.#dir
  }

  /** Nothing stays open between calls. */
  async close(): Promise<void> {}

  async read(name: DocumentName, { limit, signal }: ReadOptions & { readonly limit: number }): Promise<Uint8Array | undefined> {
    signal?.throwIfAborted()
    const file = await this.#open(name)
    if (file === undefined) return undefined
    try {
      const size = (await file.stat()).size
      const bytes = Buffer.allocUnsafeSlow(Math.min(size, limit) + 1)
      const got = await readFull(file, bytes, 0)
      if (got > limit) {
        throw new PsyblobError('malformed', `${name} of ${this.label}: longer than ${limit} bytes`, {
          hint: 'something else lies there: check the path',
        })
      }
      if (got > size)
        throw new PsyblobError('unavailable', `${name} of ${this.label} grew while it was read`, { hint: 'run the same command again' })
      return bytes.subarray(0, got)
    } catch (error) {
      throw translated(error, `reading ${name} of ${this.label}`)
    } finally {
      await file.close()
    }
  }

  get(cid: CID, options: ReadOptions & { readonly size: number }): Bytes {
    const source = this.#pieces(cid, { offset: 0, length: options.size + 1 }, options.signal)
    return checkedBlob(source, { cid, size: options.size, label: this.label })
  }

  async *range(cid: CID, at: Range, options: ReadOptions & { readonly size: number }): Bytes {
    let got = 0
    for await (const piece of this.#pieces(cid, at, options.signal)) {
      got += piece.length
      yield piece
    }
    if (got !== at.length) {
      throw new PsyblobError('unavailable', `blob ${cid} of ${this.label}: expected ${at.length} bytes at ${at.offset}, got ${got}`, {
        hint: incomplete,
      })
    }
  }

  async has(cid: CID, size: number, { hashed = false }: { readonly hashed?: boolean } = {}): Promise<boolean> {
    const state = await stat(this.#path(cid)).catch((error: unknown) => {
      if (hasCode(error, 'ENOENT', 'ENOTDIR')) return undefined
      throw translated(error, `reading ${this.#path(cid)}`)
    })
    if (state?.isFile() !== true || state.size !== size) return false
    if (!hashed) return true
    const hasher = blake3().create()
    try {
      for await (const piece of this.#pieces(cid, { offset: 0, length: size }, undefined)) hasher.update(piece)
    } catch (error) {
      // what the disk does not give any more is as good as absent
      if (isPsyblobError(error, 'corrupt', 'not-found')) return false
      throw error
    }
    return cidOf(hasher.digest()) === cid
  }

  fileOf(cid: CID): string {
    return this.#path(cid)
  }

  async channels(): Promise<readonly string[]> {
    const dir = join(this.#dir, 'channels')
    const names = await readdir(dir).catch((error: unknown) => {
      if (hasCode(error, 'ENOENT')) return []
      throw translated(error, `reading ${dir}`)
    })
    // names of channels do not begin with a dot: temporary files and notes of file managers do
    return names.filter((name) => !name.startsWith('.')).sort()
  }

  async lacking(
    blobs: Iterable<SizedBlob>,
    { hashed, onBytes, signal }: ReadOptions & { readonly hashed: boolean; readonly onBytes: (bytes: number) => void },
  ): Promise<ReadonlySet<CID>> {
    const missing = new Set<CID>()
    const small = new SmallFiles()
    let since = 0
    for (const blob of blobs) {
      const { cid, size } = blob
      const isRight = !isThere(this.#dir, blob)
        ? false
        : !hashed || (size > smallFile ? await this.has(cid, size, { hashed }) : this.#isSmall(small, blob))
      if (!isRight) missing.add(cid)
      onBytes(size)
      // now and then others get a turn
      since += hashed ? size + 20_000 : 20_000
      if (since < 16 * smallFile) continue
      since = 0
      await setImmediate(undefined, { signal })
    }
    return missing
  }

  /** What cannot be read any more is as good as absent. */
  #isSmall(files: SmallFiles, { cid, size }: SizedBlob): boolean {
    try {
      return cidOf(blake3().digest(files.read(this.#path(cid), { size }))) === cid
    } catch (error) {
      if (isPsyblobError(error, 'corrupt', 'conflict')) return false
      throw error
    }
  }

  putMany(blobs: Iterable<GivenBlob>, { signal }: ReadOptions): Promise<void> {
    return putMany(this.#dir, blobs, { label: this.label, signal })
  }

  async hold(): Promise<Lock> {
    return lock(`publish:${await realpath(this.#dir)}`, {
      what: `repository ${this.label}`,
      code: 'conflict',
      hint: 'somebody else publishes at this moment: run the same command again; what was uploaded stays',
    })
  }

  async tidy(): Promise<void> {
    const blobs = join(this.#dir, 'blobs')
    await removeAbandoned(blobs)
    for (const shard of await readdir(blobs).catch(() => [])) await removeAbandoned(join(blobs, shard))
  }

  // A blob is born here and nowhere else: temporary name, hashed on the way, flushed, renamed. A crash leaves nothing or the whole blob.
  async put(cid: CID, bytes: Bytes): Promise<void> {
    const path = this.#path(cid)
    const temporary = temporaryBeside(path)
    try {
      await makeFolder(dirname(path))
      const file = await open(temporary, 'wx', 0o644)
      const hasher = blake3().create()
      try {
        let at = 0
        for await (const piece of bytes) {
          hasher.update(piece)
          await writeAll(file, piece, at)
          at += piece.length
        }
        await file.sync()
      } finally {
        await file.close()
      }
      const got = cidOf(hasher.digest())
      if (got !== cid) {
        throw new PsyblobError('corrupt', `storing a blob in ${this.label}: expected ${cid}, got ${got}`, {
          hint: 'nothing was stored; run the same command again',
        })
      }
      await rename(temporary, path)
      await flushFolder(dirname(path))
    } catch (error) {
      await rm(temporary, { force: true })
      throw translated(error, `writing ${path}`)
    }
  }

  async stage(path: string): Promise<Staged> {
    const blobs = join(this.#dir, 'blobs')
    const temporary = temporaryBeside(join(blobs, 'staged'))
    const failed = async (error: unknown): Promise<never> => {
      await rm(temporary, { force: true })
      throw translated(error, `copying ${path} to ${this.label}`)
    }
    await makeFolder(blobs)
    // shares the blocks where the file system can (btrfs, xfs), and never passes through this process
    await copyFile(path, temporary, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE).catch(failed)
    const flush = async () => {
      const file = await open(temporary, 'r+')
      await file.chmod(0o644)
      await file.sync().finally(() => file.close())
    }
    // goes on while the copy is hashed; whoever keeps it hears of a failure
    const flushed = flush()
    flushed.catch(() => undefined)
    return {
      path: temporary,
      keep: async (cid) => {
        const place = this.#path(cid)
        try {
          await flushed
          await makeFolder(dirname(place))
          await rename(temporary, place)
          await flushFolder(dirname(place))
        } catch (error) {
          await failed(error)
        }
      },
      drop: async () => {
        await flushed.catch(() => undefined)
        await rm(temporary, { force: true })
      },
    }
  }

  async replace(name: DocumentName, bytes: Uint8Array, expected: Uint8Array | undefined): Promise<void> {
    const path = join(this.#dir, name)
    await makeFolder(dirname(path))
    const held = await lock(`remote:${await realpath(dirname(path))}/${basename(path)}`, {
      what: `${name} of ${this.label}`,
      code: 'conflict',
      hint: 'somebody else publishes at this moment: run the same command again',
    })
    try {
      const there = await readLimited(path, Math.max(expected?.length ?? 0, bytes.length) + 64 * 1024 * 1024)
      if (
        Buffer.compare(there ?? new Uint8Array(), expected ?? new Uint8Array()) !== 0 ||
        (there === undefined) !== (expected === undefined)
      ) {
        throw new PsyblobError('conflict', `${name} of ${this.label} was changed by somebody else meanwhile`, {
          hint: 'run the same command again: it goes on from the new state, and what was uploaded stays',
        })
      }
      await writeWhole(path, bytes)
    } finally {
      await held.release()
    }
  }

  #path(cid: CID): string {
    return join(this.#dir, blobName(cid))
  }

  /** Undefined when the repository has no such file. A pipe or a device in its place must neither block nor go on for ever. */
  async #open(name: string): Promise<FileHandle | undefined> {
    const path = join(this.#dir, name)
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: unknown) => {
      if (hasCode(error, 'ENOENT', 'ENOTDIR')) return undefined
      throw hasCode(error, 'ENXIO', 'ELOOP') ? this.#noFile(name) : translated(error, `reading ${path}`)
    })
    if (file === undefined) {
      await this.#insist()
      return undefined
    }
    if ((await file.stat()).isFile()) return file
    await file.close()
    throw this.#noFile(name)
  }

  #noFile(name: string): PsyblobError {
    return new PsyblobError('corrupt', `${name} of ${this.label} is no plain file`, { hint: incomplete })
  }

  /** What is absent from a folder that is absent is another matter. */
  async #insist(): Promise<void> {
    const state = await stat(this.#dir).catch(() => undefined)
    if (state?.isDirectory() === true) return
    const why = state === undefined ? 'no such folder' : 'not a folder'
    throw new PsyblobError('unavailable', `${this.label}: ${why}`, {
      hint: 'check the path; if it is a stick or a network mount, attach it first. psyblob init makes a repository',
    })
  }

  async *#pieces(cid: CID, at: Range, signal: AbortSignal | undefined): Bytes {
    signal?.throwIfAborted()
    const file = await this.#open(blobName(cid))
    if (file === undefined) throw new PsyblobError('not-found', `no blob ${cid} at ${this.label}`, { hint: incomplete })
    const piece = borrow(pieceBytes)
    try {
      for (let done = 0; done < at.length; ) {
        signal?.throwIfAborted()
        const wanted = piece.subarray(0, Math.min(pieceBytes, at.length - done))
        const got = await readFull(file, wanted, at.offset + done)
        if (got === 0) return
        done += got
        yield wanted.subarray(0, got)
      }
    } catch (error) {
      throw translated(error, `reading ${this.#path(cid)}`)
    } finally {
      giveBack(piece)
      await file.close()
    }
  }
}
