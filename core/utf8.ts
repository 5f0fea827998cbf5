// UTF-8 without laxity. The two globals are declared here because core is compiled without any platform's types.
import { PsyblobError } from './errors.ts'

declare const TextEncoder: new () => { encode(text: string): Uint8Array }
declare const TextDecoder: new (label: string, options: { fatal: boolean; ignoreBOM: boolean }) => { decode(bytes: Uint8Array): string }

export function utf8Encode(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

/** Throws `malformed` on bytes that are not UTF-8; a byte order mark is kept, so that it is refused further on. */
export function utf8Decode(bytes: Uint8Array, what: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    throw new PsyblobError('malformed', `${what} is not UTF-8 text`, {
      hint: 'something else lies there, or it was damaged: check the path or the address',
      cause,
    })
  }
}
