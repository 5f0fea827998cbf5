// A file that is written and read again thousands of times a second: in memory where the system has such a place.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

let folder: string | undefined

function scratch(): string {
  if (folder === undefined) {
    const made = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'psyblob-fuzz-'))
    process.on('exit', () => rmSync(made, { recursive: true, force: true }))
    folder = made
  }
  return folder
}

/** The path of a file with these bytes, good until the next one of that name. */
export function scratchFile(name: string, bytes: Uint8Array): string {
  const path = join(scratch(), name)
  writeFileSync(path, bytes)
  return path
}

/** The folder that such files lie in. */
export function scratchFolder(): string {
  return scratch()
}
