// psyblob build iso
import { Command } from 'clipanion'
import { visible } from '../../../core/mod.ts'
import { buildIso, isoPrograms } from '../../../images/mod.ts'
import { ImageCommand } from '../../image-command.ts'
import { bytesText } from '../../ui/sizes.ts'

export class BuildIso extends ImageCommand {
  static override paths = [['build', 'iso']]
  static override usage = Command.Usage({
    category: 'Publisher',
    description: 'Make an ISO image that boots from a CD or a stick, from signed releases',
    details:
      'Fetches and verifies as a node does. The system runs in RAM, as from a slot, but has nowhere to update itself to. UEFI firmware boots it from a CD, and from a stick it was copied to. Equal releases give equal bytes.',
    examples: [
      ['From a repository', '$0 build iso os.iso --remote ./repo --key os.pub'],
      ['Onto a stick', 'cp os.iso /dev/sdX; sync'],
    ],
  })

  async work(): Promise<void> {
    const { artifact, os, efisys, uuid } = await this.built(isoPrograms, (sources, context) =>
      buildIso({ ...sources, out: this.out }, context),
    )
    const release = ({ product, serial, version }: typeof os) => ({ product, serial, version })
    this.ui.json({ out: this.out, size: artifact.size, uuid, os: release(os), efisys: release(efisys) })
    const text = ({ product, serial, version }: typeof os) => `${product} ${serial} (${visible(version)})`
    this.ui.data(`${visible(this.out)}: ${text(os)}, ${text(efisys)}, ${bytesText(artifact.size)}\n`)
  }
}
