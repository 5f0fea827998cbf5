// Base64 with one spelling for each sequence of bytes: padded, no other alphabet, no stray bits (RFC 4648 section 3.5).

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

export function toBase64(bytes: Uint8Array): string {
  let text = ''
  for (let at = 0; at < bytes.length; at += 3) {
    const [one = 0, two = 0, three = 0] = bytes.subarray(at, at + 3)
    const bits = (one << 16) | (two << 8) | three
    const digits = [18, 12, 6, 0].map((shift) => alphabet[(bits >>> shift) & 63])
    text += digits
      .slice(0, Math.min(4, bytes.length - at + 1))
      .join('')
      .padEnd(4, '=')
  }
  return text
}

/** Undefined unless `text` is exactly what `toBase64` writes for some bytes. */
export function fromBase64(text: string): Uint8Array | undefined {
  if (text.length % 4 !== 0) return undefined
  const digits = text.replace(/={1,2}$/, '')
  const bytes = new Uint8Array(Math.floor((digits.length * 6) / 8))
  let bits = 0
  let held = 0
  let at = 0
  for (const digit of digits) {
    const value = alphabet.indexOf(digit)
    if (value < 0) return undefined
    bits = ((bits << 6) | value) & 0xffff
    held += 6
    if (held < 8) continue
    held -= 8
    bytes[at++] = (bits >>> held) & 0xff
  }
  return toBase64(bytes) === text ? bytes : undefined
}
