// psyblob root publish
import { Command, Option } from 'clipanion'
import { parseName, parsePublicKey } from '../../../core/mod.ts'
import { openWriter, publishRoot } from '../../../store/mod.ts'
import { BaseCommand } from '../../command.ts'
import { publicKeyText } from '../../trust-command.ts'

export class RootPublish extends BaseCommand {
  static override paths = [['root', 'publish']]
  static override usage = Command.Usage({
    category: 'Publisher',
    description: 'Publish a signed root as the next one of a repository',
    details:
      'It has to be signed by as many keepers as it asks for itself, and as the root before it asked for; the first one also by the key that nodes trust so far: that is the one that signs the pointer of each channel. With --old-key its signature is verified even if the root does not name it. Sign the pointers again afterwards (publish --refresh): nodes that have no root yet learn of it from them.',
    examples: [
      ['Signed by root sign', '$0 root publish root.json --remote ./repo'],
      ['The first one, signed by the key that nodes have', '$0 root publish root.json --remote ./repo --old-key os.pub'],
      [
        'Signed by stock minisign, each keeper on a machine of its own',
        '$0 root publish root.json --remote ./repo --signature anna.minisig --signature ben.minisig',
      ],
    ],
  })

  file = Option.String({ name: 'FILE' })
  remote = Option.String('--remote', { required: true, description: 'Repository folder' })
  signatures = Option.Array('--signature', { description: 'Signature file besides FILE.minisig; several' })

  oldKeys = Option.Array('--old-key', { description: 'Public key that nodes trust so far; several. For the first root' })
  channels = Option.Array('--channel', { description: 'Channel whose nodes must believe the first root; several (all)' })

  async work(): Promise<void> {
    const anchors = await Promise.all((this.oldKeys ?? []).map(async (source) => parsePublicKey(await publicKeyText(source))))
    const { root, cid, unverified } = await publishRoot({
      path: this.file,
      signatures: this.signatures ?? [],
      remote: openWriter(this.remote),
      anchors,
      channels: this.channels?.map((name) => parseName(name, 'channel')),
    })
    const { repo, version, expires } = root
    this.ui.json({ repo, version, root: cid, expires, unverified })
    this.ui.data(`root ${version} of ${repo} published, expires ${expires}\n`)
    if (unverified.length > 0)
      this.ui.warn(
        `the signature by key ${unverified.join(', ')}, which nodes trust so far, could not be verified: the root does not name that key, and --old-key did not; try it on one node first`,
      )
    this.ui.say(
      `psyblob publish --refresh --remote ${this.remote} --key KEY signs the pointer of each channel again, so that nodes learn of it${version === 1 ? '; this once with the key of before, too' : ''}`,
    )
  }
}
