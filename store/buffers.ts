// Buffers that are used again. They lie outside the heap, where garbage is collected late: a gigabyte of them would pass the memory limit.
const kept: Buffer[] = []
const mostKept = 20

/** A buffer of at least `bytes` bytes with anything in it. Whoever borrows it gives it back, and does not touch it afterwards. */
export function borrow(bytes: number): Buffer {
  const at = kept.findIndex((buffer) => buffer.length >= bytes)
  return at < 0 ? Buffer.allocUnsafeSlow(bytes) : (kept.splice(at, 1)[0] as Buffer)
}

export function giveBack(buffer: Buffer): void {
  if (kept.length < mostKept) kept.push(buffer)
}
