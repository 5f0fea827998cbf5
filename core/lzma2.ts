// LZMA2: chunks of LZMA, or of bytes as they are, one after another. The one filter that we read of the .xz format.
import { Lzma } from './lzma.ts'
import { malformed, RangeDecoder } from './range-decoder.ts'

/** What a chunk has to bring along, or brings: each includes those after it. */
const levels = ['nothing', 'state', 'properties', 'dictionary'] as const

/** One block of `input`, from `start` to its end mark, written to `out`, which it does not get beyond. Throws `malformed`. */
export function readLzma2(input: Uint8Array, start: number, out: Uint8Array): { readonly position: number; readonly written: number } {
  const coder = new RangeDecoder(input, start)
  const lzma = new Lzma(coder, out)
  let needs: (typeof levels)[number] = 'dictionary'
  for (let control = coder.byte(); control !== 0; control = coder.byte()) {
    if (control < 0x80) {
      if (control > 2) throw malformed(`a chunk of kind ${control}`)
      if (control === 1) {
        lzma.begin()
        needs = 'properties'
      } else if (needs === 'dictionary') throw malformed('a first chunk that begins no dictionary')
      lzma.copy(coder.short() + 1)
      continue
    }
    const brings = (control >> 5) & 3
    if (brings < levels.indexOf(needs)) throw malformed(`a chunk without its ${needs}`)
    const size = ((control & 0x1f) << 16) + coder.short() + 1
    const packed = coder.short() + 1
    if (brings === 3) lzma.begin()
    if (brings >= 2) lzma.properties(coder.byte())
    if (brings >= 1) lzma.reset()
    needs = 'nothing'
    lzma.chunk(size, packed)
  }
  return { position: coder.position, written: lzma.written }
}
