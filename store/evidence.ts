// Two different signed documents where there can be one: both are kept, for the publisher to explain (spec/trust.md 6).
import { join } from 'node:path'
import type { CID } from '../core/mod.ts'
import { makeFolder, pathExists, writeWhole } from './files.ts'
import type { LocalStore } from './local.ts'

/** Product names begin with a letter or a digit: this is none. */
const folder = '.evidence'

export type Evidence = {
  /** Such as `os-17` or `stable-812`. */ readonly what: string
  readonly cid: CID
  readonly body: Uint8Array
  readonly signatures?: Uint8Array
}

/** Keeps each of them by its CID; what is there is not written again. Answers the folder. */
export async function keepEvidence(store: LocalStore, documents: readonly Evidence[]): Promise<string> {
  const dir = join(store.dir, folder)
  await makeFolder(dir)
  for (const { what, cid, body, signatures } of documents) {
    const path = join(dir, `${what}-${cid}`)
    if (await pathExists(path)) continue
    if (signatures !== undefined) await writeWhole(`${path}.minisig`, signatures)
    await writeWhole(path, body)
  }
  return dir
}
