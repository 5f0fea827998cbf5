// What an EFI partition holds of a release: the sealed manifest, the one that is under way, and each file's bytes.
import {
  type CID,
  type Entry,
  type EntryBlob,
  isPsyblobError,
  kindOf,
  limits,
  type Manifest,
  PsyblobError,
  parseManifest,
  visible,
} from '../core/mod.ts'
import { type Authority, checkManifestHeader, cidOfBytes, type Finding, type VerifiedManifest, verifyKept } from '../store/mod.ts'
import type { EfiPartition } from './efi-partition.ts'
import { type LoaderState, readLoaderState } from './esp/loader-state.ts'
import type { SlotContent } from './slot-files.ts'

export const bootFolder = 'EFI/BOOT'
/** Written last: what the partition holds. */
export const sealed = { body: 'psyblob/manifest', signatures: 'psyblob/manifest.minisig' } as const
/** Written first: what it is about to hold. */
export const following = { body: 'psyblob/next', signatures: 'psyblob/next.minisig' } as const
/** One line: which boot loader the release has. */
export const idEntry = '/psyblob/loader'

export type FileEntry = Entry & { readonly bin: EntryBlob }

export type EfiContent = {
  readonly sealed: SlotContent
  /** The release that is being installed, or waits for the trial of its boot loader. */
  readonly next: VerifiedManifest | undefined
  readonly loader: LoaderState
}

type Expected = { readonly product: string; readonly authority: Authority }

export async function readEfi(partition: EfiPartition, expected: Expected): Promise<EfiContent> {
  const next = await readRelease(partition, following, expected)
  const found = await readRelease(partition, sealed, expected)
  return {
    sealed: found.state === 'empty' ? { state: 'empty', unfinished: next.state === 'release' } : found,
    next: next.state === 'release' ? next.release : undefined,
    loader: await readLoaderState(partition.state),
  }
}

async function readRelease(
  { files, label }: EfiPartition,
  names: typeof sealed | typeof following,
  { product, authority }: Expected,
): Promise<SlotContent> {
  const what = `${names.body} on ${visible(label)}`
  try {
    const body = await files.read(names.body, { limit: limits.manifest })
    if (body === undefined) return { state: 'empty', unfinished: false }
    const signatures = await files.read(names.signatures, { limit: limits.minisig })
    if (signatures === undefined)
      throw new PsyblobError('untrusted', `${what} has no signature beside it`, { hint: `psyblob apply ${product} writes it anew` })
    const release = verifyKept({ body, signatures }, { authority, product }, what)
    checkManifestHeader(release.manifest, { name: product }, what)
    return { state: 'release', release }
  } catch (error) {
    if (error instanceof PsyblobError) return { state: 'refused', error }
    throw error
  }
}

/** The product that the manifest there names, whoever signed it; undefined when it cannot be read. */
export async function ownerOf({ files }: EfiPartition): Promise<string | undefined> {
  try {
    const body = await files.read(sealed.body, { limit: limits.manifest })
    return body === undefined ? undefined : parseManifest(body, 'manifest there').name
  } catch (error) {
    if (isPsyblobError(error)) return undefined
    throw error
  }
}

/** `BOOTX64` for `/EFI/BOOT/BOOTX64.EFI` and so on; undefined for other files. */
export function loaderName(path: string): string | undefined {
  return /^\/EFI\/BOOT\/(BOOT[A-Z0-9]{1,4})\.EFI$/i.exec(path)?.[1]?.toUpperCase()
}

/** Where a release's boot loader lies until it is switched to. */
export function newLoader(name: string): string {
  return `${bootFolder}/${name}.NEW`
}

/** Where the one before lies then. */
export function oldLoader(name: string): string {
  return `${bootFolder}/${name}.OLD`
}

const stagedFolder = 'psyblob/new/'

/** Where a file of a release waits until the boot loader is switched: by its place among the files. */
function staged(at: number): string {
  return `${stagedFolder}${at}`
}

/** Where it lies until then, boot loader or not. */
export function waitingPlace({ path }: Entry, at: number): string {
  const name = loaderName(path)
  return name === undefined ? staged(at) : newLoader(name)
}

export function isStaged(path: string): boolean {
  return path.toLowerCase().startsWith(stagedFolder)
}

export function filesOf(manifest: Manifest): readonly FileEntry[] {
  return manifest.records.filter((record): record is FileEntry => record.bin !== null && kindOf(record) === 'file')
}

/** Names as they lie on the partition. */
export function placeOf({ path }: Entry): string {
  return path.slice(1)
}

const keptFor =
  /^\/(state[12](\/.*)?|tries|trial|loader|psyblob\/(manifest|next)(\.minisig)?|psyblob\/new(\/.*)?|efi\/boot\/[^/]*\.(new|old))$/i
// biome-ignore lint/suspicious/noControlCharactersInRegex: FAT has no name for them
const noName = /[\0-\x1f"*:<>?|]|[. ](\/|$)/

/** Throws `unsupported` for what FAT cannot hold, and for files that the boot state lies in. */
export function checkEntries({ name, serial, records }: Manifest): void {
  for (const record of records) {
    const refuse = (why: string) =>
      new PsyblobError('unsupported', `${name} ${serial}: ${visible(record.path)} ${why}`, {
        hint: 'the publisher leaves it out of the release',
      })
    if (keptFor.test(record.path)) throw refuse('belongs to the boot state or to psyblob itself')
    if (noName.test(record.path)) throw refuse('is no name on FAT')
    const kind = kindOf(record)
    if (kind !== 'file' && kind !== 'directory') throw refuse('is no plain file: FAT holds nothing else')
  }
}

/** The CID of a file's bytes; undefined when there is none. `fresh`: from the disk itself. */
export async function cidAt({ files }: EfiPartition, path: string, options: { readonly fresh?: boolean } = {}): Promise<CID | undefined> {
  const bytes = await files.read(path, options)
  return bytes === undefined ? undefined : cidOfBytes(bytes)
}

/** Compares every byte of a release with the partition. `onTrial`: what differs from what is in use may wait. */
export async function auditEfi(
  partition: EfiPartition,
  manifest: Manifest,
  options: { readonly onTrial: boolean; readonly onBytes?: (bytes: number) => void; readonly signal?: AbortSignal | undefined },
): Promise<readonly Finding[]> {
  const findings: Finding[] = []
  for (const [at, entry] of filesOf(manifest).entries()) {
    options.signal?.throwIfAborted()
    const { path, bin } = entry
    try {
      const bytes = await partition.files.read(placeOf(entry))
      const got = bytes === undefined ? undefined : cidOfBytes(bytes)
      options.onBytes?.(bytes?.length ?? 0)
      if (got === bin.cid) continue
      if (options.onTrial && (await cidAt(partition, waitingPlace(entry, at))) === bin.cid) continue
      if (bytes === undefined || got === undefined) findings.push({ path, problem: 'missing', expected: bin.cid })
      else findings.push({ path, problem: bytes.length === bin.size ? 'changed' : 'wrong size', expected: bin.cid, got })
    } catch (error) {
      if (!isPsyblobError(error, 'corrupt')) throw error
      findings.push({ path, problem: 'unreadable', expected: bin.cid })
    }
  }
  return findings
}
