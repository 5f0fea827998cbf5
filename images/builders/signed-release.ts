// A signed release laid out in a folder, fetched and verified as a node does it: what disks and ISO images are filled with.
import { createHash } from 'node:crypto'
import { chmod, mkdir, readdir, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { type Component, isPsyblobError, type Manifest, PsyblobError, parseManifest } from '../../core/mod.ts'
import { checkEntries } from '../efi-content.ts'
import { applyProduct } from '../fetching.ts'
import { type NodeOptions, openNode } from '../node.ts'
import { folderBytes } from './folder-bytes.ts'

export type SourceOptions = Omit<NodeOptions, 'components' | 'storeDir' | 'disk' | 'booted'>

export type LaidOut = {
  readonly dir: string
  readonly product: string
  readonly serial: number
  readonly version: string
  readonly manifest: Manifest
  /** Of the manifest: 64 hexadecimal digits. */
  readonly sha256: string
  /** What it takes, in bytes, its manifest included. */
  readonly size: number
}

type LayOutOptions = { readonly dir: string; readonly options: SourceOptions; readonly version: string | undefined }

/** Fills `dir`/slot with the newest release, its manifest last, and `dir`/esp with the boot state of a machine that has it in slot a. */
export async function layOutOs(component: Component, options: LayOutOptions): Promise<LaidOut> {
  const laid = await layOut(component, { ...options, activate: true })
  const { report } = options.options
  const names = await readdir(laid.dir)
  for (const name of ['kernel', 'initramfs', 'squashfs'])
    if (!names.includes(name))
      report({
        type: 'warning',
        text: `${laid.product} ${laid.serial} has no file called ${name}: the boot loader of psyblob build efisys does not start it`,
      })
  return laid
}

/**
 * Fills `dir`/slot with what belongs on an EFI partition: the newest release, its manifest in a folder of its own, for the rest of the
 * partition is everybody's. Throws `usage` for a release that no machine boots by, `unsupported` for one that FAT cannot hold.
 */
export async function layOutEfisys(component: Component, options: LayOutOptions): Promise<LaidOut> {
  const laid = await layOut(component, { ...options, activate: false }).catch((error: unknown) => {
    if (isPsyblobError(error, 'not-found') && error.message.includes(' has no product '))
      throw new PsyblobError('not-found', error.message, {
        cause: error,
        hint: `psyblob build efisys --out DIR makes one, and psyblob publish ${component.name} DIR adds it; --efisys names another product`,
      })
    throw error
  })
  checkEntries(laid.manifest)
  const names = await readdir(laid.dir, { recursive: true })
  const what = `${laid.product} ${laid.serial}`
  if (!names.some((name) => /^EFI\/BOOT\/BOOT(X64|AA64|IA32|RISCV64)\.EFI$/i.test(name)))
    throw new PsyblobError('usage', `${what} has no EFI/BOOT/BOOTX64.EFI: nothing would boot by it`, {
      hint: 'psyblob build efisys makes a release with a boot loader',
    })
  await mkdir(join(laid.dir, 'psyblob'), { recursive: true })
  for (const name of ['manifest', 'manifest.minisig']) await rename(join(laid.dir, name), join(laid.dir, 'psyblob', name))
  return laid
}

/** `activate`: the boot state is made, too. */
async function layOut(
  component: Component,
  { dir, options, version, activate }: LayOutOptions & { readonly activate: boolean },
): Promise<LaidOut> {
  const place = (name: string) => ({ dir: join(dir, name) })
  await mkdir(dir, { recursive: true })
  const target = { kind: 'slots', a: place('slot'), b: place('other'), esp: place('esp') } as const
  const placed = { ...component, target }
  // a store of its own: what this machine has seen or refused is no matter of the disk's
  const node = await openNode({ ...options, storeDir: join(dir, 'store'), components: [placed], disk: undefined, booted: undefined })
  await applyProduct(node, placed, { slot: 'a', version, path: undefined, force: false, activate, dryRun: false })
  const slot = join(dir, 'slot')
  await settleModes(slot)
  const body = await readFile(join(slot, 'manifest'))
  const manifest = parseManifest(body, `manifest of ${component.name}`)
  return {
    dir: slot,
    product: component.name,
    serial: manifest.serial,
    version: manifest.version,
    manifest,
    sha256: createHash('sha256').update(body).digest('hex'),
    size: await folderBytes(slot),
  }
}

/** Files of the release have their modes already; of the rest the umask of whoever builds has its say otherwise. */
async function settleModes(slot: string): Promise<void> {
  for (const entry of await readdir(slot, { recursive: true, withFileTypes: true })) {
    if (entry.isDirectory()) await chmod(join(entry.parentPath, entry.name), 0o755)
  }
  for (const name of ['manifest', 'manifest.minisig']) await chmod(join(slot, name), 0o644)
}
