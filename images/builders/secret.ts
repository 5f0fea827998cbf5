// `build secret`: what is one node's alone, as a file system to attach or as a tar file for `build disk` (spec/disk.md 7).
import { mkdir, open, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { checkOutFile, putFileInPlace } from './aside.ts'
import type { Artifact, BuildContext } from './builder.ts'
import { secretBytes, uuidOf } from './disk-layout.ts'
import { ext4Programs, makeExt4 } from './ext4.ts'
import { folderBytes } from './folder-bytes.ts'
import { type SecretContent, type SecretFile, type SecretOptions, secretContent } from './secret-content.ts'
import { type TarHeader, tarEnd, tarHeader, tarPadding } from './tar-header.ts'

export type { SecretOptions } from './secret-content.ts'

/** What is not in it is nobody's to read, in the image, on the way and in the end. */
const fileMode = 0o600
const folderMode = 0o700

const isTar = (out: string) => out.endsWith('.tar')

export function secretPrograms(out: string): readonly string[] {
  return ['ssh-keygen', ...(isTar(out) ? [] : ext4Programs)]
}

export type BuiltSecret = { readonly artifact: Artifact; readonly content: SecretContent }

/** A name that ends in .tar gets a tar file, any other a file system. Errors: those of the content, `conflict` (it exists), `command-failed`. */
export async function buildSecret(
  options: SecretOptions & { readonly out: string; readonly force: boolean },
  context: BuildContext,
): Promise<BuiltSecret> {
  const { out, force, nodename } = options
  await checkOutFile(out, { keep: !force })
  const content = await secretContent(options, context)
  const made = join(context.work, 'secret')
  if (isTar(out)) await writeFile(made, tarOf(content.files, context.epoch), { mode: fileMode, flag: 'wx' })
  else await makeImage(made, { files: content.files, nodename }, context)
  await putFileInPlace(made, out, { keep: !force })
  return { artifact: { name: 'secret', path: out, size: (await stat(out)).size }, content }
}

/** Folders that files lie in, each before what is in it. */
function foldersOf(files: readonly SecretFile[]): readonly string[] {
  const folders = new Set<string>()
  for (const { path } of files) for (let up = dirname(path); up !== '.'; up = dirname(up)) folders.add(up)
  return [...folders].sort()
}

function tarOf(files: readonly SecretFile[], time: number): Buffer {
  const entry = (kind: 'file' | 'folder', path: string, size: number): TarHeader => {
    const mode = kind === 'file' ? fileMode : folderMode
    // names are one byte a character there
    return { kind, path: Buffer.from(path).toString('latin1'), link: '', mode, uid: 0, gid: 0, size, time, attributes: new Map() }
  }
  return Buffer.concat([
    ...foldersOf(files).map((path) => tarHeader(entry('folder', path, 0))),
    ...files.flatMap(({ path, bytes }) => [tarHeader(entry('file', path, bytes.length)), bytes, tarPadding(bytes.length)]),
    tarEnd,
  ])
}

async function makeImage(
  image: string,
  { files, nodename }: { readonly files: readonly SecretFile[]; readonly nodename: string },
  context: BuildContext,
): Promise<void> {
  const from = join(context.work, 'content')
  await mkdir(from, { mode: folderMode })
  for (const path of foldersOf(files)) await mkdir(join(from, path), { mode: folderMode })
  for (const { path, bytes } of files) await writeFile(join(from, path), bytes, { mode: fileMode, flag: 'wx' })
  const size = secretBytes(await folderBytes(from))
  const file = await open(image, 'wx', fileMode)
  await file.truncate(size).finally(() => file.close())
  const uuid = uuidOf(`psyblob secret/1\n${nodename}\n`)
  await makeExt4({ image, offset: 0, size, label: 'psyops-secret', uuid, from, mode: folderMode }, context)
}
