// The initramfs: a static busybox, the modules that lead to the slot, and psyblob's init (spec/initramfs.md).
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { limits, PsyblobError, visible } from '../../core/mod.ts'
import { hasCode, translated } from '../../store/mod.ts'
import init from '../guest/init.sh?raw'
import { findProgram } from '../run.ts'
import type { Artifact, BuildContext } from './builder.ts'
import { type CpioEntry, cpio } from './cpio.ts'
import { loadOrder, type ModuleTree, moduleBytes, openModules } from './modules.ts'
import type { Recipe } from './recipe.ts'
import { compress } from './zstd.ts'

/** What disks, their file systems, a rescue shell's keyboard and the watchdog need; a kernel has some built in and some not at all. */
const usualModules = [
  'virtio_pci virtio_mmio virtio_blk virtio_scsi virtio_console vmd nvme ahci ata_piix sd_mod sr_mod cdrom',
  'xhci_pci ehci_pci uhci_hcd ohci_pci usb_storage uas usbhid hid_generic',
  'mmc_block sdhci_pci sdhci_acpi hv_storvsc hv_vmbus xen_blkfront vmw_pvscsi mptspi',
  'crc32c_generic crc32c_intel ext4 squashfs overlay loop isofs vfat nls_cp437 nls_iso8859_1 nls_ascii nls_utf8',
  'i6300esb iTCO_wdt wdat_wdt sp5100_tco',
].flatMap((line) => line.split(' '))

/** Loaded when there is no other watchdog. */
const softwareWatchdog = ['softdog']

/** Programs of init.sh, then what a rescue shell is opened for. */
const applets = [
  '[ basename cat chmod cp dd echo fold grep hexdump insmod kill ls mkdir mount printf readlink reboot rm sed setsid sh sleep switch_root sync test tr umount uname watchdog',
  'blockdev chroot clear cmp cut date df dmesg du env false find findfs fdisk free head hostname ifconfig ip less ln losetup lsmod md5sum mknod more mv',
  'nc od passwd pidof ping poweroff ps pwd rmmod sha256sum sort stat tail tar touch true udhcpc vi wc wget which xargs zcat',
].flatMap((line) => line.split(' '))

export type InitramfsOptions = {
  /** The file that is written. */
  readonly out: string
  /** A folder with lib/modules/VERSION, as `kernel` leaves it. */
  readonly modules: string
}

/** Errors: `not-found` (busybox, modules), `unsupported` (no busybox that fits), `usage`. */
export async function initramfs(recipe: Recipe, { out, modules }: InitramfsOptions, context: BuildContext): Promise<Artifact> {
  const busybox = await staticBusybox(recipe.architecture)
  const tree = await openModules(modules)
  const order = loadOrder(tree, { usual: usualModules, named: recipe.initramfs.modules })
  const later = loadOrder(tree, { usual: softwareWatchdog, named: [] }).filter((path) => !order.includes(path))
  const inside = (path: string) => `lib/modules/${tree.version}/${path.replace(/\.(gz|xz|zst)$/, '')}`
  const line = (path: string) => [path, ...(tree.needs.get(path) ?? [])].map((one) => `/${inside(one)}`).join(' ')
  const list = (paths: readonly string[]) => ({ bytes: Buffer.from(paths.map((path) => `${line(path)}\n`).join('')) })
  const entries: CpioEntry[] = [
    { path: 'dev/console', mode: 0o600, content: { device: [5, 1] } },
    { path: 'dev/null', mode: 0o666, content: { device: [1, 3] } },
    { path: 'init', mode: 0o755, content: { bytes: Buffer.from(init) } },
    { path: 'bin/busybox', mode: 0o755, content: { bytes: busybox } },
    ...applets.map((name): CpioEntry => ({ path: `bin/${name}`, mode: 0o777, content: { link: 'busybox' } })),
    { path: 'etc/psyblob/initramfs.conf', mode: 0o644, content: { bytes: Buffer.from(`watchdog=${recipe.initramfs.watchdog}\n`) } },
    { path: 'etc/psyblob/modules', mode: 0o644, content: list(order) },
    { path: 'etc/psyblob/softdog', mode: 0o644, content: list(later) },
    ...['proc', 'sys', 'run', 'sysroot', 'tmp'].map((path): CpioEntry => ({ path, mode: 0o755, content: 'folder' })),
  ]
  for (const path of [...order, ...later])
    entries.push({ path: inside(path), mode: 0o644, content: { bytes: await moduleBytes(join(tree.dir, path), context.run) } })
  context.signal?.throwIfAborted()
  const archives = archivesOf(entries, context.epoch)
  const isZstd = await takesZstd(modules, tree)
  const frames: Uint8Array[] = []
  for (const archive of archives) frames.push(isZstd ? await compress(archive) : gzipSync(archive, { level: 9 }))
  const bytes = Buffer.concat(frames)
  await writeFile(out, bytes).catch((error: unknown) => {
    throw translated(error, `writing ${out}`)
  })
  return { name: 'initramfs', path: out, size: bytes.length }
}

/** One archive; several when it would be more than a node can pack again at once. The kernel unpacks one after the other. */
function archivesOf(entries: readonly CpioEntry[], epoch: number): readonly Uint8Array[] {
  const whole = cpio(entries, epoch)
  if (whole.length <= limits.patch.piece) return [whole]
  const archives: Uint8Array[] = []
  let some: CpioEntry[] = []
  let bytes = 0
  for (const entry of entries) {
    const { content } = entry
    const size = content !== 'folder' && 'bytes' in content ? content.bytes.length : 0
    if (bytes > 0 && bytes + size > limits.patch.piece / 2) {
      archives.push(cpio(some, epoch))
      some = []
      bytes = 0
    }
    some.push(entry)
    bytes += size
  }
  return [...archives, cpio(some, epoch)]
}

/** What the kernel's configuration says, which lies beside its modules as packages have it; without one it is taken for a new one. */
async function takesZstd(modules: string, { version }: ModuleTree): Promise<boolean> {
  const config = await readFile(join(modules, 'boot', `config-${version}`), 'utf8').catch((error: unknown) => {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return undefined
    throw translated(error, 'reading the configuration of the kernel')
  })
  return config === undefined || /^CONFIG_RD_ZSTD=y$/m.test(config)
}

const machines = { x86_64: 62, aarch64: 183 } as const

/** The first busybox on PATH that needs no libraries and is for that machine. */
async function staticBusybox(architecture: Recipe['architecture']): Promise<Uint8Array> {
  const hint = 'on Debian: apt-get install busybox-static; on Alpine: apk add busybox-static'
  const seen: string[] = []
  for (const name of ['busybox.static', 'busybox-static', 'busybox']) {
    const path = await findProgram(name)
    if (path === undefined) continue
    const bytes = await readFile(path).catch((error: unknown) => {
      throw translated(error, `reading ${path}`)
    })
    const why = unfit(bytes, architecture)
    if (why === undefined) return bytes
    seen.push(`${visible(path)} ${why}`)
  }
  if (seen.length === 0) throw new PsyblobError('unsupported', 'not installed: a static busybox', { hint })
  throw new PsyblobError('unsupported', `no static busybox for ${architecture}: ${seen.join('; ')}`, { hint })
}

/** Why an ELF file (elf(5)) cannot run in an initramfs, where no library is. */
function unfit(bytes: Buffer, architecture: Recipe['architecture']): string | undefined {
  if (bytes.length < 64 || bytes.readUInt32BE(0) !== 0x7f454c46 || bytes[4] !== 2 || bytes[5] !== 1) return 'is no program for 64 bits'
  if (bytes.readUInt16LE(18) !== machines[architecture]) return 'is for another machine'
  const [first, size, count] = [Number(bytes.readBigUInt64LE(32)), bytes.readUInt16LE(54), bytes.readUInt16LE(56)]
  for (let at = first; at < first + size * count && at + 4 <= bytes.length; at += size)
    if (bytes.readUInt32LE(at) === 3) return 'needs libraries'
  return undefined
}
