// psyblob vm
import { Command, Option } from 'clipanion'
import { PsyblobError, visible } from '../../core/mod.ts'
import { openRun, runVm } from '../../images/mod.ts'
import { BaseCommand, wholeNumber } from '../command.ts'

export class Vm extends BaseCommand {
  static override paths = [['vm']]
  static override usage = Command.Usage({
    category: 'Operator',
    description: 'Boot a disk image or an ISO in QEMU, with its serial console on this terminal',
    details:
      'UEFI firmware, the disk (a name that ends in .iso is put into a CD drive), a user network that reaches this machine as 10.0.2.2, and a watchdog. Ctrl-A X leaves it; it ends by itself when the guest is switched off. Software emulation unless --kvm is said.',
    examples: [
      ['A disk made by psyblob build disk', '$0 vm disk.img'],
      ['With secrets on a second disk, ssh at port 2222, and nothing kept', '$0 vm disk.img --secret node1.img --port 2222:22 --snapshot'],
      ['An ISO image', '$0 vm os.iso'],
    ],
  })

  disk = Option.String({ name: 'DISK', required: true })
  secret = Option.String('--secret', { description: 'An image with psyops-secret, as a second disk' })
  attached = Option.Array('--attach', { description: 'Another disk image; may be given several times' })
  ports = Option.Array('--port', { description: 'A port of this machine that leads into the guest, e.g. 2222:22' })
  memory = Option.String('--memory', '1024', { description: 'Memory, in MiB (1024)' })
  cpus = Option.String('--cpus', '2', { description: 'Processors (2)' })
  isSnapshot = Option.Boolean('--snapshot', false, { description: 'Keep nothing of what the guest writes' })
  isKvm = Option.Boolean('--kvm', false, { description: 'Use the processor’s virtualisation' })
  variables = Option.String('--vars', { description: 'File with the firmware’s variables, kept from run to run' })

  async work(): Promise<void> {
    const { report } = this.ui
    await runVm({
      disk: this.disk,
      disks: [...(this.secret === undefined ? [] : [this.secret]), ...(this.attached ?? [])],
      ports: (this.ports ?? []).map(forwarded),
      memory: wholeNumber('--memory', this.memory, { least: 64, most: 1_048_576 }),
      cpus: wholeNumber('--cpus', this.cpus, { least: 1, most: 256 }),
      snapshot: this.isSnapshot,
      kvm: this.isKvm,
      variables: this.variables,
      onStart: () => this.ui.say('the machine starts; Ctrl-A X leaves it'),
      run: openRun(report),
      signal: this.signal,
    })
  }
}

function forwarded(text: string): { readonly host: number; readonly guest: number } {
  const [, host, guest] = /^(\d{1,5}):(\d{1,5})$/.exec(text) ?? []
  const ports = { host: Number(host), guest: Number(guest) }
  if (ports.host > 0 && ports.host < 65_536 && ports.guest > 0 && ports.guest < 65_536) return ports
  throw new PsyblobError('usage', `--port is HOST:GUEST, such as 2222:22; got ${visible(text)}`, {
    hint: 'psyblob vm --help lists the options',
  })
}
