// What remotes offer in one run, as documents by name: asked in order, and one whose answer is refused not asked again (trust.md 2, 22).
import { type ErrorCode, PsyblobError } from '../../core/mod.ts'
import type { Remote } from '../../store/remote.ts'
import type { Files } from './lineage.ts'

export type Offer = { readonly what: string /** Undefined when it says nothing at all. */; readonly files: Files | undefined }

export class Refusal extends Error {
  readonly code: ErrorCode

  constructor(code: ErrorCode) {
    super(code)
    this.code = code
  }
}

const telling = ['untrusted', 'rollback', 'corrupt', 'malformed', 'expired', 'unavailable'] as const

/** The law's view of them. */
export class Offers {
  readonly #offers: readonly Offer[]
  readonly #refused = new Map<Offer, ErrorCode>()

  constructor(offers: readonly Offer[]) {
    this.#offers = offers
  }

  /** Undefined when it is absent. What is optional is absent as soon as one remote says so and none gives it; else only when none gave anything wrong. */
  read<Value>(
    name: string,
    { limit, accept, isOptional = false }: { limit: number; accept: (bytes: Uint8Array, offer: Offer) => Value; isOptional?: boolean },
  ): Value | undefined {
    let isAbsent = false
    let isRefused = false
    for (const offer of this.#offers) {
      if (this.#refused.has(offer)) continue
      try {
        if (offer.files === undefined) throw new Refusal('unavailable')
        const bytes = offer.files.get(name)
        if (bytes === undefined) isAbsent = true
        else if (bytes.length > limit) throw new Refusal('malformed')
        else return accept(bytes, offer)
      } catch (error) {
        if (!(error instanceof Refusal)) throw error
        isRefused ||= error.code !== 'unavailable'
        this.#refused.set(offer, error.code)
      }
    }
    if (isAbsent && (isOptional || !isRefused)) return undefined
    const codes = [...this.#refused.values()]
    throw new Refusal(telling.find((code) => codes.includes(code)) ?? 'unavailable')
  }
}

/** The node's view of one. */
export function remoteOf({ what, files }: Offer): Remote {
  const nothing = async function* (): AsyncGenerator<Uint8Array> {
    yield* []
    throw new PsyblobError('not-found', `${what} has no blobs`)
  }
  return {
    label: what,
    read: async (name, { limit }) => {
      if (files === undefined) throw new PsyblobError('unavailable', `${what} says nothing`)
      const bytes = files.get(name)
      if (bytes !== undefined && bytes.length > limit)
        throw new PsyblobError('malformed', `${name} of ${what} is longer than ${limit} bytes`)
      // nobody gets at the pool by what he is given
      return bytes === undefined ? undefined : Uint8Array.from(bytes)
    },
    get: nothing,
    range: nothing,
  }
}
