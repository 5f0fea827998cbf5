// Environment blocks byte for byte as GRUB reads and changes them (grub-core/lib/envblk.c). grub-editenv is made of the same source, and
// a test compares the two.

const signature = Buffer.from('# GRUB Environment Block\n')
const [hash, feed, backslash, equals] = [0x23, 0x0a, 0x5c, 0x3d]

/** GRUB's strings end at a NUL. */
function text(bytes: Buffer): string {
  const end = bytes.indexOf(0)
  return bytes.toString('latin1', 0, end < 0 ? bytes.length : end)
}

/** GRUB wants the signature, and a byte more. */
export function isBlock(block: Buffer): boolean {
  return block.length > signature.length && block.subarray(0, signature.length).equals(signature)
}

function nextLine(block: Buffer, from: number): number {
  let at = from
  while (at < block.length && block[at] !== feed) at += block[at] === backslash ? 2 : 1
  return at + 1
}

/** All variables in the order they stand, those that stand twice twice. */
export function readVariables(block: Buffer): readonly (readonly [string, string])[] {
  const found: [string, string][] = []
  for (let at = signature.length; at < block.length; at = nextLine(block, at)) {
    if (block[at] === hash) continue
    const start = at
    while (at < block.length && block[at] !== equals) at++
    if (at >= block.length) return found
    const name = block.subarray(start, at)
    const value: number[] = []
    for (at++; at < block.length && block[at] !== feed; at++) {
      if (block[at] === backslash) at++
      value.push(block[at] ?? 0)
    }
    if (at >= block.length) return found
    found.push([text(name), text(Buffer.from(value))])
  }
  return found
}

/** The block with the first variable of that name changed, or one added; undefined when it is broken or has no room. */
export function setVariable(block: Buffer, name: string, value: string): Buffer | undefined {
  let space = block.length - 1
  while (block[space] === hash) space--
  if (block[space] !== feed) return undefined
  space++
  const written = value.replace(/[\\\n]/g, '\\$&')
  for (let at = signature.length; at + name.length + 1 < space; at = nextLine(block, at)) {
    if (block.toString('latin1', at, at + name.length + 1) !== `${name}=`) continue
    const from = at + name.length + 1
    let to = from
    while (to < block.length && block[to] !== feed) to += block[to] === backslash ? 2 : 1
    if (to >= block.length || block.length - space < written.length - (to - from)) return undefined
    const changed = Buffer.concat([block.subarray(0, from), Buffer.from(written, 'latin1'), block.subarray(to)])
    const filled = Buffer.concat([changed, Buffer.alloc(block.length, hash)])
    return filled.subarray(0, block.length)
  }
  const line = Buffer.from(`${name}=${written}\n`, 'latin1')
  if (block.length - space < line.length) return undefined
  return Buffer.concat([block.subarray(0, space), line, block.subarray(space + line.length)])
}
