// psyblob root prepare
import { Command, Option } from 'clipanion'
import { PsyblobError, type RootContent, visible } from '../../../core/mod.ts'
import { nextRoot, openWriter, pathExists } from '../../../store/mod.ts'
import { wholeNumber } from '../../command.ts'
import { RootCommand } from '../../root-command.ts'

export class RootPrepare extends RootCommand {
  static override paths = [['root', 'prepare']]
  static override usage = Command.Usage({
    category: 'Publisher',
    description: 'Begin the next root of a repository: the newest one with a new time',
    details:
      'The file is the very body to sign. Change it with root add-key and so on, carry it to the keepers, and publish it with root publish.',
    examples: [['The next root', '$0 root prepare root.json --remote ./repo']],
  })

  remote = Option.String('--remote', { required: true, description: 'Repository folder' })
  days = Option.String('--days', '365', { description: 'Days until the root expires' })

  override async work(): Promise<void> {
    if (await pathExists(this.file))
      throw new PsyblobError('conflict', `${visible(this.file)} exists`, { hint: 'remove it, or name another file' })
    await this.write(await this.change())
  }

  change(): Promise<RootContent> {
    const days = wholeNumber('--days', this.days, { least: 1, most: 3650 })
    return nextRoot(openWriter(this.remote), { now: this.context.clock(), days })
  }
}
