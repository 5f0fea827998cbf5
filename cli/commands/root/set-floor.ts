// psyblob root set-floor
import { Command, Option } from 'clipanion'
import { type Root, type RootContent, setFloor } from '../../../core/mod.ts'
import { wholeNumber } from '../../command.ts'
import { RootCommand } from '../../root-command.ts'

export class RootSetFloor extends RootCommand {
  static override paths = [['root', 'set-floor']]
  static override usage = Command.Usage({
    category: 'Publisher',
    description: 'Say which serial of a product is the least to be installed, in the root that is being prepared',
    details: 'It never goes down. Nodes that run an older release go on running it until they have a newer one.',
    examples: [['Nothing before os 17', '$0 root set-floor root.json os 17']],
  })

  product = Option.String({ name: 'PRODUCT' })
  serial = Option.String({ name: 'SERIAL' })

  change(root: Root): RootContent {
    return setFloor(root, this.product, wholeNumber('SERIAL', this.serial, { least: 1, most: 999_999_999_999_999 }))
  }
}
