// Mutated signatures before two judges: what psyblob accepts, the real minisign must accept as well, with the same trusted comment.
import { isPsyblobError, limits, PsyblobError, soleSigner, utf8Decode, verifySignatures } from '../../core/mod.ts'
import { signatureEngine } from '../../store/crypto.ts'
import { file, type Material, makeMaterial } from './material.ts'
import { type Mutation, mutations } from './mutator.ts'
import { Random } from './random.ts'
import type { Stock } from './stock.ts'

export type Verdicts = {
  readonly judged: number
  /** Accepted by both. */
  readonly accepted: number
  /** Of these, those whose good block is not the first: minisign reads the first, and was given that block alone. */
  readonly later: number
  /** Accepted by psyblob alone: there must be none. */
  readonly wrong: readonly string[]
  /** Of refused ones that minisign was asked about: how many it accepts. */
  readonly asked: number
  readonly stricter: number
  /** How often each change was the only one, by what psyblob said of it. */
  readonly byChange: Readonly<Record<string, Readonly<Record<string, number>>>>
}

/** `sample`: of so many refused ones minisign is asked as well. */
export async function tryMutations(
  dir: string,
  stock: Stock,
  { count, sample }: { readonly count: number; readonly sample: number },
): Promise<Verdicts> {
  const random = new Random('mutated signatures')
  const material = await makeMaterial(dir, stock, random)
  const publicKey = material.key.publicKey.text
  const known = new Map<string, string | undefined>()
  const ask = (bytes: Uint8Array): string | undefined => {
    const text = Buffer.from(bytes).toString('latin1')
    if (!known.has(text)) known.set(text, stock.judge(publicKey, file, bytes))
    return known.get(text)
  }
  const counts = { judged: 0, accepted: 0, later: 0, asked: 0, stricter: 0 }
  const wrong: string[] = []
  const byChange: Record<string, Record<string, number>> = {}
  for (const mutation of mutations(count, random, material)) {
    const { verdict, comment } = judge(mutation.bytes, material)
    counts.judged++
    const [only = ''] = mutation.how
    if (mutation.how.length === 1) byChange[only] = { ...byChange[only], [verdict]: (byChange[only]?.[verdict] ?? 0) + 1 }
    if (comment === undefined) {
      if (counts.judged % Math.max(1, Math.floor(count / sample)) !== 0) continue
      counts.asked++
      if (ask(mutation.bytes) !== undefined) counts.stricter++
      continue
    }
    if (ask(mutation.bytes) === comment) counts.accepted++
    else if (
      blocksOf(mutation.bytes)
        .slice(1)
        .some((block) => ask(block) === comment)
    ) {
      counts.accepted++
      counts.later++
    } else wrong.push(describe(mutation))
  }
  return { ...counts, wrong, byChange }
}

/** As the product does with what it received: not longer than allowed, then as text, then verified. */
function judge(bytes: Uint8Array, { key, digest }: Material): { readonly verdict: string; readonly comment: string | undefined } {
  try {
    if (bytes.length > limits.minisig) throw new PsyblobError('malformed', 'too long')
    const [comment] = verifySignatures({
      text: utf8Decode(bytes, 'signature'),
      prehash: digest,
      signers: soleSigner(key.publicKey),
      engine: signatureEngine,
      what: 'file',
    })
    return { verdict: 'ok', comment }
  } catch (error) {
    // anything else is a bug, and ends the test
    if (!isPsyblobError(error, 'malformed', 'untrusted')) throw error
    return { verdict: error.code, comment: undefined }
  }
}

function blocksOf(bytes: Buffer): readonly Buffer[] {
  const lines = bytes.toString('latin1').split('\n')
  return Array.from({ length: Math.floor(lines.length / 4) }, (_, at) =>
    Buffer.from(`${lines.slice(4 * at, 4 * at + 4).join('\n')}\n`, 'latin1'),
  )
}

const describe = ({ how, bytes }: Mutation) =>
  `${how.join(', then ')}: ${JSON.stringify(bytes.toString('latin1').slice(0, 200))}, ${bytes.length} bytes`
