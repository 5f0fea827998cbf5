// Makes the input of a finding smaller for as long as it is found all the same.

/** `isStill` is asked for milliseconds, not for ever: what is left is smaller, not smallest. */
export async function shrunk(
  input: Uint8Array,
  isStill: (candidate: Uint8Array) => Promise<boolean>,
  milliseconds = 5000,
): Promise<Uint8Array> {
  const end = performance.now() + milliseconds
  let best = input
  for (let part = Math.ceil(best.length / 2); part >= 1 && performance.now() < end; part = Math.floor(part / 2)) {
    for (let at = 0; at < best.length && performance.now() < end; ) {
      const candidate = new Uint8Array(Buffer.concat([best.subarray(0, at), best.subarray(at + part)]))
      if (await isStill(candidate)) best = candidate
      else at += part
    }
  }
  return best
}
