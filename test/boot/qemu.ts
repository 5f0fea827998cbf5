// A machine of its own for tests: QEMU with OVMF, its serial console on a pipe and in a log. Software emulation only: /dev/kvm may hang.
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { copyFileSync, createWriteStream, existsSync, type WriteStream } from 'node:fs'
import { join } from 'node:path'

const firmware = '/usr/share/OVMF'

export type GuestOptions = {
  /** A folder of the test's own: the log and the firmware's variables lie there. */
  readonly dir: string
  /** What its log is called. Guests of one name share the firmware's variables, as boots of one machine do. Default: guest. */
  readonly name?: string
  /** MiB. Default: 512. */
  readonly memory?: number
  /** More disks, seen after the first. */
  readonly disks?: readonly string[]
  /** More disks, at lower places of the bus: firmware and kernel see them before the first, which boots all the same. */
  readonly before?: readonly string[]
  /** An ISO image in a CD drive; without a disk it is what boots. */
  readonly cdrom?: string
  /** How disks are attached. Default: virtio. */
  readonly bus?: 'virtio' | 'sata' | 'usb'
  /** Writes go nowhere: the disk file stays as it is. */
  readonly snapshot?: boolean
  /** `user`: the host is 10.0.2.2. Default: none, which also saves the firmware's tries to boot from the network. */
  readonly network?: 'none' | 'user'
  /** A reset boots it again, as on a real machine. Default: it ends QEMU, and `exit` is 0. */
  readonly reboots?: boolean
  /** Further words for QEMU, e.g. `-device i6300esb`. */
  readonly more?: readonly string[]
}

/** Of the machine: what OVMF, GRUB and the guest's ttyS0 print, and what ended it. */
export class Guest {
  readonly log: string
  /** QEMU's exit status once it has ended; undefined when a signal ended it. */
  readonly exit: Promise<number | undefined>
  #output = ''
  #seen = 0
  #ended = false
  #wake: (() => void)[] = []
  readonly #child: ChildProcessWithoutNullStreams
  readonly #log: WriteStream

  private constructor(child: ChildProcessWithoutNullStreams, log: string) {
    this.#child = child
    this.log = log
    this.#log = createWriteStream(log, { flags: 'a' })
    const take = (data: Buffer) => {
      this.#log.write(data)
      this.#output += data.toString('latin1')
      this.#notify()
    }
    child.stdout.on('data', take)
    child.stderr.on('data', take)
    // a guest that has just ended takes no more input
    child.stdin.on('error', () => undefined)
    this.exit = new Promise((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (code) => {
        this.#ended = true
        this.#log.end()
        this.#notify()
        resolve(code ?? undefined)
      })
    })
    this.exit.catch(() => undefined)
  }

  /** Switches a machine on. `disk` is a raw image; `undefined` for a machine that has only a CD drive. */
  static start(disk: string | undefined, options: GuestOptions): Guest {
    const { dir, name = 'guest' } = options
    const variables = join(dir, `${name}.vars`)
    if (!existsSync(variables)) copyFileSync(`${firmware}/OVMF_VARS_4M.fd`, variables)
    const child = spawn('qemu-system-x86_64', words(disk, variables, options), { stdio: 'pipe', cwd: dir })
    return new Guest(child, join(dir, `${name}.log`))
  }

  /** Everything it has printed so far. */
  get output(): string {
    return this.#output
  }

  get ended(): boolean {
    return this.#ended
  }

  /** Waits for text behind what the last `waitFor` found. Throws after so many seconds, or when the machine ends without it. */
  async waitFor(pattern: RegExp, seconds: number): Promise<RegExpExecArray> {
    const deadline = performance.now() + seconds * 1000
    for (;;) {
      const found = new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, '')).exec(this.#output.slice(this.#seen))
      if (found !== null) {
        this.#seen += found.index + found[0].length
        return found
      }
      const left = deadline - performance.now()
      if (this.#ended || left <= 0) {
        const why = this.#ended ? 'the machine ended' : `${seconds} s went by`
        throw new Error(`${why} without ${pattern}; it last said:\n${readable(this.#output).slice(-1500)}\n(all of it: ${this.log})`)
      }
      await this.#something(left)
    }
  }

  /** Types on the serial console. */
  send(text: string): void {
    this.#child.stdin.write(text, 'latin1')
  }

  /** Pulls the plug, and waits until it is out. */
  async kill(): Promise<void> {
    if (!this.#ended) this.#child.kill('SIGKILL')
    await this.exit.catch(() => undefined)
  }

  /** Waits until it has switched itself off, or with `reboots` off reset itself. Throws after so many seconds, with the plug pulled. */
  async end(seconds: number): Promise<void> {
    const deadline = performance.now() + seconds * 1000
    while (!this.#ended) {
      const left = deadline - performance.now()
      if (left <= 0) {
        await this.kill()
        throw new Error(`it still runs after ${seconds} s; it last said:\n${readable(this.#output).slice(-1500)}\n(all of it: ${this.log})`)
      }
      await this.#something(left)
    }
  }

  #something(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds)
      this.#wake.push(() => {
        clearTimeout(timer)
        resolve()
      })
    })
  }

  #notify(): void {
    const waiting = this.#wake
    this.#wake = []
    for (const wake of waiting) wake()
  }
}

/** Without the sequences that steer a terminal. */
export function readable(output: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  return output.replace(/\u001b(\[[0-9;?=]*[A-Za-z]|\][^\u0007]*\u0007|[()][0-9A-B])/g, '').replace(/\r/g, '')
}

function words(disk: string | undefined, variables: string, options: GuestOptions): string[] {
  const {
    memory = 512,
    before = [],
    disks = [],
    cdrom,
    bus = 'virtio',
    snapshot = false,
    network = 'none',
    reboots = false,
    more = [],
  } = options
  const device = { virtio: 'virtio-blk-pci', sata: 'ide-hd', usb: 'usb-storage' }[bus]
  const own = disk === undefined ? [] : [disk]
  const attached = [...before, ...own, ...disks].flatMap((file, at) => [
    '-drive',
    `if=none,id=disk${at},format=raw,file=${file.replaceAll(',', ',,')},snapshot=${snapshot ? 'on' : 'off'}`,
    '-device',
    `${device},drive=disk${at},bootindex=${at === before.length ? 1 : at + 2}${bus === 'sata' ? `,bus=ide.${at}` : ''}`,
  ])
  const cd =
    cdrom === undefined
      ? []
      : [
          // small kernels for virtual machines have drivers of virtio, and none of SATA
          '-device',
          'virtio-scsi-pci',
          '-drive',
          `if=none,id=cd,media=cdrom,readonly=on,format=raw,file=${cdrom.replaceAll(',', ',,')}`,
          '-device',
          `scsi-cd,drive=cd,bootindex=${disks.length + 9}`,
        ]
  return [
    ...['-machine', 'q35', '-accel', 'tcg,thread=multi', '-cpu', 'max', '-m', String(memory), '-display', 'none', '-vga', 'none'],
    ...['-monitor', 'none', '-serial', 'stdio', ...(reboots ? [] : ['-no-reboot'])],
    ...['-drive', `if=pflash,format=raw,readonly=on,file=${firmware}/OVMF_CODE_4M.fd`],
    ...['-drive', `if=pflash,format=raw,file=${variables.replaceAll(',', ',,')}`],
    ...(network === 'none' ? ['-nic', 'none'] : ['-nic', 'user,model=virtio-net-pci']),
    ...(bus === 'usb' ? ['-device', 'qemu-xhci'] : []),
    ...attached,
    ...cd,
    ...more,
  ]
}
