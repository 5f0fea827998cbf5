// psyblob source
import { Command, Option } from 'clipanion'
import { parsePath, visible } from '../../core/mod.ts'
import { sourceOf } from '../../images/mod.ts'
import { NodeCommand } from '../node-command.ts'
import { bytesText } from '../ui/sizes.ts'

export class Source extends NodeCommand {
  static override paths = [['source']]
  static override usage = Command.Usage({
    category: 'Operator',
    description: 'Download the corresponding source of a file of the system',
    details: 'The source package that the installed release names for it, verified by its CID. Without --out into the current folder.',
    examples: [['Of a program', '$0 source /usr/bin/ls --out /tmp/sources']],
  })

  file = Option.String({ name: 'PATH' })
  out = Option.String('--out', '.', { description: 'Folder that gets it; made when absent' })

  async work(): Promise<void> {
    const node = await this.node()
    const found = await sourceOf(node, parsePath(this.file), this.out)
    this.ui.json(found)
    this.ui.data(
      `${visible(found.file)}: ${bytesText(found.size)}, the source of ${visible(found.path)} of ${found.product} ${found.serial}\n`,
    )
  }
}
