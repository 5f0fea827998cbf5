// What lies in a slot: the release files, the signed manifest that is written last, and psyblob's own folder while it works.
import { chmod, lstat, mkdir, readdir, rename, rm, rmdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { isTree, limits, type Manifest, PsyblobError, parseManifest, visible } from '../core/mod.ts'
import {
  type Authority,
  checkManifestHeader,
  flushFolder,
  hasCode,
  makeFolder,
  readLimited,
  roleOf,
  translated,
  type VerifiedManifest,
  verifyKept,
  writeWhole,
} from '../store/mod.ts'

/** Unfinished files and the manifest of the release that is being replaced. */
export const workFolder = '.psyblob'
const replaced = `${workFolder}/replaced`
const replacedSignature = `${replaced}.minisig`

/** Of the top of a slot: what no release may have. */
const ownNames = new Set(['manifest', 'manifest.minisig', workFolder, 'lost+found'])

/** Throws `unsupported` for entries in the places of psyblob's own files: the slot would not be what its manifest says. */
export function checkSlotEntries({ name, serial, records }: Manifest): void {
  if (isTree(records)) {
    throw new PsyblobError('unsupported', `${name} ${serial} is files of a system, with folders and links, and no slot holds those`, {
      hint: 'give the product "target":{"kind":"tree","root":"/"} in the composition',
    })
  }
  const own = records.find(({ path }) => ownNames.has(path.split('/')[1]?.toLowerCase() ?? ''))
  if (own === undefined) return
  throw new PsyblobError('unsupported', `${name} ${serial}: ${visible(own.path)} lies where psyblob keeps files of its own`, {
    hint: 'the publisher gives it another name',
  })
}

export type SlotContent =
  | { readonly state: 'release'; readonly release: VerifiedManifest }
  /** No manifest: nothing was ever installed, or an installation is under way. */
  | { readonly state: 'empty'; readonly unfinished: boolean }
  /** A manifest that must not be believed. */
  | { readonly state: 'refused'; readonly error: PsyblobError }

/** Reads the slot's manifest and verifies it. Says nothing of the files. */
export async function readSlot(dir: string, expected: { readonly product: string; readonly authority: Authority }): Promise<SlotContent> {
  const what = `manifest in ${dir}`
  try {
    const body = await readLimited(join(dir, 'manifest'), limits.manifest)
    if (body === undefined) return { state: 'empty', unfinished: (await sizeOf(join(dir, workFolder))) !== undefined }
    const signatures = await readLimited(join(dir, 'manifest.minisig'), limits.minisig)
    if (signatures === undefined)
      throw new PsyblobError('untrusted', `${what} has no signature beside it`, { hint: 'psyblob sync writes the slot anew' })
    const release = verifyKept({ body, signatures }, expected, what)
    checkManifestHeader(release.manifest, { name: expected.product }, what)
    return { state: 'release', release }
  } catch (error) {
    if (error instanceof PsyblobError) return { state: 'refused', error }
    throw error
  }
}

/** Entries whose file is absent or has another size. Cheap: bytes are not read. */
export async function missingFiles(dir: string, manifest: Manifest): Promise<readonly string[]> {
  const missing: string[] = []
  for (const { path, bin } of manifest.records) if (bin !== null && (await sizeOf(join(dir, path))) !== bin.size) missing.push(path)
  return missing
}

async function exists(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined)) !== undefined
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return undefined
    throw translated(error, `reading ${path}`)
  }
}

/** The body of the manifest that is there, or of the one that is being replaced: a hint where seeds are, never believed. */
export async function formerManifest(dir: string): Promise<Uint8Array | undefined> {
  for (const name of ['manifest', replaced]) {
    try {
      const body = await readLimited(join(dir, name), limits.manifest)
      if (body !== undefined) return body
    } catch (error) {
      // only a hint: one that cannot be read is none
      if (!(error instanceof PsyblobError)) throw error
    }
  }
  return undefined
}

/** The release that an interrupted installation was replacing, if its signature holds: undefined otherwise. */
export async function replacedRelease(
  dir: string,
  expected: { readonly product: string; readonly authority: Authority },
): Promise<VerifiedManifest | undefined> {
  try {
    const body = await readLimited(join(dir, replaced), limits.manifest)
    const signatures = await readLimited(join(dir, replacedSignature), limits.minisig)
    if (body === undefined || signatures === undefined) return undefined
    const release = verifyKept({ body, signatures }, expected, `replaced manifest in ${dir}`)
    checkManifestHeader(release.manifest, { name: expected.product }, `replaced manifest in ${dir}`)
    return release
  } catch (error) {
    if (error instanceof PsyblobError) return undefined
    throw error
  }
}

/** The product that the file called manifest names if it is one of psyblob's, whoever signed it; '' when it cannot be read further. */
async function namedProduct(dir: string): Promise<string | undefined> {
  const body = await formerManifest(dir)
  if (body === undefined || !Buffer.from(body.subarray(0, 64)).toString('latin1').startsWith('{"psyblob":"manifest/')) return undefined
  try {
    return parseManifest(body, 'former manifest').name
  } catch (error) {
    if (error instanceof PsyblobError) return ''
    throw error
  }
}

/** Throws `conflict` when the slot is another product's, or when it holds files that no psyblob put there and no boot image is called so: it may be somebody's home. */
export async function refuseForeign(dir: string, product: string, label: string): Promise<void> {
  const names: readonly string[] = await readdir(dir).catch((error: unknown): string[] => {
    if (hasCode(error, 'ENOENT')) return []
    throw translated(error, `reading ${dir}`)
  })
  const owner = await namedProduct(dir)
  if (owner !== undefined && owner !== '' && owner !== product) {
    throw new PsyblobError('conflict', `slot ${visible(label)} belongs to product ${visible(owner)}`, {
      hint: `give ${product} slots of its own, or say --force to give this one to it`,
    })
  }
  if (names.includes(workFolder) || owner !== undefined) return
  const foreign = names.find((name) => name !== 'lost+found' && name !== 'manifest.minisig' && roleOf(name) === 'file')
  if (foreign === undefined) return
  throw new PsyblobError('conflict', `slot ${visible(label)} holds something that is no release: ${visible(foreign)}`, {
    hint: 'everything in a slot is replaced: name another folder or partition, or say --force to give this one to psyblob',
  })
}

/** From here on the slot does not say that it is a release. The manifest is kept as a hint for the seeds. */
export async function beginWriting(dir: string): Promise<void> {
  try {
    await makeFolder(join(dir, workFolder))
    // whatever is called so, a folder too, makes way
    if (await exists(join(dir, 'manifest')))
      for (const name of [replaced, replacedSignature]) await rm(join(dir, name), { recursive: true, force: true })
    await rename(join(dir, 'manifest'), join(dir, replaced)).catch((error: unknown) => {
      if (!hasCode(error, 'ENOENT')) throw error
    })
    await rename(join(dir, 'manifest.minisig'), join(dir, replacedSignature)).catch((error: unknown) => {
      if (!hasCode(error, 'ENOENT', 'EISDIR', 'ENOTDIR')) throw error
    })
    await rm(join(dir, 'manifest.minisig'), { recursive: true, force: true })
    await flushFolder(join(dir, workFolder))
    await flushFolder(dir)
  } catch (error) {
    throw translated(error, `writing into ${dir}`)
  }
}

/** Moves a complete file to its place below `dir`. Whatever stands in the way there is removed, links along the way too. */
export async function placeFile(dir: string, path: string, part: string, mode: number): Promise<void> {
  const segments = path.slice(1).split('/')
  let folder = dir
  for (const segment of segments.slice(0, -1)) {
    folder = join(folder, segment)
    const state = await lstat(folder).catch(() => undefined)
    if (state?.isDirectory() === true) continue
    if (state !== undefined) await rm(folder, { force: true })
    await mkdir(folder)
  }
  const place = join(dir, path)
  if ((await lstat(place).catch(() => undefined))?.isDirectory() === true) await rm(place, { recursive: true })
  await chmod(part, mode & 0o7777)
  await rename(part, place)
}

/** Gives a file the permissions of its entry, if it has others. */
export async function setMode(path: string, mode: number): Promise<void> {
  if (!(await hasMode(path, mode))) await chmod(path, mode & 0o7777)
}

export async function hasMode(path: string, mode: number): Promise<boolean> {
  return ((await lstat(path)).mode & 0o7777) === (mode & 0o7777)
}

/** Paths below `dir` that are no entry of `manifest`, folders that hold none of its entries included. */
export async function strayFiles(dir: string, manifest: Manifest): Promise<readonly string[]> {
  const wanted = new Set(manifest.records.map((record) => record.path))
  const folders = new Set<string>()
  for (const path of wanted) for (let up = dirname(path); up !== '/'; up = dirname(up)) folders.add(up)
  const stray: string[] = []
  const visit = async (folder: string, prefix: string): Promise<void> => {
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      const path = `${prefix}/${entry.name}`
      if (prefix === '' && ['manifest', 'manifest.minisig', workFolder, 'lost+found'].includes(entry.name)) continue
      if (entry.isDirectory() && folders.has(path)) await visit(join(folder, entry.name), path)
      else if (!wanted.has(path)) stray.push(path)
    }
  }
  await visit(dir, '')
  return stray
}

/** Removes what the release does not have. */
export async function removeStrays(dir: string, strays: readonly string[]): Promise<void> {
  for (const path of strays) await rm(join(dir, path), { recursive: true, force: true })
}

/** Writes signature and manifest, last of all: now the slot says what it is. */
export async function seal(dir: string, { manifest, signed }: VerifiedManifest): Promise<void> {
  const folders = new Set(manifest.records.map((record) => dirname(record.path)))
  try {
    for (const folder of folders) await flushFolder(join(dir, folder))
    await flushFolder(dir)
    await writeWhole(join(dir, 'manifest.minisig'), signed.signatures)
    await writeWhole(join(dir, 'manifest'), signed.body)
    for (const name of [replaced, replacedSignature]) await rm(join(dir, name), { recursive: true, force: true })
    await rmdir(join(dir, workFolder)).catch((error: unknown) => {
      if (!hasCode(error, 'ENOENT', 'ENOTEMPTY')) throw error
    })
  } catch (error) {
    throw translated(error, `writing into ${dir}`)
  }
}
