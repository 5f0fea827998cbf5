// psyblob root set-threshold
import { Command, Option } from 'clipanion'
import { limits, type Root, type RootContent, setThreshold } from '../../../core/mod.ts'
import { wholeNumber } from '../../command.ts'
import { RoleCommand } from '../../root-command.ts'

export class RootSetThreshold extends RoleCommand {
  static override paths = [['root', 'set-threshold']]
  static override usage = Command.Usage({
    category: 'Publisher',
    description: 'Say how many keys have to sign, in the root that is being prepared',
    examples: [['Releases of os by two keys', '$0 root set-threshold root.json --role release/os 2']],
  })

  threshold = Option.String({ name: 'COUNT' })

  change(root: Root): RootContent {
    return setThreshold(root, this.roleName, wholeNumber('COUNT', this.threshold, { least: 1, most: limits.keys }))
  }
}
