// psyblob refresh
import { Command, Option } from 'clipanion'
import { visible } from '../../core/mod.ts'
import { componentsOf, type RefreshedProduct, refreshProduct } from '../../images/mod.ts'
import { NodeCommand } from '../node-command.ts'
import { countText } from '../ui/sizes.ts'

export class Refresh extends NodeCommand {
  static override paths = [['refresh']]
  static override usage = Command.Usage({
    category: 'Node',
    description: 'Fetch and verify pointers and manifests only',
    details: 'Afterwards status, diff and check latest know the newest release. Nothing is written to a slot.',
    examples: [
      ['All products', '$0 refresh'],
      ['One', '$0 refresh os'],
    ],
  })

  products = Option.Rest({ name: 'PRODUCT' })

  async work(): Promise<void> {
    const node = await this.node(this.products)
    const results: RefreshedProduct[] = []
    const components = componentsOf(node, this.products)
    for (const component of components) {
      const result = await refreshProduct(node, component)
      results.push(result)
      this.ui.data(
        `${result.product} ${result.serial} (${visible(result.version)})${result.news ? ', news' : ''}: ${countText(result.requests, 'request')}, fresh until ${result.expires}\n`,
      )
    }
    this.ui.json(results.length === 1 ? results[0] : results)
    this.sayOneKey(node, components)
  }
}
