// psyblob root init
import { Command, Option } from 'clipanion'
import { formatTime, PsyblobError, parseName, parsePublicKey, type RootContent, visible } from '../../../core/mod.ts'
import { pathExists } from '../../../store/mod.ts'
import { wholeNumber } from '../../command.ts'
import { RootCommand } from '../../root-command.ts'
import { publicKeyText } from '../../trust-command.ts'

const day = 24 * 60 * 60 * 1000

export class RootInit extends RootCommand {
  static override paths = [['root', 'init']]
  static override usage = Command.Usage({
    category: 'Publisher',
    description: 'Begin the first root of a repository, as a file to sign',
    details:
      'A root says which keys may sign what. The keepers of the root sign it, offline if they like; releases and pointers are signed by other keys, which it can take away. Until the first root is published a repository has one key for everything. Nodes believe the first root when the key they know has signed it, too.',
    examples: [
      [
        'Two of three keepers, one key for releases, one for pointers',
        '$0 root init root.json --repo org.example.os --root anna.pub --root ben.pub --root cleo.pub --threshold 2 --release os.pub --pointer ci.pub',
      ],
    ],
  })

  repo = Option.String('--repo', { required: true, description: 'Name of the repository' })
  roots = Option.Array('--root', { required: true, description: 'Public key of a keeper of the root; several' })
  threshold = Option.String('--threshold', { description: 'How many keepers have to sign (more than half)' })
  releases = Option.Array('--release', { required: true, description: 'Public key that signs releases; several' })
  pointers = Option.Array('--pointer', { required: true, description: 'Public key that signs pointers; several' })
  days = Option.String('--days', '365', { description: 'Days until the root expires' })

  override async work(): Promise<void> {
    if (await pathExists(this.file))
      throw new PsyblobError('conflict', `${visible(this.file)} exists`, {
        hint: 'name another file; psyblob root prepare begins the next root',
      })
    await this.write(await this.change())
  }

  async change(): Promise<RootContent> {
    const days = wholeNumber('--days', this.days, { least: 1, most: 3650 })
    const keys = async (sources: readonly string[]) =>
      Promise.all(sources.map(async (source) => parsePublicKey(await publicKeyText(source))))
    const keepers = await keys(this.roots)
    const threshold =
      this.threshold === undefined
        ? Math.floor(keepers.length / 2) + 1
        : wholeNumber('--threshold', this.threshold, { least: 1, most: keepers.length })
    const now = this.context.clock()
    return {
      repo: parseName(this.repo, 'repository'),
      version: 1,
      issued: formatTime(now),
      expires: formatTime(now + days * day),
      roles: {
        root: { threshold, keys: keepers },
        release: { '*': { threshold: 1, keys: await keys(this.releases) } },
        pointer: { '*': { threshold: 1, keys: await keys(this.pointers) } },
      },
      floors: {},
      revoked: [],
    }
  }
}
