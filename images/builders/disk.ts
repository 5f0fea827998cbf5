// `build disk`: a GPT image that boots, filled from signed releases. Nothing is mounted, and no root is needed (spec/disk.md).
import { cp, mkdir, open, stat, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { type Component, PsyblobError, visible } from '../../core/mod.ts'
import { hasCode, translated } from '../../store/mod.ts'
import { formatEnvironment } from '../environment-block.ts'
import { putFileInPlace } from './aside.ts'
import type { Artifact, BuildContext } from './builder.ts'
import { type DiskLayout, layOutDisk, mebibyte, type PartitionName } from './disk-layout.ts'
import { ext4Programs, makeExt4 } from './ext4.ts'
import { fatPrograms, makeFat } from './fat.ts'
import { folderBytes } from './folder-bytes.ts'
import { type LaidOut, layOutEfisys, layOutOs, type SourceOptions } from './signed-release.ts'

export const diskPrograms: readonly string[] = ['sgdisk', ...ext4Programs, ...fatPrograms]

export type DiskOptions = {
  readonly out: string
  readonly os: Component
  readonly efisys: Component
  readonly source: SourceOptions
  readonly version: string | undefined
  /** One slot filled, or both with the same release. */
  readonly slots: 'a' | 'both'
  /** A folder or a tar file for psyops-secret. */
  readonly secret: { readonly dir: string } | { readonly tar: string } | undefined
  readonly slotSize: number | undefined
  readonly size: number | undefined
  readonly dataSize: number
  /** What identifiers are made of besides the releases; `unique`: they are random. */
  readonly identity: { readonly seed: string } | 'unique'
}

export type BuiltDisk = { readonly artifact: Artifact; readonly layout: DiskLayout; readonly os: LaidOut; readonly efisys: LaidOut }

/** Errors: those of fetching, `usage` (too small, no boot loader), `no-space`, `command-failed`. */
export async function buildDisk(options: DiskOptions, context: BuildContext): Promise<BuiltDisk> {
  const { run, report, work, signal } = context
  const { out, source, version, slots, identity } = options
  const secret = await secretFolder(options.secret, context)
  const os = await layOutOs(options.os, { dir: join(work, 'os'), options: source, version })
  const efisys = await layOutEfisys(options.efisys, { dir: join(work, 'efisys'), options: source, version: undefined })
  await addBootState(efisys.dir, join(work, 'os/esp'))
  const layout = layOutDisk({
    content: { release: os.size, efi: efisys.size, secret: secret === undefined ? 0 : await folderBytes(secret) },
    slotSize: options.slotSize,
    size: options.size,
    dataSize: options.dataSize,
    seed: identity === 'unique' ? undefined : seedText([os.sha256, efisys.sha256, slots, identity.seed]),
  })
  report({ type: 'step', step: 'partitions', about: `${layout.size / mebibyte} MiB` })
  const image = join(work, 'disk.img')
  const file = await open(image, 'wx', secret === undefined ? 0o644 : 0o600)
  await file.truncate(layout.size).finally(() => file.close())
  await run(['sgdisk', '--clear', `--disk-guid=${layout.guid}`, ...layout.partitions.flatMap(partitionWords), image], { signal })
  const contents: Readonly<Record<PartitionName, string | undefined>> = {
    PSYOPSOSEFI: efisys.dir,
    'psyops-secret': secret,
    'psyopsOS-A': os.dir,
    'psyopsOS-B': slots === 'both' ? os.dir : undefined,
    'psyblob-data': undefined,
  }
  for (const { name, offset, size, uuid } of layout.partitions) {
    report({ type: 'step', step: 'fill', about: name })
    const place = { image, offset, size, label: name }
    if (name === 'PSYOPSOSEFI') await makeFat({ ...place, id: uuid.slice(0, 8), from: efisys.dir, isPartition: true }, context)
    else await makeExt4({ ...place, uuid, from: contents[name], mode: name === 'psyops-secret' ? 0o700 : 0o755 }, context)
  }
  await putFileInPlace(image, out)
  return { artifact: { name: 'disk', path: out, size: layout.size }, layout, os, efisys }
}

/** spec/disk.md 4: never anything secret, for identifiers stand in logs. */
function seedText(parts: readonly string[]): string {
  return `psyblob disk/1\n${parts.map((part) => `${part}\n`).join('')}`
}

/** What GRUB is told of the slots, and that no new boot loader is on trial. */
async function addBootState(efi: string, state: string): Promise<void> {
  await cp(state, efi, { recursive: true })
  const none = '0000000000'
  await writeFile(join(efi, 'loader'), formatEnvironment({ trial: none, id: '', commit: none }))
  await writeFile(join(efi, 'trial'), formatEnvironment({ trial_for: none }))
}

function partitionWords({ name, number, offset, size, guid }: DiskLayout['partitions'][number]): readonly string[] {
  const sectors = (bytes: number) => bytes / 512
  return [
    `--new=${number}:${sectors(offset)}:${sectors(offset + size) - 1}`,
    `--typecode=${number}:${name === 'PSYOPSOSEFI' ? 'ef00' : '8300'}`,
    `--change-name=${number}:${name}`,
    `--partition-guid=${number}:${guid}`,
  ]
}

/** Throws `not-found`, and `usage` for a file in place of a folder or the other way round. */
async function secretFolder(secret: DiskOptions['secret'], { run, work, signal }: BuildContext): Promise<string | undefined> {
  if (secret === undefined) return undefined
  const path = 'dir' in secret ? secret.dir : secret.tar
  const state = await stat(path).catch((error: unknown) => {
    if (hasCode(error, 'ENOENT', 'ENOTDIR'))
      throw new PsyblobError('not-found', `no secrets at ${visible(path)}`, {
        hint: 'psyblob build secret OUT.tar --nodename NAME makes them',
      })
    throw translated(error, `looking at ${path}`)
  })
  if (state.isDirectory() !== 'dir' in secret)
    throw new PsyblobError('usage', `${visible(path)} is ${state.isDirectory() ? 'a folder' : 'no folder'}`, {
      hint: 'a folder is given by --secret, a tar file by --secret-tarball',
    })
  if ('dir' in secret) return path
  const dir = join(work, 'secret')
  await mkdir(dir, { mode: 0o700 })
  // permissions as they are, whatever the umask; the owner is root in the image whoever unpacks it here
  // GNU tar takes a name with a colon for another machine's, unless a slash comes first; the tar of busybox knows no --force-local
  await run(['tar', '-xpof', resolve(secret.tar), '-C', dir], { signal })
  return dir
}
