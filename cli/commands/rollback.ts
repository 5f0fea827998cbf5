// psyblob rollback
import { Command, Option } from 'clipanion'
import { componentOf, rollback, rollbackTree } from '../../images/mod.ts'
import { choiceText } from '../choice-text.ts'
import { NodeCommand } from '../node-command.ts'
import { resultJson, resultText } from '../result-text.ts'
import { slotsProduct } from '../slots-product.ts'

export class Rollback extends NodeCommand {
  static override paths = [['rollback']]
  static override usage = Command.Usage({
    category: 'Node',
    description: 'Go back: the release in the other slot boots next, or the files of the release before',
    details: 'What is left behind is not installed again by itself; psyblob sync --force or psyblob activate takes it all the same.',
    examples: [
      ['The update was bad', '$0 rollback'],
      ['Files of the system', '$0 rollback base-system'],
    ],
  })

  product = Option.String({ name: 'PRODUCT', required: false })

  async work(): Promise<void> {
    const names = this.product === undefined ? [] : [this.product]
    const node = await this.node(names)
    const component = this.product === undefined ? slotsProduct(node.components) : componentOf(node, this.product)
    if (component.target.kind === 'tree') {
      const changed = await rollbackTree(node, component)
      this.ui.json(resultJson(changed, false))
      this.ui.data(resultText(changed, false))
      return
    }
    const result = await rollback(node, slotsProduct([component]))
    this.ui.json(result)
    this.ui.data(choiceText(result))
  }
}
