// Public keys as minisign writes them (spec/minisign.md 1).
import { fromBase64, toBase64 } from './base64.ts'
import { PsyblobError } from './errors.ts'
import { visible } from './visible.ts'

export type PublicKey = {
  /** 8 bytes, chosen at random when the key was made: finds the key, proves nothing. */
  readonly id: Uint8Array
  /** 32 bytes. */
  readonly key: Uint8Array
  /** The base64 line, e.g. `RWQf6LRC…`: what a composition holds. */
  readonly text: string
}

const keyBytes = 42

/** The id as minisign prints it: 16 hexadecimal digits, the last byte first. */
export function keyIdText(id: Uint8Array): string {
  return Array.from(id, (byte) => byte.toString(16).padStart(2, '0'))
    .reverse()
    .join('')
    .toUpperCase()
}

export function makePublicKey(id: Uint8Array, key: Uint8Array): PublicKey {
  return { id, key, text: toBase64(Uint8Array.from([0x45, 0x64, ...id, ...key])) }
}

/** Reads the bare line or the file of two lines that holds it. Throws `malformed`. */
export function parsePublicKey(source: string): PublicKey {
  const lines = source.split('\n')
  if (lines.at(-1) === '') lines.pop()
  const line =
    lines.length === 2 && lines[0]?.startsWith('untrusted comment:') === true ? lines[1] : lines.length === 1 ? lines[0] : undefined
  const bytes = line === undefined ? undefined : fromBase64(line)
  if (line === undefined || bytes?.length !== keyBytes || bytes[0] !== 0x45 || bytes[1] !== 0x64) {
    throw new PsyblobError('malformed', `not a public key: "${visible(source.slice(0, 60))}"`, {
      hint: 'a public key is the line that begins with RW in a .pub file of minisign or psyblob key new',
    })
  }
  return { id: bytes.slice(2, 10), key: bytes.slice(10), text: line }
}

/** The file that minisign reads with -p. */
export function formatPublicKeyFile(key: PublicKey): string {
  // minisign prints a number here, so leading zeros are not there
  return `untrusted comment: minisign public key ${keyIdText(key.id).replace(/^0+(?=.)/, '')}\n${key.text}\n`
}
