// psyblob root sign
import { Command, Option } from 'clipanion'
import { keyIdText, visible } from '../../../core/mod.ts'
import { signDraft } from '../../../store/mod.ts'
import { BaseCommand } from '../../command.ts'
import { readSecretKey } from '../../password.ts'

export class RootSign extends BaseCommand {
  static override paths = [['root', 'sign']]
  static override usage = Command.Usage({
    category: 'Publisher',
    description: 'Sign a root: adds a signature to FILE.minisig',
    details:
      'Each keeper may sign a copy; root publish takes all the signature files. Stock minisign does as well: minisign -S -H -m FILE.',
    examples: [['A keeper signs', '$0 root sign root.json --key anna.key']],
  })

  file = Option.String({ name: 'FILE' })
  key = Option.String('--key', { required: true, description: 'Secret key file' })
  passwordFile = Option.String('--password-file', { description: 'Read the password from a file' })

  async work(): Promise<void> {
    const secretKey = await readSecretKey(this.key, { context: this.context, file: this.passwordFile })
    await signDraft(this.file, secretKey)
    this.ui.json({ file: this.file, signature: `${this.file}.minisig`, key: secretKey.publicKey.text })
    this.ui.data(`${visible(this.file)} is signed by key ${keyIdText(secretKey.publicKey.id)}\n`)
  }
}
