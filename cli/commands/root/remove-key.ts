// psyblob root remove-key
import { Command, Option } from 'clipanion'
import { type Root, type RootContent, removeKey } from '../../../core/mod.ts'
import { RoleCommand } from '../../root-command.ts'
import { publicKeyText } from '../../trust-command.ts'

export class RootRemoveKey extends RoleCommand {
  static override paths = [['root', 'remove-key']]
  static override usage = Command.Usage({
    category: 'Publisher',
    description: 'Let a key sign something no more, in the root that is being prepared',
    details:
      'Nodes that take this root forget what the key said of versions and serials: a thief may have raised them. The last key of a role takes the role with it.',
    examples: [['By its id', '$0 root remove-key root.json --role pointer 8A1B2C3D4E5F6071']],
  })

  key = Option.String({ name: 'KEY' })

  async change(root: Root): Promise<RootContent> {
    return removeKey(root, this.roleName, /^[0-9a-f]{16}$/i.test(this.key) ? this.key : await publicKeyText(this.key))
  }
}
