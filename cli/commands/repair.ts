// psyblob repair
import { Command, Option } from 'clipanion'
import { visible } from '../../core/mod.ts'
import { componentsOf, repair } from '../../images/mod.ts'
import { NodeCommand, slotName } from '../node-command.ts'
import { slotsProduct } from '../slots-product.ts'
import { bytesText, countText } from '../ui/sizes.ts'

export class Repair extends NodeCommand {
  static override paths = [['repair']]
  static override usage = Command.Usage({
    category: 'Node',
    description: 'Make a slot what its manifest says, fetching only what is bad',
    details: 'Without --slot: the slot in use. The booted slot is refused: a machine that runs from a damaged slot syncs to the other one.',
    examples: [
      ['After verify found something', '$0 repair --slot b'],
      ['On a disk image', '$0 repair os --disk disk.img'],
    ],
  })

  product = Option.String({ name: 'PRODUCT', required: false })
  slot = Option.String('--slot', { description: 'a or b' })
  folder = Option.String('--path', { description: 'A folder made by psyblob download, instead of the remotes' })
  isDryRun = Option.Boolean('-n,--dry-run', false, { description: 'Print what would be done; change nothing' })

  async work(): Promise<void> {
    const names = this.product === undefined ? [] : [this.product]
    const node = await this.node(names)
    const component = slotsProduct(componentsOf(node, names))
    const result = await repair(node, component, { slot: slotName('--slot', this.slot), dryRun: this.isDryRun, path: this.folder })
    this.ui.json({ ...result, dryRun: this.isDryRun })
    const { product, serial, version, slot, changed, bytes, requests, plan } = result
    const bad = plan.filter((line) => line.how !== 'keep').map((line) => visible(line.path))
    const what = !changed
      ? 'nothing was bad'
      : bad.length === 0
        ? `put in order${this.isDryRun ? ', or would be' : ''}`
        : `${bad.join(', ')} ${this.isDryRun ? 'would be mended' : 'mended'}`
    this.ui.data(
      `slot ${slot}, ${product} ${serial} (${visible(version)}): ${what}; ${bytesText(bytes.fetched)} fetched in ${countText(requests, 'request')}, ${bytesText(bytes.reused)} reused\n`,
    )
  }
}
