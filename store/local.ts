// The local store (/var/psyblob): manifests by serial with latest/current/previous links, chunk indexes, nothing a slot already has (spec/store.md).
import { chmod, constants, copyFile, lstat, open, readdir, readlink, rename, rm, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type CID, cidOf, isPsyblobError, limits, PsyblobError, parseName, parseSerial, shardOf } from '../core/mod.ts'
import { blake3 } from './blake3.ts'
import { cidOfFile } from './file-cid.ts'
import { flushFolder, hasCode, isTemporary, makeFolder, readLimited, temporaryBeside, translated, writeWhole } from './files.ts'

export const links = ['latest', 'current', 'previous'] as const
export type LinkName = (typeof links)[number]

/** A manifest and its signature as bytes, as they lie in a store, a slot or a repository. Not verified by being here. */
export type SignedManifest = { readonly body: Uint8Array; readonly signatures: Uint8Array }

export class LocalStore {
  readonly dir: string
  #hidden: Promise<void> | undefined

  constructor(dir: string) {
    this.dir = dir
  }

  manifestPath(product: string, serial: number): string {
    return join(this.dir, parseName(product, 'product'), String(parseSerial(serial)))
  }

  async manifest(product: string, serial: number): Promise<SignedManifest | undefined> {
    const path = this.manifestPath(product, serial)
    const [body, signatures] = await Promise.all([readLimited(path, limits.manifest), this.signatures(product, serial)])
    return body === undefined || signatures === undefined ? undefined : { body, signatures }
  }

  async signatures(product: string, serial: number): Promise<Uint8Array | undefined> {
    return readLimited(`${this.manifestPath(product, serial)}.minisig`, limits.minisig)
  }

  /** Bytes; 0 when it is not here. */
  async manifestSize(product: string, serial: number): Promise<number> {
    return lstat(this.manifestPath(product, serial)).then(
      ({ size }) => size,
      () => 0,
    )
  }

  /** True when the manifest of that name lies here. It is not taken into memory, for it may be as large as 64 MiB. */
  hasManifest(product: string, serial: number, cid: CID): boolean {
    const path = this.manifestPath(product, serial)
    try {
      return cidOfFile(path) === cid
    } catch (error) {
      throw translated(error, `reading ${path}`)
    }
  }

  /** The signature goes first: a manifest that is there always has one. */
  async putManifest(product: string, serial: number, { body, signatures }: SignedManifest): Promise<void> {
    const path = this.manifestPath(product, serial)
    await writeWhole(`${path}.minisig`, signatures)
    await writeWhole(path, body)
  }

  /** Serials of the manifests here, ascending. */
  async serials(product: string): Promise<readonly number[]> {
    return (await namesIn(join(this.dir, parseName(product, 'product'))))
      .filter((name) => /^[1-9]\d{0,15}$/.test(name))
      .map(Number)
      .sort((one, two) => one - two)
  }

  async link(product: string, name: LinkName): Promise<number | undefined> {
    try {
      const serial = Number(await readlink(join(this.dir, parseName(product, 'product'), name)))
      return Number.isSafeInteger(serial) && serial > 0 ? serial : undefined
    } catch (error) {
      if (hasCode(error, 'ENOENT', 'EINVAL', 'ENOTDIR')) return undefined
      throw translated(error, `reading ${join(this.dir, product, name)}`)
    }
  }

  async setLink(product: string, name: LinkName, serial: number): Promise<void> {
    if ((await this.link(product, name)) === serial) return
    const path = join(this.dir, parseName(product, 'product'), name)
    const temporary = temporaryBeside(path)
    try {
      await makeFolder(dirname(path))
      await symlink(String(parseSerial(serial)), temporary)
      await rename(temporary, path)
      await flushFolder(dirname(path))
    } catch (error) {
      await rm(temporary, { force: true })
      throw translated(error, `writing ${path}`)
    }
  }

  blobPath(cid: CID): string {
    return join(this.dir, 'blob', shardOf(cid), cid)
  }

  /** A blob small enough for memory, its bytes checked: a damaged one counts as absent, and `putBlob` replaces it. */
  async blob(cid: CID, size: number): Promise<Uint8Array | undefined> {
    const path = this.blobPath(cid)
    const bytes = await readLimited(path, size).catch((error: unknown) => {
      if (isPsyblobError(error, 'malformed', 'corrupt')) return new Uint8Array()
      throw error
    })
    if (bytes === undefined) return undefined
    return cidOf(blake3().digest(bytes)) === cid ? bytes : undefined
  }

  async putBlob(cid: CID, bytes: Uint8Array): Promise<void> {
    const got = cidOf(blake3().digest(bytes))
    if (got !== cid)
      throw new PsyblobError('corrupt', `storing a blob: expected ${cid}, got ${got}`, { hint: 'run the same command again' })
    await writeWhole(this.blobPath(cid), bytes)
  }

  /** True when a blob is there with that size: its bytes are checked by whoever uses them. */
  async hasBlob(cid: CID, size: number): Promise<boolean> {
    try {
      const state = await lstat(this.blobPath(cid))
      return state.isFile() && state.size === size
    } catch (error) {
      if (hasCode(error, 'ENOENT', 'ENOTDIR')) return false
      throw translated(error, `reading ${this.blobPath(cid)}`)
    }
  }

  /** Makes a blob of what `make` puts at the path it is given, if it says that this is one. Not flushed: what is lost is fetched again. */
  async adoptBlob(cid: CID, make: (temporary: string) => boolean | Promise<boolean>): Promise<boolean> {
    const path = this.blobPath(cid)
    const temporary = temporaryBeside(path)
    try {
      await makeFolder(dirname(path))
      // bytes of files that not everybody may read
      this.#hidden ??= chmod(join(this.dir, 'blob'), 0o700)
      await this.#hidden
      const isBlob = await make(temporary)
      if (isBlob) await rename(temporary, path)
      return isBlob
    } catch (error) {
      throw translated(error, `writing ${path}`)
    } finally {
      await rm(temporary, { force: true })
    }
  }

  /** Copies a blob to where a person wants it, durably and whole or not at all; its bytes are checked. */
  async takeBlob(cid: CID, to: string): Promise<void> {
    const temporary = temporaryBeside(to)
    try {
      await copyFile(this.blobPath(cid), temporary, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL)
      if (cidOfFile(temporary) !== cid)
        throw new PsyblobError('corrupt', `what was copied to ${to} is not ${cid}`, { hint: 'run the same command again' })
      const file = await open(temporary, 'r+')
      await file.chmod(0o644)
      await file.sync().finally(() => file.close())
      await rename(temporary, to)
    } catch (error) {
      throw translated(error, `writing ${to}`)
    } finally {
      await rm(temporary, { force: true })
    }
  }

  /** Removes every blob not in `keep`, every manifest not in `serials`, and unfinished files; answers what went. With `dryRun` nothing goes. */
  async sweep(keep: {
    readonly blobs: ReadonlySet<CID>
    readonly serials: ReadonlyMap<string, ReadonlySet<number>>
    readonly dryRun: boolean
  }): Promise<{ readonly removed: readonly string[]; readonly bytes: number }> {
    const removed: string[] = []
    let bytes = 0
    const drop = async (path: string) => {
      removed.push(path)
      bytes += (await lstat(path)).size
      if (!keep.dryRun) await rm(path, { force: true })
    }
    for (const shard of await namesIn(join(this.dir, 'blob'))) {
      for (const name of await namesIn(join(this.dir, 'blob', shard))) {
        if (!keep.blobs.has(name as CID)) await drop(join(this.dir, 'blob', shard, name))
      }
    }
    for (const [product, serials] of keep.serials) {
      for (const name of await namesIn(join(this.dir, product))) {
        const serial = Number(name.replace(/\.minisig$/, ''))
        if (isTemporary(name) || (Number.isSafeInteger(serial) && !serials.has(serial))) await drop(join(this.dir, product, name))
      }
    }
    for (const name of await namesIn(this.dir)) if (isTemporary(name)) await drop(join(this.dir, name))
    return { removed, bytes }
  }
}

async function namesIn(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return []
    throw translated(error, `listing ${folder}`)
  }
}
