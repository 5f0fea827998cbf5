// The bytes that a vector names by a seed instead of holding them (spec/vectors/README.md).
import { blake3 } from '../../store/blake3.ts'

/** 32-byte blocks: BLAKE3 of the seed followed by the block's number in decimal. */
export function madeOf({ seed, length }: { readonly seed: string; readonly length: number }): Uint8Array {
  const blocks = Array.from({ length: Math.ceil(length / 32) }, (_, number) =>
    blake3().digest(new Uint8Array(Buffer.from(`${seed}${number}`))),
  )
  return new Uint8Array(Buffer.concat(blocks).subarray(0, length))
}
