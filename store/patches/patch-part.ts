// The file a patch is fetched into, and how often it was begun to be applied: both lie among the unfinished files.
import { readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { CID } from '../../core/mod.ts'
import { hasCode, translated } from '../files.ts'

/** Times that a patch is begun without an end before it is left alone: whatever kills psyblob might be its work. */
export const mostTries = 4

export function patchPart(parts: string, cid: CID): string {
  return join(parts, `${cid}.patch.part`)
}

function triesPath(parts: string, cid: CID): string {
  return join(parts, `${cid}.tries.part`)
}

/** What is kept of patches that a release has, by `partStem`: a patch that a plan goes on with, and how often any of them was begun. */
export function patchStems(named: readonly CID[], used: CID | undefined): readonly string[] {
  return [...named.map((cid) => `${cid}.tries`), ...(used === undefined ? [] : [`${used}.patch`])]
}

/** What lies here of a patch: its bytes, and how often it was begun and not ended. */
export async function readPatchPart(parts: string, cid: CID): Promise<{ readonly got: number; readonly tries: number }> {
  try {
    const got = await stat(patchPart(parts, cid)).then((state) => (state.isFile() ? state.size : 0), nothing)
    const tries = await readFile(triesPath(parts, cid)).then((bytes) => bytes.length, nothing)
    return { got, tries }
  } catch (error) {
    throw translated(error, `reading ${patchPart(parts, cid)}`)
  }
}

function nothing(error: unknown): number {
  if (hasCode(error, 'ENOENT', 'ENOTDIR', 'EISDIR', 'EIO', 'ELOOP')) return 0
  throw error
}

/** A byte a try. */
export async function beginPatch(parts: string, cid: CID): Promise<void> {
  await writeFile(triesPath(parts, cid), '.', { flag: 'a' })
}

/** It was applied, or was left: nothing stays. */
export async function endPatch(parts: string, cid: CID): Promise<void> {
  for (const path of [patchPart(parts, cid), triesPath(parts, cid)]) await rm(path, { force: true, recursive: true })
}

/** It was ended by somebody who will go on with it. */
export async function pausePatch(parts: string, cid: CID): Promise<void> {
  await rm(triesPath(parts, cid), { force: true })
}
