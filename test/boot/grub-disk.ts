// Small disks for tests of the boot loader alone: a real GRUB and a real kernel, in slots whose init says what it was told and switches off.
import { execFileSync } from 'node:child_process'
import { closeSync, copyFileSync, mkdirSync, openSync, readFileSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { cpio } from '../../images/builders/cpio.ts'
import { formatEnvironment } from '../../images/environment-block.ts'
import { Guest, type GuestOptions } from './qemu.ts'

const MiB = 1024 * 1024
const efiAt = MiB
const efiSize = 34 * MiB
const slotSize = 24 * MiB
const slotAt = { a: efiAt + efiSize, b: efiAt + efiSize + slotSize } as const
const uuids = { a: 'aaaaaaaa-0000-4000-8000-000000000001', b: 'bbbbbbbb-0000-4000-8000-000000000002' } as const

export type SlotFiles = Readonly<Record<string, Uint8Array>>

/** An initramfs that prints the kernel's command line after `tiny:` and switches the machine off, or goes on without an end. */
export function tinyInitramfs({ hangs = false } = {}): Uint8Array {
  const end = hangs ? 'while :; do /bin/busybox sleep 60; done' : '/bin/busybox poweroff -f'
  const init = `#!/bin/busybox sh\n/bin/busybox mount -t proc proc /proc\necho "tiny: $(/bin/busybox cat /proc/cmdline) ."\n${end}\n`
  return cpio(
    [
      { path: 'init', mode: 0o755, content: { bytes: Buffer.from(init) } },
      { path: 'bin/busybox', mode: 0o755, content: { bytes: readFileSync('/bin/busybox') } },
      { path: 'proc', mode: 0o755, content: 'folder' },
      { path: 'dev/console', mode: 0o600, content: { device: [5, 1] } },
    ],
    0,
  )
}

export class GrubDisk {
  readonly image: string
  readonly #dir: string

  /** An image in a folder of the test's own, with the files of `efisys` on its EFI partition and slots without a file system. Without `efisys` one that is there. */
  constructor(image: string, efisys?: string) {
    this.image = image
    this.#dir = dirname(image)
    if (efisys === undefined) return
    rmSync(image, { force: true })
    writeFileSync(image, '')
    truncateSync(image, slotAt.b + slotSize + MiB)
    const part = (number: number, size: number, name: string) => [`--new=${number}:0:+${size / MiB}M`, `--change-name=${number}:${name}`]
    run('sgdisk', [
      ...['--clear', ...part(1, efiSize, 'PSYOPSOSEFI'), '--typecode=1:ef00'],
      ...[...part(3, slotSize, 'psyopsOS-A'), ...part(4, slotSize, 'psyopsOS-B'), image],
    ])
    run('mkfs.vfat', ['-F', '32', '-s', '1', '-n', 'PSYOPSOSEFI', '--offset', String(efiAt / 512), image, String(efiSize / 1024)])
    run('mcopy', ['-s', '-i', this.#drive, join(efisys, 'EFI'), join(efisys, 'psyblob'), '::/'])
  }

  /** A copy of an image. */
  static of(image: string, to: string): GrubDisk {
    copyFileSync(image, to)
    return new GrubDisk(to)
  }

  get #drive(): string {
    return `${this.image}@@${efiAt}`
  }

  /** Fills a slot anew. */
  slot(name: 'a' | 'b', files: SlotFiles): void {
    const folder = join(this.#dir, 'slot')
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder)
    for (const [path, bytes] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, path)), { recursive: true })
      writeFileSync(join(folder, path), bytes)
    }
    const label = `psyopsOS-${name.toUpperCase()}`
    const where = ['-E', `offset=${slotAt[name]}`, '-d', folder, this.image, `${slotSize / MiB}M`]
    run('mke2fs', ['-q', '-F', '-t', 'ext4', '-m', '0', '-L', label, '-U', uuids[name], ...where])
    rmSync(folder, { recursive: true })
  }

  /** Leaves no file system in a slot. */
  wipe(name: 'a' | 'b'): void {
    const file = openSync(this.image, 'r+')
    writeSync(file, Buffer.alloc(MiB), 0, MiB, slotAt[name])
    closeSync(file)
  }

  /** Writes a file on the EFI partition. */
  put(name: string, bytes: Uint8Array): void {
    const file = join(this.#dir, 'file')
    writeFileSync(file, bytes)
    if (dirname(name) !== '.') {
      try {
        run('mmd', ['-D', 's', '-i', this.#drive, `::/${dirname(name)}`])
      } catch {
        // it is there
      }
    }
    run('mcopy', ['-o', '-i', this.#drive, file, `::/${name}`])
    rmSync(file)
  }

  remove(name: string): void {
    run('mdel', ['-i', this.#drive, `::/${name}`])
  }

  read(name: string): Buffer {
    return run('mcopy', ['-n', '-i', this.#drive, `::/${name}`, '-'])
  }

  /** What `tries` says after its header, without the filling. */
  get tries(): string {
    return this.read('tries').toString('latin1').split('\n').slice(1, -1).join(' ')
  }

  /** Both copies of select, and tries. */
  state({ seq, order, good, tries = 0, triesFor = seq }: DiskState): void {
    for (const [name, bytes] of Object.entries(stateFiles({ seq, order, good, tries, triesFor }))) this.put(name, bytes)
  }

  start(options: Partial<GuestOptions> = {}): Guest {
    return Guest.start(this.image, { dir: this.#dir, ...options })
  }

  /** Boots until an init speaks, and answers the words of its command line. The machine has switched itself off then. */
  async boot(options: Partial<GuestOptions> = {}): Promise<readonly string[]> {
    const guest = this.start(options)
    try {
      const [, words = ''] = await guest.waitFor(/tiny: ([^\n]*) \./, 120)
      await guest.end(60)
      return words.split(' ')
    } finally {
      await guest.kill()
    }
  }

  /** The label of the slot that boots. */
  async booted(options?: Partial<GuestOptions>): Promise<string> {
    return (await this.boot(options)).find((word) => word.startsWith('psyopsos='))?.slice('psyopsos='.length) ?? 'none'
  }
}

export type DiskState = {
  readonly seq: number
  readonly order: 'ab' | 'ba'
  readonly good: '' | 'a' | 'b' | 'ab'
  readonly tries?: number
  readonly triesFor?: number
}

export function stateFiles({ seq, order, good, tries = 0, triesFor = seq }: DiskState) {
  const select = formatEnvironment({ seq: String(seq), order, good, commit: String(seq) })
  return {
    'state1/select': select,
    'state2/select': select,
    tries: formatEnvironment({ tries_for: String(triesFor).padStart(10, '0'), tries: String(tries) }),
  }
}

function run(program: string, words: readonly string[]): Buffer {
  const path = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`
  return execFileSync(program, words, { env: { ...process.env, PATH: path, MTOOLS_SKIP_CHECK: '1' }, stdio: ['ignore', 'pipe', 'pipe'] })
}
