// psyblob root show
import { Command, Option } from 'clipanion'
import { PsyblobError, type Root, visible } from '../../../core/mod.ts'
import { openWriter, readDraft, rootsOf } from '../../../store/mod.ts'
import { BaseCommand } from '../../command.ts'
import { rootJson } from '../../root-command.ts'
import { rootLines } from '../../root-text.ts'

export class RootShow extends BaseCommand {
  static override paths = [['root', 'show']]
  static override usage = Command.Usage({
    category: 'Publisher',
    description: 'Say who may sign what, by a file or by the newest root of a repository',
    examples: [
      ['What is being prepared', '$0 root show root.json'],
      ['What is in force', '$0 root show --remote ./repo'],
    ],
  })

  file = Option.String({ name: 'FILE', required: false })
  remote = Option.String('--remote', { description: 'Repository folder' })

  async work(): Promise<void> {
    const root = await this.#root()
    this.ui.json(rootJson(root))
    this.ui.data(`root ${root.version} of ${root.repo}\n`)
    this.ui.table(rootLines(root))
  }

  async #root(): Promise<Root> {
    const { file, remote } = this
    if ((file === undefined) === (remote === undefined))
      throw new PsyblobError('usage', 'root show takes a file or --remote, one of them', { hint: 'psyblob root show --remote ./repo' })
    if (file !== undefined) return readDraft(file)
    const { repo, all } = await rootsOf(openWriter(remote ?? ''))
    const newest = all.at(-1)
    if (newest !== undefined) return newest.root
    throw new PsyblobError('not-found', `${visible(repo)} has no root: one key signs everything`, {
      hint: 'psyblob root init FILE begins one',
    })
  }
}
