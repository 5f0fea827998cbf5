// The ledger: who signed what. The only place where the model knows whether a signature holds, for it was there when it was made.
import type { CID } from '../../core/mod.ts'
import { cidOfBytes } from '../../store/blake3.ts'
import { bodyOf, type Fact } from './documents.ts'
import type { People } from './people.ts'

export type Block = {
  /** Undefined for one that holds for nobody. */
  readonly by: string | undefined
  readonly over: CID
  /** False when its trusted comment is that of another document. */
  readonly fits: boolean
}
export type Signed = { readonly fact: Fact; readonly cid: CID; readonly body: Uint8Array; readonly signatures: Uint8Array }

export type SignOptions = {
  /** Sign under the id of this person. */
  readonly as?: string
  readonly comment?: 'none' | 'foreign'
}

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')

export class Ledger {
  readonly people: People
  readonly #facts = new Map<string, { readonly fact: Fact; readonly cid: CID }>()
  readonly #blocks = new Map<string, Block>()
  readonly #pointerFiles = new Map<string, Pick<Signed, 'body' | 'signatures'>>()

  constructor(people: People) {
    this.people = people
  }

  /** Bytes of a document and the signatures of these people, each as often as it is named. */
  sign(fact: Fact, by: readonly string[], { as, comment }: SignOptions = {}): Signed {
    const body = bodyOf(fact, (name) => this.people.keyOf(name).text)
    const cid = cidOfBytes(body)
    this.#facts.set(textOf(body), { fact, cid })
    const text = comment === 'none' ? '' : comment === 'foreign' ? `psyblob type=${fact.kind} of something else` : commentOf(fact, cid)
    const blocks = by.map((name) => {
      const block = this.people.block(name, body, text, as)
      // under the id of somebody else it counts for nobody
      this.#blocks.set(block, { by: as === undefined ? name : undefined, over: cid, fits: comment !== 'foreign' })
      return block
    })
    return { fact, cid, body, signatures: Buffer.from(blocks.join('')) }
  }

  pointerFile({ body, signatures }: Pick<Signed, 'body' | 'signatures'>): Uint8Array {
    const file = Buffer.concat([body, Buffer.from('\n'), signatures])
    this.#pointerFiles.set(textOf(file), { body, signatures })
    return file
  }

  /** Undefined when the file is none. */
  splitPointer(file: Uint8Array): Pick<Signed, 'body' | 'signatures'> | undefined {
    return this.#pointerFiles.get(textOf(file))
  }

  /** What a body says; undefined when it is no document at all. */
  factOf(body: Uint8Array): { readonly fact: Fact; readonly cid: CID } | undefined {
    return this.#facts.get(textOf(body))
  }

  /** The blocks of a signature file in their order; undefined when it is none. */
  blocksOf(signatures: Uint8Array): readonly Block[] | undefined {
    const lines = textOf(signatures).split('\n')
    if (lines.pop() !== '' || lines.length === 0 || lines.length % 4 !== 0) return undefined
    const blocks: Block[] = []
    for (let at = 0; at < lines.length; at += 4) {
      const block = this.#blocks.get(`${lines.slice(at, at + 4).join('\n')}\n`)
      if (block === undefined) return undefined
      blocks.push(block)
    }
    return blocks
  }

  /** Everybody who signed exactly this body, by these signatures. */
  signersOf({ body, signatures }: Pick<Signed, 'body' | 'signatures'>): ReadonlySet<string> {
    const cid = this.factOf(body)?.cid
    const found = (this.blocksOf(signatures) ?? []).flatMap(({ by, over }) => (by !== undefined && over === cid ? [by] : []))
    return new Set(found)
  }
}

/** As psyblob writes it (minisign.md 5). */
function commentOf(fact: Fact, cid: CID): string {
  const { kind, repo } = fact
  const rest = fact.kind === 'manifest' ? `name=${fact.name} serial=${fact.serial}` : `version=${fact.version}`
  const channel = fact.kind === 'pointer' ? `channel=${fact.channel} ` : ''
  return `psyblob type=${kind} repo=${repo} ${channel}${rest} cid=${cid}`
}
