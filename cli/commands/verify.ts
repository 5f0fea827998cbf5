// psyblob verify
import { Command, Option } from 'clipanion'
import { exitCodes } from '../../core/mod.ts'
import { type Audit, componentsOf, verifyEfi, verifyRemotes, verifySlots, verifyStore, verifyTree } from '../../images/mod.ts'
import { auditText } from '../audit-text.ts'
import { NodeCommand, slotName } from '../node-command.ts'

export class Verify extends NodeCommand {
  static override paths = [['verify']]
  static override usage = Command.Usage({
    category: 'Operator',
    description: 'Audit: check signatures, then hash every byte again',
    details:
      'Names each bad file, and each bad range where the chunk index is at hand. Without more words it audits the slots. A bare --store audits the local store, and a bare --remote audits each remote: its chain of roots, then all of the newest release there; with a value they say where these are, as everywhere. Exit status 13 when something is not what was signed, 12 when a signature does not hold.',
    examples: [
      ['The slots', '$0 verify'],
      ['One slot of a disk image', '$0 verify os --slot b --disk disk.img'],
      ['What the mirrors serve', '$0 verify os --remote'],
      ['What one address serves', '$0 verify os --remote --remote https://os.example/ --key os.pub'],
    ],
  })

  products = Option.Rest({ name: 'PRODUCT' })
  slot = Option.String('--slot', { description: 'Only this slot: a or b' })
  // `--store` and `--remote` without a value arrive under these names (cli/bare-flags.ts)
  wantsStore = Option.Boolean('--audit-store', false, { hidden: true })
  wantsRemotes = Option.Boolean('--audit-remote', false, { hidden: true })

  async work(): Promise<number> {
    const slot = slotName('--slot', this.slot)
    const { wantsStore, wantsRemotes } = this
    const node = await this.node(this.products)
    const audits: Audit[] = []
    for (const component of componentsOf(node, this.products)) {
      if (wantsStore) audits.push(await verifyStore(node, component))
      if (wantsRemotes) audits.push(...(await verifyRemotes(node, component)))
      if (component.target.kind !== 'slots') {
        if (!wantsStore && !wantsRemotes) audits.push(await (component.target.kind === 'esp' ? verifyEfi : verifyTree)(node, component))
      } else if ((!wantsStore && !wantsRemotes) || slot !== undefined) audits.push(...(await verifySlots(node, component, slot)))
    }
    this.ui.json(
      audits.map(({ error, ...audit }) => ({
        ...audit,
        ok: error === undefined && audit.findings.length === 0,
        error: error === undefined ? null : { code: error.code, message: error.message },
      })),
    )
    for (const audit of audits) this.ui.data(auditText(audit))
    const refused = audits.find((audit) => audit.error !== undefined)?.error
    if (refused !== undefined) return exitCodes[refused.code]
    const findings = audits.flatMap((audit) => audit.findings)
    if (findings.length === 0) return 0
    this.ui.say(
      wantsRemotes
        ? 'the publisher mends a repository: psyblob publish of the same folder puts blobs back, roots come from a copy'
        : 'psyblob repair mends a slot or files of the system, psyblob apply the EFI partition, fetching only what is bad',
    )
    return findings.some(({ problem }) => problem === 'untrusted') ? exitCodes.untrusted : exitCodes.corrupt
  }
}
