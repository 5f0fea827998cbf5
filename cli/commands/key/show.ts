// psyblob key show
import { readFile } from 'node:fs/promises'
import { Command, Option } from 'clipanion'
import { keyIdText, openSecretKey, PsyblobError, parsePublicKey, parseSecretKeyFile, visible } from '../../../core/mod.ts'
import { signatureEngine } from '../../../store/mod.ts'
import { BaseCommand } from '../../command.ts'

export class KeyShow extends BaseCommand {
  static override paths = [['key', 'show']]
  static override usage = Command.Usage({
    category: 'Publisher',
    description: 'Say what a key file is: public or secret, its id, its public line',
    details: 'Never prints a secret and never asks for a password: of an encrypted secret key it tells only that.',
    examples: [['Which key is this', '$0 key show os.pub']],
  })

  file = Option.String({ name: 'FILE' })

  async work(): Promise<void> {
    const what = visible(this.file)
    const text = await readFile(this.file, 'utf8').catch((cause: unknown) => {
      throw new PsyblobError('not-found', `no key file ${what}`, { cause, hint: 'psyblob key new OUT makes OUT.key and OUT.pub' })
    })
    const shown = await describe(text.slice(0, 4096), what)
    this.ui.json(shown)
    this.ui.table([
      ['kind', shown.kind],
      ...(shown.id === null ? [] : [['id', shown.id]]),
      ...(shown.key === null ? [] : [['key', shown.key]]),
    ])
  }
}

async function describe(text: string, what: string): Promise<{ kind: string; id: string | null; key: string | null }> {
  const lines = text.trimEnd().split('\n')
  if ((lines.at(-1) ?? '').length < 100) {
    const key = parsePublicKey(text)
    return { kind: 'public', id: keyIdText(key.id), key: key.text }
  }
  const file = parseSecretKeyFile(text, what)
  if (file.encrypted) return { kind: 'secret, encrypted', id: null, key: null }
  const { publicKey } = await openSecretKey(file, { password: undefined, engine: signatureEngine, what })
  return { kind: 'secret, not encrypted', id: keyIdText(publicKey.id), key: publicKey.text }
}
