// A release folder, as a build leaves it: which files become entries, with which role and mode (spec/manifest.md 4).
import { lstat, readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { comparePaths, PsyblobError, parsePath, pathTwin, type Role, visible } from '../core/mod.ts'
import { hasCode, translated } from './files.ts'
import { changedWhileRead } from './ingest.ts'

export type ReleaseFile = {
  /** Of the entry, e.g. `/kernel`. */
  readonly path: string
  /** On this machine. */
  readonly source: string
  readonly size: number
  readonly executable: boolean
  readonly role: Role
}

/** Names in a slot that are psyblob's own. */
const reserved = ['/manifest', '/manifest.minisig', '/.psyblob', '/lost+found']

const names: readonly (readonly [RegExp, Role])[] = [
  [/^(kernel|vmlinuz|bzimage|vmlinux)([.-].*)?$/i, 'kernel'],
  [/^(initramfs|initrd)([.-].*)?$/i, 'initramfs'],
  [/^modloop([.-].*)?$/i, 'modloop'],
  [/(^squashfs([.-].*)?$)|(\.(squashfs|sqfs|erofs)$)/i, 'squashfs'],
  [/^system\.map([.-].*)?$/i, 'system-map'],
  [/^config([.-].*)?$/i, 'config'],
  [/\.dtb$/i, 'dtb'],
  [/\.efi$/i, 'efi'],
]

/** What a file is, by its name. */
export function roleOf(path: string): Role {
  return names.find(([pattern]) => pattern.test(basename(path)))?.[1] ?? 'file'
}

/** Others are compressed as a whole: after a change nearly all of it is new whatever one does. */
export function isWorthCutting(role: Role): boolean {
  return role !== 'kernel' && role !== 'initramfs' && role !== 'efi'
}

/** Every file below `dir`, in the order of entries. Throws `not-found`, and `usage` for anything that no slot can hold. */
export async function releaseFiles(dir: string): Promise<readonly ReleaseFile[]> {
  const found: ReleaseFile[] = []
  const visit = async (folder: string, prefix: string): Promise<void> => {
    const listed = await readdir(folder).catch((error: unknown) => {
      if (hasCode(error, 'ENOENT'))
        throw new PsyblobError('not-found', `no folder ${visible(folder)}`, {
          hint: 'name the folder that the build left: kernel, squashfs and so on lie in it',
        })
      if (hasCode(error, 'ENOTDIR'))
        throw new PsyblobError('usage', `${visible(folder)} is no folder`, {
          hint: 'name the folder that holds the release, not one of its files',
        })
      throw translated(error, `reading ${folder}`)
    })
    for (const name of listed) {
      const path = `${prefix}/${name}`
      const source = join(folder, name)
      if (reserved.includes(path)) {
        throw new PsyblobError('usage', `${visible(source)} has a name that psyblob keeps for itself in a slot`, {
          hint: 'move it out of the release folder, then publish again',
        })
      }
      const state = await lstat(source).catch((error: unknown) => {
        throw hasCode(error, 'ENOENT') ? changedWhileRead(source, error) : translated(error, `reading ${source}`)
      })
      if (name.includes('\\'))
        throw new PsyblobError('usage', `${visible(source)} has a backslash in its name, which separates on some file systems`, {
          hint: 'rename it; a system that has such names is published with --tree',
        })
      if (state.isDirectory()) await visit(source, path)
      else if (state.isFile())
        found.push({ path: parsePath(path), source, size: state.size, executable: (state.mode & 0o111) !== 0, role: roleOf(path) })
      else
        throw new PsyblobError('usage', `${visible(source)} is no plain file`, {
          hint: 'a slot holds plain files only: replace links by what they point to (cp -L), and leave devices out',
        })
    }
  }
  await visit(dir, '')
  const twins = new Map<string, string>()
  for (const { path, source } of found) {
    const other = twins.get(pathTwin(path))
    if (other !== undefined) {
      throw new PsyblobError('usage', `${visible(other)} and ${visible(source)} would be one file where letters are folded`, {
        hint: 'rename one of them',
      })
    }
    twins.set(pathTwin(path), source)
  }
  if (found.length === 0)
    throw new PsyblobError('usage', `nothing to publish: ${visible(dir)} has no files`, { hint: 'name the folder that the build left' })
  return found.sort((one, two) => comparePaths(one.path, two.path))
}
