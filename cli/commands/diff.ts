// psyblob diff
import { Command, Option } from 'clipanion'
import { visible } from '../../core/mod.ts'
import { componentOf, openSource, trustOf } from '../../images/mod.ts'
import { difference, findRelease } from '../../store/mod.ts'
import { NodeCommand } from '../node-command.ts'
import { preferenceOf, preferText } from '../prefer.ts'
import { bytesText, countText } from '../ui/sizes.ts'
import { waysText } from '../ways-text.ts'

export class Diff extends NodeCommand {
  static override paths = [['diff']]
  static override usage = Command.Usage({
    category: 'Operator',
    description: 'What changed between two releases, and what the update fetches',
    details:
      'A and B are serials, version labels, latest, current or previous. The bytes are those of a node that has A and nothing else; chunk indexes are counted.',
    examples: [
      ['The last update', '$0 diff os previous current'],
      ['What is coming', '$0 refresh && $0 diff os current latest'],
    ],
  })

  product = Option.String({ name: 'PRODUCT' })
  from = Option.String({ name: 'A' })
  prefer = Option.String('--prefer', { description: preferText })
  to = Option.String({ name: 'B' })

  async work(): Promise<void> {
    const node = await this.node([this.product])
    const component = componentOf(node, this.product)
    const source = await openSource(node, component)
    try {
      const query = { trust: trustOf(node, component), store: node.store, mirrors: source.mirrors, signal: this.signal }
      const from = await findRelease(query, this.from)
      const to = await findRelease(query, this.to)
      const { lines, fetch, requests } = await difference(from, to, {
        store: node.store,
        mirrors: source.mirrors,
        prefer: preferenceOf(this.prefer, [component]) ?? component.prefer ?? 'time',
        report: this.ui.report,
        signal: this.signal,
      })
      const summary = (release: typeof from) => ({
        serial: release.manifest.serial,
        version: release.manifest.version,
        manifest: release.cid,
        size: release.manifest.size,
      })
      this.ui.json({ product: this.product, from: summary(from), to: summary(to), entries: lines, fetch, requests })
      const size = (bytes: number | null) => (bytes === null ? '-' : bytesText(bytes))
      this.ui.table([
        ['entry', 'change', 'before', 'after', 'how', 'fetch', 'requests', 'ways'],
        ...lines.map((line) => [
          visible(line.path),
          line.change,
          size(line.sizeBefore),
          size(line.sizeAfter),
          line.how ?? '-',
          bytesText(line.fetch),
          String(line.requests),
          waysText(line.ways),
        ]),
      ])
      this.ui.data(
        `${this.product} ${from.manifest.serial} to ${to.manifest.serial}: ${bytesText(fetch)} in ${countText(requests, 'request')}, besides pointer and manifest\n`,
      )
    } finally {
      await source.close()
    }
  }
}
