// psyblob root publish
import { Command, Option } from 'clipanion'
import { openWriter, publishRoot } from '../../../store/mod.ts'
import { BaseCommand } from '../../command.ts'

export class RootPublish extends BaseCommand {
  static override paths = [['root', 'publish']]
  static override usage = Command.Usage({
    category: 'Publisher',
    description: 'Publish a signed root as the next one of a repository',
    details:
      'It has to be signed by as many keepers as it asks for itself, and as the root before it asked for; the first one also by the key that nodes trust so far. Sign the pointers again afterwards (publish --refresh): nodes that have no root yet learn of it from them.',
    examples: [
      ['Signed by root sign', '$0 root publish root.json --remote ./repo'],
      [
        'Signed by stock minisign, each keeper on a machine of its own',
        '$0 root publish root.json --remote ./repo --signature anna.minisig --signature ben.minisig',
      ],
    ],
  })

  file = Option.String({ name: 'FILE' })
  remote = Option.String('--remote', { required: true, description: 'Repository folder' })
  signatures = Option.Array('--signature', { description: 'Signature file besides FILE.minisig; several' })

  async work(): Promise<void> {
    const { root, cid } = await publishRoot({ path: this.file, signatures: this.signatures ?? [], remote: openWriter(this.remote) })
    const { repo, version, expires } = root
    this.ui.json({ repo, version, root: cid, expires })
    this.ui.data(`root ${version} of ${repo} published, expires ${expires}\n`)
    this.ui.say(
      `psyblob publish --refresh --remote ${this.remote} --key KEY signs the pointer of each channel again, so that nodes learn of it${version === 1 ? '; this once with the key of before, too' : ''}`,
    )
  }
}
