// LZO1X, as squashfs keeps its metadata with `-comp lzo`: no package decodes it without a compiler on the machine (Linux, Documentation/staging/lzo.rst).

/** At most `limit` bytes. Throws for anything that is not one whole LZO1X stream. */
export function decompressLzo(input: Uint8Array, limit: number): Uint8Array {
  const output = new Uint8Array(limit)
  let at = 0
  let to = 0

  function byte(): number {
    const value = input[at++]
    if (value === undefined) throw new RangeError('the stream ends too early')
    return value
  }

  /** `bits` of the instruction, or when they are all zero a count of zero bytes and one that is none. */
  function count(instruction: number, bits: number): number {
    const small = instruction & (2 ** bits - 1)
    if (small !== 0) return small
    let more = 2 ** bits - 1
    let value = byte()
    for (; value === 0; value = byte()) more += 255
    return more + value
  }

  function literals(length: number): void {
    if (at + length > input.length || to + length > limit) throw new RangeError('literals beyond the end')
    output.set(input.subarray(at, at + length), to)
    at += length
    to += length
  }

  function match(distance: number, length: number): void {
    if (distance > to || to + length > limit) throw new RangeError('a match beyond the bytes')
    // byte by byte: a match may overlap what it makes
    for (const end = to + length; to < end; to++) output[to] = output[to - distance] as number
  }

  /** How many literals came last: 0 to 3 with a match, 4 for a run of them. It says what a small instruction means. */
  let state = 0
  const first = input[0] ?? 0
  if (first > 17) {
    at++
    literals(first - 17)
    state = Math.min(first - 17, 4)
  }
  for (;;) {
    const instruction = byte()
    let trailing = instruction & 3
    if (instruction >= 64) match(1 + ((instruction >> 2) & 7) + (byte() << 3), (instruction >> 5) + 1)
    else if (instruction >= 16) {
      const near = instruction >= 32
      const length = 2 + count(instruction, near ? 5 : 3)
      const field = byte() | (byte() << 8)
      const distance = near ? 1 + (field >> 2) : 16384 + ((instruction & 8) << 11) + (field >> 2)
      if (!near && distance === 16384) {
        if (at !== input.length) throw new RangeError('bytes after the end')
        return output.subarray(0, to)
      }
      match(distance, length)
      trailing = field & 3
    } else if (state === 0) {
      literals(3 + count(instruction, 4))
      state = 4
      continue
    } else match((state === 4 ? 2049 : 1) + (instruction >> 2) + (byte() << 2), state === 4 ? 3 : 2)
    literals(trailing)
    state = trailing
  }
}
