// psyblob sign
import { stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { Command, Option } from 'clipanion'
import { formatTime, PsyblobError, signPrehash, utf8Encode, visible } from '../../core/mod.ts'
import { fileBytes, pathExists, prehashOf, writeWhole } from '../../store/mod.ts'
import { BaseCommand } from '../command.ts'
import { readSecretKey } from '../password.ts'

export class Sign extends BaseCommand {
  static override paths = [['sign']]
  static override usage = Command.Usage({
    category: 'Publisher',
    description: 'Sign any file: writes FILE.minisig, which minisign -V accepts',
    details: 'The trusted comment is part of what is signed. A signature that exists is replaced only with --force.',
    examples: [
      ['Sign a file', '$0 sign disk.img --key os.key'],
      ['Check it with minisign', 'minisign -V -H -m disk.img -p os.pub'],
    ],
  })

  file = Option.String({ name: 'FILE' })
  key = Option.String('--key', { required: true, description: 'Secret key file' })
  comment = Option.String('--comment', { description: 'Trusted comment (time and file name)' })
  untrusted = Option.String('--untrusted-comment', { description: 'Untrusted comment' })
  passwordFile = Option.String('--password-file', { description: 'Read the password from a file' })
  isForced = Option.Boolean('--force', false, { description: 'Replace a signature that exists' })

  async work(): Promise<void> {
    const out = `${this.file}.minisig`
    if (!this.isForced && (await pathExists(out)))
      throw new PsyblobError('conflict', `${visible(out)} exists`, { hint: 'say --force to replace it' })
    if ((await stat(this.file).catch(() => undefined))?.isFile() !== true)
      throw new PsyblobError('not-found', `no file ${visible(this.file)}`, { hint: 'name a plain file' })
    const secretKey = await readSecretKey(this.key, { context: this.context, file: this.passwordFile })
    const name = basename(this.file).replace(/[^\x20-\x7e]/g, '?')
    const trustedComment = this.comment ?? `time:${formatTime(this.context.clock())} file:${name} hashed`
    const prehash = await prehashOf(fileBytes(this.file, { signal: this.signal }))
    await writeWhole(
      out,
      utf8Encode(
        signPrehash({ secretKey, prehash, trustedComment, ...(this.untrusted === undefined ? {} : { untrustedComment: this.untrusted }) }),
      ),
    )
    this.ui.json({ file: this.file, signature: out, key: secretKey.publicKey.text, trustedComment })
    this.ui.data(`${visible(out)}\n`)
  }
}
