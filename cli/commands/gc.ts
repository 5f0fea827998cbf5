// psyblob gc
import { Command, Option } from 'clipanion'
import { PsyblobError, visible } from '../../core/mod.ts'
import { collect } from '../../images/mod.ts'
import { NodeCommand } from '../node-command.ts'
import { bytesText, countText } from '../ui/sizes.ts'

export class Gc extends NodeCommand {
  static override paths = [['gc']]
  static override usage = Command.Usage({
    category: 'Operator',
    description: 'Drop what no slot, link or half-done sync needs from the local store',
    details:
      'Keeps the manifests of the slots and of current, previous and latest, and what they name. Slots are not touched: an interrupted sync goes on where it stopped.',
    examples: [
      ['Make room', '$0 gc'],
      ['Only look', '$0 gc --dry-run'],
    ],
  })

  isDryRun = Option.Boolean('-n,--dry-run', false, { description: 'Print what would go; change nothing' })

  async work(): Promise<void> {
    if (this.remotes !== undefined && this.key === undefined)
      throw new PsyblobError('unsupported', 'this version collects garbage in the local store only, not in a repository', {
        hint: 'leave --remote out; what a repository does not need any more does no harm there',
      })
    const node = await this.node()
    const { removed, bytes } = await collect(node, { dryRun: this.isDryRun })
    this.ui.json({ removed, bytes, dryRun: this.isDryRun })
    for (const path of removed) this.ui.report({ type: 'trace', text: `${this.isDryRun ? 'would remove' : 'removed'} ${path}` })
    this.ui.data(
      `${countText(removed.length, 'file')}, ${bytesText(bytes)} ${this.isDryRun ? 'would go' : 'gone'}${removed.length > 0 && !this.isVerbose ? ' (-v lists them)' : ''} from ${visible(node.store.dir)}\n`,
    )
  }
}
