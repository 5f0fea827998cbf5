// psyblob history
import { Command, Option } from 'clipanion'
import { visible } from '../../core/mod.ts'
import { componentOf, openSource, trustOf } from '../../images/mod.ts'
import { findRelease, type HistoryLine, history } from '../../store/mod.ts'
import { wholeNumber } from '../command.ts'
import { NodeCommand } from '../node-command.ts'
import { bytesText } from '../ui/sizes.ts'

export class History extends NodeCommand {
  static override paths = [['history']]
  static override usage = Command.Usage({
    category: 'Operator',
    description: 'List the releases of a product, newest first',
    details:
      'Follows the chain of manifests from the newest release known here, checking signature and link of each; those that the store does not have come from the remotes.',
    examples: [
      ['All of them', '$0 history os'],
      ['The last five', '$0 history os --limit 5'],
    ],
  })

  product = Option.String({ name: 'PRODUCT' })
  limit = Option.String('--limit', '100', { description: 'How many' })

  async work(): Promise<void> {
    const limit = wholeNumber('--limit', this.limit, { least: 1, most: 100_000 })
    const node = await this.node([this.product])
    const component = componentOf(node, this.product)
    const source = await openSource(node, component)
    try {
      const query = { trust: trustOf(node, component), store: node.store, mirrors: source.mirrors, signal: this.signal }
      const lines: HistoryLine[] = []
      for await (const line of history(query, await findRelease(query, 'latest'), limit)) lines.push(line)
      this.ui.json(lines)
      this.ui.table([
        ['serial', 'version', 'created', 'entries', 'size', 'manifest'],
        ...lines.map((line) => [
          String(line.serial),
          visible(line.version),
          line.created,
          String(line.entries),
          bytesText(line.size),
          line.manifest,
        ]),
      ])
    } finally {
      await source.close()
    }
  }
}
