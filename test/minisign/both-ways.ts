// Files of many sizes, signed by psyblob as typed and verified by the real minisign, and the other way round.
import { closeSync, ftruncateSync, openSync, readFileSync, readSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { isPsyblobError, parsePublicKey, soleSigner, verifySignatures } from '../../core/mod.ts'
import { fileBytes, prehashOf, signatureEngine } from '../../store/mod.ts'
import { World } from '../cli/world.ts'
import { Random } from './random.ts'
import { Stock } from './stock.ts'

const around = (size: number) => [size - 1, size, size + 1]
const powers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, at) => 2 ** (from + at)).flatMap(around)

/** Where blocks of the hash, pieces of a read and counters end: BLAKE2b takes 128 bytes, files are read by 256 KiB, sizes pass 2^31 and 2^32. */
export const quickSizes: readonly number[] = [0, 1, 2, 3, ...powers(6, 8), ...around(384), ...powers(12, 13), ...powers(16, 20), 1_000_000]
const hugeSizes: readonly number[] = [2 ** 31 - 1, 2 ** 31 + 1, 2 ** 32 + 1, 5_000_000_000]

/** Two hundred. */
export function allSizes(): readonly number[] {
  const sizes = new Set([
    ...quickSizes,
    ...powers(2, 5),
    ...powers(9, 11),
    ...powers(14, 15),
    ...powers(21, 25),
    50_000_000,
    100_000_000,
    ...hugeSizes,
  ])
  const random = new Random('sizes')
  while (sizes.size < 200) sizes.add(random.below(2 ** (10 + (sizes.size % 14))))
  return [...sizes].sort((one, two) => one - two)
}

/** Bytes here and there, holes between: what a hash of the wrong part would miss. */
function writeFile(path: string, size: number): void {
  const random = new Random(`file of ${size}`)
  if (size <= 2 ** 25) {
    writeFileSync(path, random.bytes(size))
    return
  }
  const file = openSync(path, 'w')
  ftruncateSync(file, size)
  for (const at of [0, size >> 1, 2 ** 31 - 8, 2 ** 32 - 8, size - 16])
    if (at >= 0 && at < size) writeSync(file, random.bytes(16), 0, Math.min(16, size - at), at)
  closeSync(file)
}

/** Turns a bit of the last byte; an empty file gets one. */
function change(path: string, size: number): void {
  const last = Buffer.alloc(1)
  const file = openSync(path, 'r+')
  const at = Math.max(0, size - 1)
  readSync(file, last, 0, 1, at)
  writeSync(file, Buffer.of((last[0] ?? 0) ^ 1), 0, 1, at)
  closeSync(file)
}

export class BothWays {
  readonly #world = new World()
  readonly #stock = new Stock(this.#world.dir)

  async begin(): Promise<void> {
    await this.#world.must('key new ours --no-password')
    this.#stock.makeKey('theirs')
  }

  /** Throws when one does not believe what the other signed, or believes a changed file. */
  async try(size: number, key: 'ours' | 'theirs' = 'ours', password = ''): Promise<void> {
    const name = `file of ${size}`
    const path = this.#world.path(name)
    const { text: publicKey } = parsePublicKey(this.#world.read(`${key}.pub`).toString())
    writeFile(path, size)
    await this.#world.must(['sign', name, '--key', `${key}.key`], { env: { PSYBLOB_PASSWORD: password } })
    const comment = this.#stock.verify(publicKey, name)
    if (comment?.includes(`file:${name}`) !== true) throw new Error(`minisign says of what psyblob signed, ${name}: ${comment}`)
    const ours = this.#world.read(`${name}.minisig`)
    rmSync(`${path}.minisig`)
    this.#stock.sign(`${key}.key`, name, password)
    const believed = await this.#believes(publicKey, name)
    if (believed?.includes(`file:${name}`) !== true) throw new Error(`psyblob says of what minisign signed, ${name}: ${believed}`)
    change(path, size)
    if ((await this.#believes(publicKey, name)) !== undefined) throw new Error(`psyblob believes ${name} after it was changed`)
    writeFileSync(`${path}.minisig`, ours)
    if (this.#stock.verify(publicKey, name) !== undefined) throw new Error(`minisign believes ${name} after it was changed`)
    for (const each of [path, `${path}.minisig`]) rmSync(each)
  }

  /** With a key that a password protects, made by psyblob and by minisign: a GiB of memory each time it is used. */
  async trySealed(): Promise<void> {
    const password = 'pässword'
    await this.#world.must('key new ours', { env: { PSYBLOB_PASSWORD: password } })
    this.#stock.makeKey('theirs', password)
    for (const key of ['ours', 'theirs'] as const) await this.try(1000, key, password)
  }

  /** The trusted comment, verified by the product's own parts: no command of psyblob verifies any file. */
  async #believes(publicKey: string, name: string): Promise<string | undefined> {
    try {
      const [comment] = verifySignatures({
        text: readFileSync(this.#world.path(`${name}.minisig`), 'utf8'),
        prehash: await prehashOf(fileBytes(this.#world.path(name))),
        signers: soleSigner(parsePublicKey(publicKey)),
        engine: signatureEngine,
        what: name,
      })
      return comment
    } catch (error) {
      if (isPsyblobError(error, 'untrusted')) return undefined
      throw error
    }
  }

  close(): void {
    this.#world.close()
  }
}
