// psyblob init
import { Command, Option } from 'clipanion'
import { keyIdText, parseName } from '../../core/mod.ts'
import { initRepository, makeFolder, openWriter } from '../../store/mod.ts'
import { BaseCommand, wholeNumber } from '../command.ts'
import { readSecretKey } from '../password.ts'

export class Init extends BaseCommand {
  static override paths = [['init']]
  static override usage = Command.Usage({
    category: 'Publisher',
    description: 'Make an empty repository',
    details:
      'A repository is a folder of static files: serve it with any web server, copy it to a stick or a bucket. Its name stands in everything that is signed, and nodes remember it: choose one that is yours, such as org.example.os.',
    examples: [['A repository in a folder', '$0 init ./repo --key os.key --repo org.example.os']],
  })

  remote = Option.String({ name: 'REMOTE' })
  key = Option.String('--key', { required: true, description: 'Secret key file' })
  repo = Option.String('--repo', { description: 'Name of the repository (key-, and the id of the key)' })
  channel = Option.String('--channel', 'stable', { description: 'First channel' })
  expires = Option.String('--expires', '7', { description: 'Days until the pointer expires' })
  passwordFile = Option.String('--password-file', { description: 'Read the password from a file' })

  async work(): Promise<void> {
    const days = wholeNumber('--expires', this.expires, { least: 1, most: 3650 })
    const key = await readSecretKey(this.key, { context: this.context, file: this.passwordFile })
    const repo = parseName(this.repo ?? `key-${keyIdText(key.publicKey.id).toLowerCase()}`, 'repository')
    const channel = parseName(this.channel, 'channel')
    const remote = openWriter(this.remote)
    await makeFolder(remote.label)
    await initRepository(remote, { key, repo, channel, now: this.context.clock(), days })
    this.ui.json({ remote: remote.label, repo, channel, key: key.publicKey.text })
    this.ui.data(`${repo}\n`)
    this.ui.say(
      `made the repository ${repo} in ${remote.label}; psyblob publish os DIR --remote ${this.remote} --key ${this.key} adds a release`,
    )
  }
}
