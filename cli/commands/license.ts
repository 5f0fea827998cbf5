// psyblob license
import { Command, Option } from 'clipanion'
import { parsePath, visible } from '../../core/mod.ts'
import { licenceOf } from '../../images/mod.ts'
import { NodeCommand } from '../node-command.ts'

export class License extends NodeCommand {
  static override paths = [['license']]
  static override usage = Command.Usage({
    category: 'Operator',
    description: 'Print the licence of a file of the system',
    details:
      'As the release that is installed states it: the text of a file in the release, which is verified, or a name such as GPL-2.0-only.',
    examples: [['Of a program', '$0 license /usr/bin/ls']],
  })

  file = Option.String({ name: 'PATH' })

  async work(): Promise<void> {
    const node = await this.node()
    const found = await licenceOf(node, parsePath(this.file))
    this.ui.json(found)
    if (found.text !== null)
      this.ui.data(
        found.text
          .split(/([\n\t\f])/)
          .map((part, at) => (at % 2 === 1 ? part : visible(part)))
          .join(''),
      )
    else this.ui.data(`${visible(found.licence)}\n`)
    this.ui.say(`${visible(found.path)} of ${found.product} ${found.serial}: ${visible(found.licence)}`)
  }
}
