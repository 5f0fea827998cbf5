// psyblob unhold
import { Command, Option } from 'clipanion'
import { componentsOf, type Held, unhold } from '../../images/mod.ts'
import { NodeCommand } from '../node-command.ts'

export class Unhold extends NodeCommand {
  static override paths = [['unhold']]
  static override usage = Command.Usage({
    category: 'Node',
    description: 'Let a held product go on',
    details: 'Without a product: all of them. The next sync installs what is the newest then.',
    examples: [['The fair is over', '$0 unhold os']],
  })

  products = Option.Rest({ name: 'PRODUCT' })

  async work(): Promise<void> {
    const node = await this.node(this.products)
    const results: Held[] = []
    for (const component of componentsOf(node, this.products)) {
      const result = await unhold(node, component)
      results.push(result)
      this.ui.data(`${result.product} ${result.changed ? 'is held no longer' : 'was not held'}\n`)
    }
    this.ui.json(results.length === 1 ? results[0] : results)
  }
}
