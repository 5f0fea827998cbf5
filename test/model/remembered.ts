// Signatures that were verified once: the same key, message and signature come in thousands of histories, and OpenSSL answers the same each time.
import type { RawVerify } from '../../core/mod.ts'
import { signatureEngine } from '../../store/crypto.ts'

const most = 20_000

/** From now on the engine of this process asks OpenSSL once about what it is asked again and again. */
export function rememberVerified(): void {
  const { verify } = signatureEngine
  const known = new Map<string, boolean>()
  const remembered: RawVerify = (input) => {
    const { publicKey, message, signature } = input
    const name = Buffer.concat([publicKey, signature, message]).toString('latin1')
    const answer = known.get(name) ?? verify(input)
    if (known.size >= most) known.clear()
    known.set(name, answer)
    return answer
  }
  Object.assign(signatureEngine, { verify: remembered })
}
