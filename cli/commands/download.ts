// psyblob download
import { Command, Option } from 'clipanion'
import { visible } from '../../core/mod.ts'
import { componentOf, downloadProduct } from '../../images/mod.ts'
import { NodeCommand } from '../node-command.ts'
import { bytesText, countText } from '../ui/sizes.ts'

export class Download extends NodeCommand {
  static override paths = [['download']]
  static override usage = Command.Usage({
    category: 'Node',
    description: 'Copy the newest release to a folder of its own, e.g. a USB stick',
    details:
      'The folder is a repository: sync --path DIR takes it with the same checks as the network, and psyblob serve can serve it. Blobs that are there already are not fetched again.',
    examples: [['For a machine without network', '$0 download os /mnt/stick']],
  })

  product = Option.String({ name: 'PRODUCT' })
  dir = Option.String({ name: 'DIR' })

  async work(): Promise<void> {
    const node = await this.node([this.product])
    const component = componentOf(node, this.product)
    const result = await downloadProduct(node, component, this.dir)
    this.ui.json(result)
    const { product, serial, version, dir, fetched, total, requests } = result
    this.ui.data(
      `${product} ${serial} (${visible(version)}) is in ${visible(dir)}: ${bytesText(fetched)} of ${bytesText(total)} fetched in ${countText(requests, 'request')}\n`,
    )
    this.ui.say(`psyblob sync ${product} --path ${visible(dir)} installs it`)
    this.sayOneKey(node, [component])
  }
}
