// What the real node came to, read back into facts: from its state and from what it says it has accepted.
import { splitPointerFile } from '../../core/mod.ts'
import type { State } from '../../store/state.ts'
import type { RootFact } from './documents.ts'
import type { Knowledge } from './knowledge.ts'
import type { Outcome } from './node.ts'
import type { Taken } from './promises.ts'
import type { World } from './world.ts'

/** The roots that honest keepers signed, from the first on. */
export function rootLines({ snapshots }: World): readonly string[] {
  const files = snapshots.at(-1)?.files
  const lines: string[] = []
  for (let version = 1; ; version++) {
    const body = files?.get(`root/${version}.json`)
    if (body === undefined) return lines
    lines.push(Buffer.from(body).toString())
  }
}

/** The root in force, by the file. */
export function readRoot({ roots }: State, { ledger }: World): Knowledge['root'] {
  const line = roots?.at(-1)?.root
  if (line === undefined) return undefined
  return { fact: ledger.factOf(Buffer.from(line))?.fact as RootFact, line }
}

/** What was accepted; `unknown` when nobody in this world ever wrote it. */
export function takenFrom({ pointer: file, release }: NonNullable<Outcome['accepted']>, { ledger }: World): Taken | 'unknown' {
  const { body, signatures } = splitPointerFile(file, 'pointer')
  const pointerSigned = { body, signatures: Buffer.from(signatures) }
  const [pointer, manifest] = [ledger.factOf(body), ledger.factOf(release.signed.body)]
  if (pointer?.fact.kind !== 'pointer' || manifest?.fact.kind !== 'manifest') return 'unknown'
  return {
    file,
    pointer: pointer.fact,
    pointerCid: pointer.cid,
    pointerSigned,
    release: manifest.fact,
    releaseCid: manifest.cid,
    releaseSigned: release.signed,
  }
}
