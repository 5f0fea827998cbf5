// A disk image in a machine of its own: QEMU with UEFI firmware, its serial console on this terminal.
import { copyFile, mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PsyblobError, visible } from '../core/mod.ts'
import { hasCode, pathExists, translated } from '../store/mod.ts'
import { type Run, requirePrograms } from './run.ts'

export type VmOptions = {
  /** A raw disk image, or an ISO image. */
  readonly disk: string
  /** More disks: an image made by `build secret`, a second disk. */
  readonly disks: readonly string[]
  /** Ports of this machine that lead to ports of the guest. */
  readonly ports: readonly { readonly host: number; readonly guest: number }[]
  /** MiB. */
  readonly memory: number
  readonly cpus: number
  /** Nothing that the guest writes is kept. */
  readonly snapshot: boolean
  readonly kvm: boolean
  /** A file with the firmware's variables, kept between runs; undefined: new ones each time. */
  readonly variables: string | undefined
  /** Called when all is there and QEMU is about to take the terminal. */
  readonly onStart: () => void
  readonly run: Run
  readonly signal?: AbortSignal | undefined
}

/** Where distributions have the firmware: code, and variables to begin with. The first are Debian's, then Alpine's and Fedora's, then Arch's. */
const firmwares: readonly (readonly [string, string])[] = [
  ['/usr/share/OVMF/OVMF_CODE_4M.fd', '/usr/share/OVMF/OVMF_VARS_4M.fd'],
  ['/usr/share/OVMF/OVMF_CODE.fd', '/usr/share/OVMF/OVMF_VARS.fd'],
  ['/usr/share/edk2/ovmf/OVMF_CODE.fd', '/usr/share/edk2/ovmf/OVMF_VARS.fd'],
  ['/usr/share/edk2/x64/OVMF_CODE.4m.fd', '/usr/share/edk2/x64/OVMF_VARS.4m.fd'],
]

type Firmware = { readonly code: string; readonly variables: string }

const program = 'qemu-system-x86_64'
const uefi = 'UEFI firmware for QEMU'

/** Runs until the guest is switched off or QEMU is left. Errors: `not-found`, `usage`, `unsupported`, `command-failed`. */
export async function runVm(options: VmOptions): Promise<void> {
  for (const disk of [options.disk, ...options.disks]) await requireDisk(disk)
  const firmware = await findFirmware()
  await requirePrograms([program], firmware === undefined ? [uefi] : [])
  if (firmware === undefined) return
  const work = await mkdtemp(join(tmpdir(), 'psyblob-vm-'))
  try {
    const variables = options.variables ?? join(work, 'variables.fd')
    if (!(await pathExists(variables)))
      await copyFile(firmware.variables, variables).catch((error: unknown) => {
        throw translated(error, `writing ${variables}`)
      })
    options.onStart()
    await options.run([program, ...vmWords(options, { code: firmware.code, variables })], { terminal: true, signal: options.signal })
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

async function requireDisk(path: string): Promise<void> {
  const state = await stat(path).catch((error: unknown) => {
    if (hasCode(error, 'ENOENT', 'ENOTDIR'))
      throw new PsyblobError('not-found', `no disk or image ${visible(path)}`, { hint: 'psyblob build disk makes one' })
    throw translated(error, `opening ${path}`)
  })
  if (!state.isFile() && !state.isBlockDevice())
    throw new PsyblobError('usage', `${visible(path)} is no disk image`, { hint: 'name an image file, e.g. of psyblob build disk' })
  if (/\.(tar|tgz|gz|xz|zst)$/i.test(path))
    throw new PsyblobError('usage', `${visible(path)} is no disk image but a packed file`, {
      hint: 'unpack it first; psyblob build secret OUT.img makes an image with secrets',
    })
}

async function findFirmware(): Promise<Firmware | undefined> {
  for (const [code, variables] of firmwares) if ((await pathExists(code)) && (await pathExists(variables))) return { code, variables }
  return undefined
}

/** A comma in a file name is written twice (qemu(1), -drive). */
const escaped = (path: string) => path.replaceAll(',', ',,')

/** The words that follow qemu-system-x86_64. */
function vmWords({ disk, disks, ports, memory, cpus, snapshot, kvm }: VmOptions, firmware: Firmware): readonly string[] {
  const isCd = /\.iso$/i.test(disk)
  const drives = [...(isCd ? [] : [disk]), ...disks].flatMap((path, at) => [
    ...['-drive', `if=none,id=disk${at},format=raw,file=${escaped(path)},snapshot=${snapshot ? 'on' : 'off'}`],
    ...['-device', `virtio-blk-pci,drive=disk${at},bootindex=${at + 1}`],
  ])
  // small kernels for virtual machines have drivers of virtio, and none of SATA
  const cd = isCd
    ? [
        ...['-device', 'virtio-scsi-pci', '-drive', `if=none,id=cd,media=cdrom,readonly=on,format=raw,file=${escaped(disk)}`],
        ...['-device', 'scsi-cd,drive=cd,bootindex=0'],
      ]
    : []
  const forwards = ports.map(({ host, guest }) => `,hostfwd=tcp:127.0.0.1:${host}-:${guest}`).join('')
  return [
    ...['-machine', 'q35', '-accel', kvm ? 'kvm' : 'tcg,thread=multi', '-cpu', kvm ? 'host' : 'max'],
    ...['-smp', String(cpus), '-m', String(memory), '-nographic'],
    ...['-drive', `if=pflash,format=raw,readonly=on,file=${firmware.code}`],
    ...['-drive', `if=pflash,format=raw,file=${escaped(firmware.variables)}`],
    ...['-nic', `user,model=virtio-net-pci${forwards}`],
    // what resets a release that hangs
    ...['-device', 'i6300esb', '-action', 'watchdog=reset'],
    ...drives,
    ...cd,
  ]
}
