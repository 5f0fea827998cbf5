// Every parser of bytes that somebody else may have written.
import { diskTargets } from './disks.ts'
import { documentTargets } from './documents.ts'
import { imageTargets } from './images.ts'
import { keptTargets } from './kept.ts'
import { patchTargets } from './patches.ts'
import type { Target } from './target.ts'
import { textTargets } from './texts.ts'

export const targets: readonly Target[] = [
  ...documentTargets,
  ...textTargets,
  ...keptTargets,
  ...imageTargets,
  ...patchTargets,
  ...diskTargets,
]
