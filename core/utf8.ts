// UTF-8 without laxity. The two globals are declared here because core is compiled without any platform's types.
import { PsyblobError } from './errors.ts'

declare const TextEncoder: new () => {
  encode(text: string): Uint8Array
  encodeInto(text: string, into: Uint8Array): { readonly written: number }
}
declare const TextDecoder: new (label: string, options: { fatal: boolean; ignoreBOM: boolean }) => { decode(bytes: Uint8Array): string }

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export function utf8Encode(text: string): Uint8Array {
  return encoder.encode(text)
}

/** Writes `text` to `into`, which has room for it, and answers how many bytes that took. */
export function utf8EncodeInto(text: string, into: Uint8Array): number {
  return encoder.encodeInto(text, into).written
}

/** How many bytes `text` takes; a lone surrogate counts as the three that stand in for it. */
export function utf8Length(text: string): number {
  let length = text.length
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    if (unit < 0x80) continue
    length += unit < 0x800 ? 1 : 2
    // the two halves of one character take four bytes together
    if (unit >= 0xd800 && unit < 0xdc00 && (text.charCodeAt(at + 1) & 0xfc00) === 0xdc00) at++
  }
  return length
}

/** Throws `malformed` on bytes that are not UTF-8; a byte order mark is kept, so that it is refused further on. */
export function utf8Decode(bytes: Uint8Array, what: string): string {
  try {
    return decoder.decode(bytes)
  } catch (cause) {
    throw new PsyblobError('malformed', `${what} is not UTF-8 text`, {
      hint: 'something else lies there, or it was damaged: check the path or the address',
      cause,
    })
  }
}
