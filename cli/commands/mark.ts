// psyblob mark
import { Command, Option } from 'clipanion'
import { componentsOf, mark } from '../../images/mod.ts'
import { choiceText } from '../choice-text.ts'
import { choice } from '../command.ts'
import { NodeCommand, slotName } from '../node-command.ts'
import { slotsProduct } from '../slots-product.ts'

export class Mark extends NodeCommand {
  static override paths = [['mark']]
  static override usage = Command.Usage({
    category: 'Node',
    description: 'Say that a slot boots well, or that it does not',
    details:
      'Without a slot: the booted one. Good: the boot loader does not count its tries any more, and nothing older is installed here from now on; a boot loader on trial that this machine came up by is switched to. Bad: the other slot boots next, and this release is not installed again by itself.',
    examples: [
      ['After the health checks', '$0 mark good'],
      ['This one is broken', '$0 mark bad b'],
    ],
  })

  verdict = Option.String({ name: 'good|bad' })
  slot = Option.String({ name: 'a|b', required: false })

  async work(): Promise<void> {
    const verdict = choice('the verdict', this.verdict, ['good', 'bad'])
    const slot = slotName('the slot', this.slot)
    const node = await this.node()
    const result = await mark(node, slotsProduct(componentsOf(node, [])), verdict, slot)
    this.ui.json(result)
    this.ui.data(choiceText(result))
  }
}
