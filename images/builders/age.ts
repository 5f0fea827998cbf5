// The age identity of a node: what is encrypted to its recipient only that node can read (age-encryption.org/v1).
import { PsyblobError, visible } from '../../core/mod.ts'

export type AgeKey = {
  /** As age-keygen(1) writes it. */
  readonly file: Uint8Array
  /** What others encrypt to: `age1…`, one for each identity. */
  readonly recipients: readonly string[]
}

/** A new X25519 identity. `now` is in milliseconds. */
export async function newAgeKey(now: number): Promise<AgeKey> {
  const { generateX25519Identity, identityToRecipient } = await load()
  const identity = await generateX25519Identity()
  const recipient = await identityToRecipient(identity)
  const created = `${new Date(now).toISOString().slice(0, 19)}Z`
  return { file: Buffer.from(`# created: ${created}\n# public key: ${recipient}\n${identity}\n`), recipients: [recipient] }
}

/** The identities of a key file called `what`. Throws `malformed`, without a word of what stands in it. */
export async function readAgeKey(file: Uint8Array, what: string): Promise<AgeKey> {
  const { identityToRecipient } = await load()
  const lines = Buffer.from(file).toString('utf8').split('\n')
  const identities = lines.map((line) => line.trim()).filter((line) => line !== '' && !line.startsWith('#'))
  const refuse = (cause?: unknown) =>
    new PsyblobError('malformed', `${visible(what)} is no age key`, {
      cause,
      hint: 'a line of it begins with AGE-SECRET-KEY-1; age-keygen makes one, and so does psyblob when --age-key is left out',
    })
  if (identities.length === 0) throw refuse()
  const recipients: string[] = []
  for (const identity of identities)
    recipients.push(
      await identityToRecipient(identity).catch((cause: unknown) => {
        throw refuse(cause)
      }),
    )
  return { file, recipients }
}

// only one command needs it, and it takes its time to load
const load = () => import('age-encryption')
