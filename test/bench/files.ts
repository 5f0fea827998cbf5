// Folders put back to how they were, and files compared.
import { execFileSync } from 'node:child_process'
import { existsSync, linkSync, realpathSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { run } from './run.ts'

/** `to` becomes what `from` is. */
export function copy(dir: string, from: string, to: string): void {
  rmSync(join(dir, to), { recursive: true, force: true })
  execFileSync('cp', ['-a', from, to], { cwd: dir })
}

let gone = 0

/**
 * `to` becomes what `from` is, sharing its files: only for what replaces files and never writes into them. What was there
 * is put aside, not removed: ext4 without a journal is slow to make files for minutes after many were deleted.
 */
export function copyLinked(dir: string, from: string, to: string): void {
  if (existsSync(join(dir, to))) renameSync(join(dir, to), join(dir, `${to}.gone-${gone++}`))
  execFileSync('cp', ['-al', from, to], { cwd: dir })
}

/** The same bytes under another name, by a hard link where that is possible. */
export async function share(from: string, to: string): Promise<void> {
  try {
    linkSync(realpathSync(from), to)
  } catch {
    await run(['cp', '--reflink=auto', realpathSync(from), to])
  }
}

/** Throws unless both files hold the same bytes. */
export async function same(one: string, other: string): Promise<void> {
  await run(['cmp', one, other])
}
