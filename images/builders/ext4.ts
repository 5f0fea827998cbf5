// An ext4 file system inside an image, filled without mounting it: equal contents give equal bytes, whoever builds, wherever and whenever.
import { lstat, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PsyblobError, visible } from '../../core/mod.ts'
import { translated } from '../../store/mod.ts'
import type { BuildContext } from './builder.ts'

export const ext4Programs: readonly string[] = ['mke2fs', 'debugfs']

export type Ext4Options = {
  readonly image: string
  /** Bytes from the start of the image. */
  readonly offset: number
  readonly size: number
  readonly label: string
  readonly uuid: string
  /** What it holds; all of it becomes root's. Undefined: nothing. */
  readonly from: string | undefined
  /** Permissions of its root. Default: 0o755. */
  readonly mode?: number
}

/**
 * What GRUB 2.06 reads and no more, whatever this system's mke2fs.conf would have: newer defaults (metadata_csum_seed, orphan_file) keep
 * a machine from booting.
 */
const features =
  'none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum'

/** An empty configuration, so that the one of this system has no say. */
const configuration = '[defaults]\nenable_periodic_fsck = 0\ndefault_mntopts = acl,user_xattr\n[fs_types]\next4 = {\n}\n'

const mebibyte = 1024 * 1024

/** Of a file system of so many bytes. A slot is written seldom, and file data does not pass through it. */
export function journalBytes(size: number): number {
  return (size < 128 * mebibyte ? 4 : size < 2048 * mebibyte ? 16 : 64) * mebibyte
}

type Found = { readonly path: string; readonly source: string; readonly mode: number; readonly isFolder: boolean }

/** Makes and fills it. Throws `no-space` when it does not fit, `usage` for names that cannot be written. */
export async function makeExt4(options: Ext4Options, { run, work, epoch, signal }: BuildContext): Promise<void> {
  const { image, offset, size, label, uuid, from, mode = 0o755 } = options
  const settings = join(work, 'mke2fs.conf')
  await writeFile(settings, configuration)
  // mke2fs takes 0 for no time at all
  const env = { E2FSPROGS_FAKE_TIME: String(Math.max(1, epoch)), MKE2FS_CONFIG: settings, TZ: 'UTC' }
  const extended = `offset=${offset},hash_seed=${uuid},root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0,nodiscard`
  await run(
    [
      ...(['mke2fs', '-q', '-F', '-t', 'ext4', '-O', features, '-b', '4096', '-I', '256', '-i', '16384', '-m', '0'] as const),
      ...['-J', `size=${journalBytes(size) / mebibyte}`, '-L', label, '-U', uuid, '-E', extended, image, `${size / 1024}k`],
    ],
    { env, signal },
  )
  const found = from === undefined ? [] : await filesBelow(from)
  const script = join(work, `${label}.debugfs`)
  const root = `sif "/" mode 0${(0o040000 | mode).toString(8)}`
  // flags: which way the letters of hashed names are taken differs from machine to machine otherwise
  const lines = [...found.flatMap((one) => commands(one, epoch)), root, ...times('/', epoch), ...times('/lost+found', epoch), 'ssv flags 1']
  await writeFile(script, `${lines.join('\n')}\n`)
  const { stderr } = await run(['debugfs', '-w', '-f', script, `${image}?offset=${offset}`], { env, signal })
  // it ends well whatever happens, and says what it did in between
  const complaint = stderr.split('\n').find((line) => line !== '' && !/^debugfs \d|^Allocated inode/.test(line))
  if (complaint === undefined) return
  if (/could not allocate|no free|no space/i.test(complaint))
    throw new PsyblobError('no-space', `${label} is too small for what it is to hold: ${visible(complaint)}`, {
      hint: 'make it larger, or put less into it',
    })
  throw new PsyblobError('command-failed', `filling ${label}: ${visible(complaint)}`, { hint: 'run it again with -v to see the command' })
}

async function filesBelow(dir: string): Promise<readonly Found[]> {
  const found: Found[] = []
  const visit = async (folder: string, prefix: string): Promise<void> => {
    const names = await readdir(folder).catch((error: unknown) => {
      throw translated(error, `reading ${folder}`)
    })
    for (const name of names.sort()) {
      const source = join(folder, name)
      const path = `${prefix}/${name}`
      // a line of a script, and a word in it
      if (/["\\\n\r]/.test(source))
        throw new PsyblobError('usage', `a name that cannot be written: ${visible(source)}`, { hint: 'rename it' })
      const state = await lstat(source)
      if (!state.isDirectory() && !state.isFile())
        throw new PsyblobError('usage', `${visible(source)} is neither a file nor a folder`, {
          hint: 'leave it out, or put a copy in its place',
        })
      if (path === '/lost+found') {
        // every file system has one, this one too
        if (state.isDirectory() && (await readdir(source)).length === 0) continue
        throw new PsyblobError('usage', `${visible(source)} would be left out: lost+found is the file system's own`, {
          hint: 'move what is in it elsewhere, or remove it',
        })
      }
      found.push({ path, source, mode: state.mode & 0o7777, isFolder: state.isDirectory() })
      if (state.isDirectory()) await visit(source, path)
    }
  }
  await visit(dir, '')
  return found
}

function commands({ path, source, mode, isFolder }: Found, epoch: number): readonly string[] {
  const type = isFolder ? 0o040000 : 0o100000
  return [
    isFolder ? `mkdir "${path}"` : `write "${source}" "${path}"`,
    `sif "${path}" mode 0${(type | mode).toString(8)}`,
    `sif "${path}" uid 0`,
    `sif "${path}" gid 0`,
    ...times(path, epoch),
  ]
}

function times(path: string, epoch: number): readonly string[] {
  return ['atime', 'ctime', 'mtime', 'crtime'].map((field) => `sif "${path}" ${field} @${epoch}`)
}
