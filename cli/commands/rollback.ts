// psyblob rollback
import { Command } from 'clipanion'
import { componentsOf, rollback } from '../../images/mod.ts'
import { choiceText } from '../choice-text.ts'
import { NodeCommand } from '../node-command.ts'
import { slotsProduct } from '../slots-product.ts'

export class Rollback extends NodeCommand {
  static override paths = [['rollback']]
  static override usage = Command.Usage({
    category: 'Node',
    description: 'Go back: the release in the other slot boots next',
    details: 'What is left behind is not installed again by itself; psyblob sync --force or psyblob activate takes it all the same.',
    examples: [['The update was bad', '$0 rollback']],
  })

  async work(): Promise<void> {
    const node = await this.node()
    const result = await rollback(node, slotsProduct(componentsOf(node, [])))
    this.ui.json(result)
    this.ui.data(choiceText(result))
  }
}
