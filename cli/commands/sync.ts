// psyblob sync
import { Command, Option } from 'clipanion'
import { visible } from '../../core/mod.ts'
import { openRun, type Synced, slotComponentsOf, sync } from '../../images/mod.ts'
import { NodeCommand } from '../node-command.ts'
import { bytesText, countText, secondsText } from '../ui/sizes.ts'

export class Sync extends NodeCommand {
  static override paths = [['sync']]
  static override usage = Command.Usage({
    category: 'Node',
    description: 'Bring this machine up to date: fetch, write to the inactive slot, read back, flip',
    details:
      'Without a product: every product of the composition. The slot that runs is never written. Interrupted anywhere, run it again: it goes on where it stopped. With nothing to do it makes one request.',
    examples: [
      ['An update', '$0 sync os'],
      ['What it would cost, in exact bytes and requests', '$0 sync os --dry-run'],
      ['From a stick made by psyblob download', '$0 sync os --path /mnt/stick'],
      ['Without any configuration', '$0 sync os --key os.pub --remote https://os.example/ --disk disk.img'],
    ],
  })

  products = Option.Rest({ name: 'PRODUCT' })
  isDryRun = Option.Boolean('-n,--dry-run', false, { description: 'Print what would be done; change nothing' })
  isForced = Option.Boolean('--force', false, {
    description: 'Write even when the machine has the release; take over a slot with foreign files',
  })
  isKeepingOrder = Option.Boolean('--no-activate', false, { description: 'Leave the boot order as it is' })
  isRebooting = Option.Boolean('--reboot', false, { description: 'Reboot when something new boots next' })
  folder = Option.String('--path', { description: 'A folder made by psyblob download, instead of the remotes' })

  async work(): Promise<void> {
    const node = await this.node(this.products)
    const results: Synced[] = []
    for (const component of slotComponentsOf(node, this.products)) {
      const result = await sync(node, component, {
        dryRun: this.isDryRun,
        force: this.isForced,
        activate: !this.isKeepingOrder,
        path: this.folder,
      })
      results.push(result)
      this.#print(result)
    }
    this.ui.json(
      results.length === 1 ? printable(results[0] as Synced, this.isDryRun) : results.map((result) => printable(result, this.isDryRun)),
    )
    const isNew = results.some((result) => result.activated)
    if (this.isRebooting && isNew && !this.isDryRun && this.disk === undefined) {
      this.ui.say('rebooting')
      await openRun(this.ui.report)(['reboot'])
    }
  }

  #print(result: Synced): void {
    const { product, serial, version, slot, changed, activated, bytes, requests, seconds, plan, held } = result
    const name = `${product} ${serial} (${visible(version)})`
    if (held !== undefined) this.ui.data(`${name} is not installed: ${held}\n`)
    else if (!changed && !activated)
      this.ui.data(`${name} is in slot ${slot}: nothing to do (${countText(requests, 'request')}, ${secondsText(seconds)})\n`)
    else {
      if (this.isDryRun)
        this.ui.table([
          ['entry', 'how', 'size', 'fetch', 'reuse', 'requests'],
          ...plan.map((line) => [
            visible(line.path),
            line.how,
            bytesText(line.size),
            bytesText(line.fetch),
            bytesText(line.reuse),
            String(line.requests),
          ]),
        ])
      const verb = this.isDryRun ? 'would be written to' : changed ? 'is in' : 'was already in'
      const next = activated ? `, which ${this.isDryRun ? 'would boot' : 'boots'} next` : ''
      this.ui.data(
        `${name} ${verb} slot ${slot}${next}: ${bytesText(bytes.fetched)} fetched in ${countText(requests, 'request')}, ${bytesText(bytes.reused)} reused, ${bytesText(bytes.written)} written, ${secondsText(seconds)}\n`,
      )
    }
  }
}

function printable({ held, ...result }: Synced, dryRun: boolean) {
  return { ...result, dryRun, held: held ?? null }
}
