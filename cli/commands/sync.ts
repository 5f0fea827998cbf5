// psyblob sync
import { Command, Option } from 'clipanion'
import { exitCodes, isPsyblobError, type PsyblobError, visible } from '../../core/mod.ts'
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

  async work(): Promise<number> {
    const node = await this.node(this.products)
    const components = slotComponentsOf(node, this.products)
    const options = {
      dryRun: this.isDryRun,
      force: this.isForced,
      activate: !this.isKeepingOrder,
      path: this.folder,
      reboot: this.isRebooting,
    }
    const results: Synced[] = []
    const failures: { readonly product: string; readonly error: PsyblobError }[] = []
    for (const component of components) {
      try {
        const result = await sync(node, component, options)
        results.push(result)
        this.#print(result)
      } catch (error) {
        // one product that fails keeps no other from its update
        if (components.length === 1 || !isPsyblobError(error) || error.code === 'interrupted') throw error
        failures.push({ product: component.name, error })
        this.ui.tell(error, component.name)
      }
    }
    const printed = results.map((result) => printable(result, this.isDryRun))
    const failed = failures.map(({ product, error: { code, message, hint } }) => ({
      product,
      error: { code, message, hint: hint ?? null },
    }))
    this.ui.json(components.length === 1 ? printed[0] : [...printed, ...failed])
    if (results.some((result) => result.pending) && !this.isDryRun && this.disk === undefined) {
      this.ui.say('rebooting')
      await openRun(this.ui.report)(['reboot'])
    }
    return failures[0] === undefined ? 0 : exitCodes[failures[0].error.code]
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

function printable({ held, pending: _, ...result }: Synced, dryRun: boolean) {
  return { ...result, dryRun, held: held ?? null }
}
