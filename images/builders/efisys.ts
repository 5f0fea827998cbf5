// `build efisys`: what lies on the EFI partition. One program with its script built in, so that both change in one step (spec/grub.md).
import { createHash } from 'node:crypto'
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { PsyblobError, visible } from '../../core/mod.ts'
import { hasCode, translated } from '../../store/mod.ts'
import { grubConfig, grubFont, grubPrefix } from '../bootloaders/grub-config.ts'
import { checkReplaceable, putInPlace } from './aside.ts'
import type { Artifact, BuildContext } from './builder.ts'
import type { EfisysOptions } from './recipe.ts'
import { tarEnd, tarHeader, tarPadding } from './tar-header.ts'

export const efisysPrograms: readonly string[] = ['grub-mkimage']

/** What the script and its menu use; nothing is loaded from a disk. all_video: without it some kernels have no screen. */
const modules = [
  ...['normal', 'memdisk', 'tar', 'part_gpt', 'part_msdos', 'fat', 'ext2', 'iso9660', 'gzio'],
  ...['echo', 'test', 'true', 'regexp', 'probe', 'loadenv', 'search', 'search_label', 'sleep'],
  ...['linux', 'chain', 'boot', 'reboot', 'halt', 'efifwsetup', 'minicmd', 'ls', 'cat', 'configfile'],
  ...['terminal', 'terminfo', 'serial', 'font', 'gfxterm', 'all_video'],
]

/** As long as a real id. */
const noId = '0'.repeat(16)

const platforms = {
  x86_64: { format: 'x86_64-efi', loader: 'BOOTX64' },
  aarch64: { format: 'arm64-efi', loader: 'BOOTAA64' },
} as const

const fonts = '/usr/share/grub'

/** What a recipe that says nothing gets. */
export const defaultEfisys: EfisysOptions = { commandLine: '', timeout: 3, serial: 115_200, extraPrograms: [] }

export type EfisysBuild = {
  /** A folder: a new one, an empty one, or one that an earlier build made. */
  readonly out: string
  readonly architecture: 'x86_64' | 'aarch64'
  /** Relative paths of extra programs begin here. */
  readonly dir: string
  readonly options: EfisysOptions
}

/** Leaves a release folder: EFI/BOOT/, EFI/tools/ and psyblob/ with the loader's id and its script for people to read. */
export async function buildEfisys({ out, architecture, dir, options }: EfisysBuild, context: BuildContext): Promise<readonly Artifact[]> {
  const { run, report, work, epoch } = context
  const { format, loader } = platforms[architecture]
  await checkReplaceable(out, { names: ['EFI', 'psyblob'] })
  const folder = grubFolder(format)
  await stat(join(folder, 'moddep.lst')).catch(() => {
    throw new PsyblobError('unsupported', `GRUB for ${format} is not installed: no ${folder}`, {
      hint:
        architecture === 'x86_64'
          ? 'on Debian: apt-get install grub-efi-amd64-bin; on Alpine: apk add grub-efi'
          : 'on Debian: apt-get install grub-efi-arm64-bin; on Alpine: apk add grub-efi',
    })
  })
  const font = await readFile(join(fonts, grubFont)).catch((error: unknown) => {
    // the screen has the text of the firmware then
    if (hasCode(error, 'ENOENT')) return undefined
    throw translated(error, `reading GRUB's font`)
  })
  const release = join(work, 'efisys')
  for (const name of ['EFI/BOOT', 'EFI/tools', 'psyblob']) await mkdir(join(release, name), { recursive: true })
  const program = join(release, `EFI/BOOT/${loader}.EFI`)
  const make = async (id: string): Promise<string> => {
    const script = grubConfig({ ...options, loader, id })
    const memdisk = join(work, 'memdisk.tar')
    await writeFile(
      memdisk,
      memdiskOf([['grub.cfg', Buffer.from(script)], ...(font === undefined ? [] : ([[grubFont, font]] as const))], epoch),
    )
    // grub-mkstandalone does the same, but the time of the build is in what it makes
    await run(['grub-mkimage', '-O', format, '-o', program, '-p', grubPrefix, '-m', memdisk, ...modules], {
      env: { SOURCE_DATE_EPOCH: String(epoch), TZ: 'UTC' },
    })
    return script
  }
  // the id is a hash of everything that the loader is made of, GRUB and its modules too: of the loader as it is without one
  await make(noId)
  const id = createHash('sha256')
    .update(await readFile(program))
    .digest('hex')
    .slice(0, noId.length)
  report({ type: 'step', step: 'boot loader', about: `${format} ${id}` })
  const script = await make(id)
  await writeFile(join(release, 'psyblob/loader'), `${id}\n`)
  await writeFile(join(release, 'psyblob/grub.cfg'), script)
  for (const { name, from } of options.extraPrograms) {
    const bytes = await readFile(resolve(dir, from)).catch((cause: unknown) => {
      throw new PsyblobError('not-found', `no extra EFI program ${visible(from)}`, {
        cause,
        hint: 'the path begins at the folder of the recipe',
      })
    })
    if (bytes.toString('latin1', 0, 2) !== 'MZ')
      throw new PsyblobError('malformed', `${visible(from)} is no EFI program`, { hint: 'one begins with the letters MZ' })
    await writeFile(join(release, `EFI/tools/${name}.efi`), bytes)
  }
  const { size } = await stat(program)
  await putInPlace(release, out)
  return [{ name: 'efisys', path: join(out, `EFI/BOOT/${loader}.EFI`), size }]
}

/** The loader's own file system. */
function memdiskOf(files: readonly (readonly [string, Uint8Array])[], time: number): Uint8Array {
  const pieces = files.flatMap(([name, bytes]) => {
    const path = `boot/grub/${name}`
    const entry = { kind: 'file', path, link: '', mode: 0o644, uid: 0, gid: 0, size: bytes.length, time, attributes: new Map() } as const
    return [tarHeader(entry), bytes, tarPadding(bytes.length)]
  })
  return Buffer.concat([...pieces, tarEnd])
}

function grubFolder(format: string): string {
  return `/usr/lib/grub/${format}`
}
