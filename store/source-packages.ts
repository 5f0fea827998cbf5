// A folder of source packages: the one file that is the source of a package, or several of them packed into one (spec/manifest.md 9).
import { createReadStream, createWriteStream, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { type EntrySource, PsyblobError, visible } from '../core/mod.ts'
import type { DebianSource } from './debian-data.ts'
import { hasCode, translated } from './files.ts'
import type { Uploads } from './uploads.ts'

export class SourcePackages {
  readonly #dir: string
  readonly #names: ReadonlySet<string>
  readonly #uploads: Uploads
  readonly #known = new Map<string, Promise<EntrySource>>()
  #packed: string | undefined

  /** Throws `not-found` when there is no such folder. */
  constructor(dir: string, uploads: Uploads) {
    this.#dir = dir
    this.#uploads = uploads
    try {
      this.#names = new Set(readdirSync(dir))
    } catch (error) {
      if (hasCode(error, 'ENOENT', 'ENOTDIR'))
        throw new PsyblobError('not-found', `no folder ${visible(dir)}`, {
          hint: 'name the folder that holds the source packages with --sources',
        })
      throw translated(error, `reading ${dir}`)
    }
  }

  /** The file called `name`. Throws `not-found`. */
  named(name: string): Promise<EntrySource> {
    if (!this.#names.has(name))
      throw new PsyblobError('not-found', `no source package ${visible(name)} in ${visible(this.#dir)}`, {
        hint: 'put it there, or take its name out of the licence map',
      })
    return this.#once(name, () => this.#upload(name, join(this.#dir, name)))
  }

  /** Of a Debian package: what its .dsc lists, else what is called as its sources are. Undefined when it is not there. */
  debian({ name, version }: DebianSource): Promise<EntrySource> | undefined {
    const plain = version.replace(/^\d+:/, '')
    const files = this.#filesOf(name, plain)
    const [first] = files
    if (first === undefined) return undefined
    if (files.length === 1) return this.named(first)
    const packed = `${name}_${plain}.source.tar`
    return this.#once(packed, () => this.#pack(packed, files))
  }

  /** Removes what was packed: to be called when everything is uploaded. */
  close(): void {
    if (this.#packed !== undefined) rmSync(this.#packed, { recursive: true, force: true })
  }

  #filesOf(name: string, version: string): readonly string[] {
    const description = `${name}_${version}.dsc`
    if (this.#names.has(description)) {
      const text = readFileSync(join(this.#dir, description), 'utf8')
      const listed = [...text.matchAll(/^ [0-9a-f]{64} \d+ (\S+)$/gm)].flatMap(([, file]) => file ?? [])
      if (listed.length > 0 && listed.every((file) => this.#names.has(file))) return [description, ...listed.sort()]
    }
    const upstream = version.replace(/-[^-]*$/, '')
    const whole = (start: string) =>
      [...this.#names].filter((file) => file.startsWith(start) && /^\.tar(\.\w+)?$/.test(file.slice(start.length)))
    const found = [`${name}_${version}`, `${name}_${upstream}.orig`].flatMap(whole)
    return found.length === 1 ? found : []
  }

  #once(name: string, make: () => Promise<EntrySource>): Promise<EntrySource> {
    const made = this.#known.get(name) ?? make()
    this.#known.set(name, made)
    return made
  }

  async #upload(name: string, path: string): Promise<EntrySource> {
    const { cid, size } = await this.#uploads.file(path, {
      chunked: false,
      isLikely: true,
      size: statSync(path).size,
      onBytes: () => undefined,
    })
    return { cid, size, name }
  }

  /** The same bytes whenever it is done: names, sizes and contents only. */
  async #pack(name: string, files: readonly string[]): Promise<EntrySource> {
    this.#packed ??= mkdtempSync(join(tmpdir(), 'psyblob-sources-'))
    const path = join(this.#packed, name)
    const source = this.#dir
    async function* bytes() {
      for (const file of files) {
        const { size } = statSync(join(source, file))
        yield ustarHeader(file, size)
        yield* createReadStream(join(source, file))
        yield Buffer.alloc((512 - (size % 512)) % 512)
      }
      yield Buffer.alloc(1024)
    }
    try {
      await pipeline(bytes(), createWriteStream(path))
    } catch (error) {
      throw translated(error, `packing ${name}`)
    }
    return this.#upload(name, path)
  }
}

/** POSIX.1-1988 ustar, of a plain file whose name has at most 100 bytes. */
function ustarHeader(name: string, size: number): Buffer {
  if (Buffer.byteLength(name) > 100)
    throw new PsyblobError('usage', `the name of the source package ${visible(name)} is longer than 100 bytes`, { hint: 'shorten it' })
  const block = Buffer.alloc(512)
  const octal = (value: number, width: number) => `${value.toString(8).padStart(width - 1, '0')}\0`
  block.write(name, 0)
  block.write(octal(0o644, 8), 100)
  block.write(octal(0, 8), 108)
  block.write(octal(0, 8), 116)
  block.write(octal(size, 12), 124)
  block.write(octal(0, 12), 136)
  block.write(' '.repeat(8), 148)
  block.write('0', 156)
  block.write('ustar\x0000', 257)
  const sum = block.reduce((all, byte) => all + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return block
}
