// Which groups of a patch one thread makes alone: two of them would take too much memory.
import type { PatchCodec } from '../../core/mod.ts'
import { isHeavy } from './encoders.ts'

/** Bytes made for one group, as the blocks of a kernel have. */
const largeGroup = 6 * 1024 * 1024

export function isAlone({ made }: { readonly made: number }, codecs: readonly PatchCodec[]): boolean {
  return made > largeGroup || codecs.some(isHeavy)
}
