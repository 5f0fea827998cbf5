// psyblob key new
import { open, rm } from 'node:fs/promises'
import { Command, Option } from 'clipanion'
import { formatPublicKeyFile, formatSecretKeyFile, keyIdText, newSecretKey, PsyblobError, visible } from '../../../core/mod.ts'
import { hasCode, signatureEngine, translated } from '../../../store/mod.ts'
import { BaseCommand } from '../../command.ts'
import { newPassword } from '../../password.ts'

export class KeyNew extends BaseCommand {
  static override paths = [['key', 'new']]
  static override usage = Command.Usage({
    category: 'Publisher',
    description: 'Make a key pair: OUT.key and OUT.pub, in minisign’s formats',
    details:
      'The secret key is encrypted by a password, which takes a few seconds and 1 GiB of memory on purpose. It is read from the terminal, from PSYBLOB_PASSWORD, or from the first line of --password-file. Files that exist are never overwritten.',
    examples: [
      ['A key for a person', '$0 key new os'],
      ['A key for CI, protected by where it is kept', '$0 key new os --no-password'],
    ],
  })

  out = Option.String({ name: 'OUT' })
  isOpen = Option.Boolean('--no-password', false, { description: 'Do not encrypt the secret key' })
  passwordFile = Option.String('--password-file', { description: 'Read the password from a file' })

  async work(): Promise<void> {
    const [secretPath, publicPath] = [`${this.out}.key`, `${this.out}.pub`]
    const secretFile = await create(secretPath, 0o600)
    try {
      const publicFile = await create(publicPath, 0o644)
      try {
        const password = this.isOpen ? undefined : await newPassword({ context: this.context, file: this.passwordFile })
        const key = newSecretKey(signatureEngine)
        await secretFile.writeFile(await formatSecretKeyFile(key, { password, engine: signatureEngine }))
        await publicFile.writeFile(formatPublicKeyFile(key.publicKey))
        await secretFile.sync()
        await publicFile.sync()
        const { text, id } = key.publicKey
        this.ui.json({ key: text, id: keyIdText(id), secretFile: secretPath, publicFile: publicPath, encrypted: password !== undefined })
        this.ui.data(`${text}\n`)
        this.ui.say(
          `wrote ${secretPath} (keep it secret, keep a copy) and ${publicPath} (for nodes: the line above goes into their composition)`,
        )
      } catch (error) {
        await rm(publicPath, { force: true })
        throw error
      } finally {
        await publicFile.close()
      }
    } catch (error) {
      await rm(secretPath, { force: true })
      throw error
    } finally {
      await secretFile.close()
    }
  }
}

async function create(path: string, mode: number) {
  return open(path, 'wx', mode).catch((error: unknown) => {
    if (hasCode(error, 'EEXIST'))
      throw new PsyblobError('conflict', `${visible(path)} exists`, {
        cause: error,
        hint: 'choose another name, or move it away; keys are never overwritten',
      })
    if (hasCode(error, 'ENOENT'))
      throw new PsyblobError('not-found', `no folder for ${visible(path)}`, { cause: error, hint: 'make the folder first' })
    throw translated(error, `writing ${path}`)
  })
}
