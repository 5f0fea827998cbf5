// psyblob root revoke
import { Command, Option } from 'clipanion'
import { PsyblobError, parseCid, type Root, type RootContent, revoke } from '../../../core/mod.ts'
import { RootCommand } from '../../root-command.ts'

export class RootRevoke extends RootCommand {
  static override paths = [['root', 'revoke']]
  static override usage = Command.Usage({
    category: 'Publisher',
    description: 'Take releases or blobs back by their CIDs, in the root that is being prepared',
    details: 'A node installs no release whose manifest, or one of whose blobs, was taken back, wherever it got it. It is for ever.',
    examples: [['A release', '$0 root revoke root.json bafkr4i…']],
  })

  cids = Option.Rest({ name: 'CID', required: 1 })

  change(root: Root): RootContent {
    return revoke(
      root,
      this.cids.map((text) => {
        try {
          return parseCid(text)
        } catch (cause) {
          throw new PsyblobError('usage', 'revoke takes CIDs', { cause, hint: 'psyblob history PRODUCT and psyblob show print them' })
        }
      }),
    )
  }
}
