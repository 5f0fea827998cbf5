// psyblob apply
import { Command, Option } from 'clipanion'
import { PsyblobError, visible } from '../../core/mod.ts'
import { applyEfiProduct, applyProduct, applyTree, componentOf } from '../../images/mod.ts'
import { NodeCommand, slotName } from '../node-command.ts'
import { preferenceOf, preferText } from '../prefer.ts'
import { resultJson, resultText } from '../result-text.ts'
import { bytesText, countText } from '../ui/sizes.ts'

export class Apply extends NodeCommand {
  static override paths = [['apply']]
  static override usage = Command.Usage({
    category: 'Node',
    description: 'Write a release into a slot: the newest, one by name, or one from a file',
    details:
      'Without a slot: the one that is not in use. The booted slot is refused. A release older than one that has proved to boot here is refused; psyblob rollback goes back to the other slot. A product of the EFI partition has no slot: its new boot loader is tried once at the next boot; with --force it is switched to at once.',
    examples: [
      ['The newest release', '$0 apply os'],
      ['A certain one into slot b', '$0 apply os b --version 17'],
      ['The EFI partition of an image', '$0 apply efisys --key os.pub --remote https://os.example/ --disk disk.img'],
      ['From a downloaded folder', '$0 apply os --path /mnt/stick/manifests/os/17'],
    ],
  })

  product = Option.String({ name: 'PRODUCT' })
  slot = Option.String({ name: 'a|b', required: false })
  version = Option.String('--version', { description: 'Serial, version label, latest, current or previous' })
  folder = Option.String('--path', { description: 'A manifest file; its repository folder is the source' })
  isForced = Option.Boolean('--force', false, { description: 'Write even when the slot has the release; take over foreign files' })
  prefer = Option.String('--prefer', { description: preferText })
  isKeepingOrder = Option.Boolean('--no-activate', false, { description: 'Leave the boot order as it is' })
  isDryRun = Option.Boolean('-n,--dry-run', false, { description: 'Print what would be done; change nothing' })

  async work(): Promise<void> {
    if (this.version !== undefined && this.folder !== undefined)
      throw new PsyblobError('usage', '--version and --path exclude each other', { hint: 'give one of them' })
    const node = await this.node([this.product])
    const component = componentOf(node, this.product)
    const prefer = preferenceOf(this.prefer, [component])
    if (component.target.kind !== 'slots') {
      if (this.slot !== undefined)
        throw new PsyblobError('usage', `product ${this.product} has no slots: its target is of kind ${component.target.kind}`, {
          hint: 'leave the slot out',
        })
      const result = await (component.target.kind === 'esp' ? applyEfiProduct : applyTree)(node, component, {
        version: this.version,
        path: this.folder,
        force: this.isForced,
        dryRun: this.isDryRun,
      })
      this.ui.json(resultJson(result, this.isDryRun))
      this.ui.data(resultText(result, this.isDryRun))
      return
    }
    const request = {
      slot: slotName('the slot', this.slot),
      version: this.version,
      path: this.folder,
      force: this.isForced,
      prefer,
      activate: !this.isKeepingOrder,
      dryRun: this.isDryRun,
    }
    const result = await applyProduct(node, component, request)
    this.ui.json({ ...result, dryRun: this.isDryRun })
    const { serial, version, slot, changed, activated, bytes, requests } = result
    const verb = this.isDryRun ? (changed ? 'would be written to' : 'is already in') : changed ? 'is in' : 'was already in'
    this.ui.data(
      `${this.product} ${serial} (${visible(version)}) ${verb} slot ${slot}${activated ? `, which ${this.isDryRun ? 'would boot' : 'boots'} next` : ''}: ${bytesText(bytes.fetched)} fetched in ${countText(requests, 'request')}, ${bytesText(bytes.reused)} reused\n`,
    )
  }
}
