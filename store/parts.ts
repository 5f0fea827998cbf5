// Unfinished files: one a blob, named by its CID, and what belongs to patches. They outlive a run that was cut short.
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { CID } from '../core/mod.ts'

/** Of a blob. */
export function partPath(parts: string, cid: CID): string {
  return join(parts, `${cid}.part`)
}

/** Whose unfinished file it is that is called so: a blob's CID, or what belongs to a patch. Undefined when it is none. */
export function partStem(name: string): string | undefined {
  return /^(.+?)(?:\.\d+)?\.part$/.exec(name)?.[1]
}

/** Removes unfinished files whose stem is not in `keep`. */
export async function dropParts(parts: string, keep: ReadonlySet<string>): Promise<void> {
  for (const name of await readdir(parts).catch(() => [])) {
    const stem = partStem(name)
    if (stem !== undefined && !keep.has(stem)) await rm(join(parts, name), { force: true })
  }
}
