// psyblob root add-key
import { Command, Option } from 'clipanion'
import { addKey, parsePublicKey, type Root, type RootContent } from '../../../core/mod.ts'
import { RoleCommand } from '../../root-command.ts'
import { publicKeyText } from '../../trust-command.ts'

export class RootAddKey extends RoleCommand {
  static override paths = [['root', 'add-key']]
  static override usage = Command.Usage({
    category: 'Publisher',
    description: 'Let a key sign something, in the root that is being prepared',
    details: 'A role that is not there begins with a threshold of 1.',
    examples: [
      ['Another key for releases of os', '$0 root add-key root.json --role release/os new.pub'],
      ['Another keeper', '$0 root add-key root.json --role root dora.pub'],
    ],
  })

  key = Option.String({ name: 'KEY' })

  async change(root: Root): Promise<RootContent> {
    return addKey(root, this.roleName, parsePublicKey(await publicKeyText(this.key)))
  }
}
