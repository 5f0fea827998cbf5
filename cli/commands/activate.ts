// psyblob activate
import { Command, Option } from 'clipanion'
import { activate, componentsOf, slotNames } from '../../images/mod.ts'
import { choiceText } from '../choice-text.ts'
import { choice } from '../command.ts'
import { NodeCommand } from '../node-command.ts'
import { slotsProduct } from '../slots-product.ts'

export class Activate extends NodeCommand {
  static override paths = [['activate']]
  static override usage = Command.Usage({
    category: 'Node',
    description: 'Let a slot boot first from the next boot on',
    details:
      'The slot must hold a complete release. A slot that is not yet known to boot gets three tries before the boot loader falls back to the other.',
    examples: [['Boot slot b next', '$0 activate b']],
  })

  slot = Option.String({ name: 'a|b' })

  async work(): Promise<void> {
    const node = await this.node()
    const result = await activate(node, slotsProduct(componentsOf(node, [])), choice('the slot', this.slot, slotNames))
    this.ui.json(result)
    this.ui.data(choiceText(result))
  }
}
