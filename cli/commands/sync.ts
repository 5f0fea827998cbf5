// psyblob sync
import { Command, Option } from 'clipanion'
import { exitCodes, isPsyblobError, type PsyblobError, visible } from '../../core/mod.ts'
import { componentsOf, openRun, type Synced, sync, syncEfi, syncTree } from '../../images/mod.ts'
import { NodeCommand } from '../node-command.ts'
import { preferenceOf, preferText } from '../prefer.ts'
import { type AnyResult, resultJson, resultText } from '../result-text.ts'
import { bytesText } from '../ui/sizes.ts'
import { waysText } from '../ways-text.ts'

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
  prefer = Option.String('--prefer', { description: preferText })
  folder = Option.String('--path', { description: 'A folder made by psyblob download, instead of the remotes' })

  async work(): Promise<number> {
    const node = await this.node(this.products)
    const components = componentsOf(node, this.products)
    const options = {
      dryRun: this.isDryRun,
      force: this.isForced,
      activate: !this.isKeepingOrder,
      prefer: preferenceOf(this.prefer, components),
      path: this.folder,
      reboot: this.isRebooting,
    }
    const results: AnyResult[] = []
    const failures: { readonly product: string; readonly error: PsyblobError }[] = []
    for (const component of components) {
      try {
        const { kind } = component.target
        const install = kind === 'slots' ? sync : kind === 'esp' ? syncEfi : syncTree
        const result = await install(node, component, options)
        results.push(result)
        if ('slot' in result) this.#printPlan(result)
        this.ui.data(resultText(result, this.isDryRun))
      } catch (error) {
        // one product that fails keeps no other from its update
        if (components.length === 1 || !isPsyblobError(error) || error.code === 'interrupted') throw error
        failures.push({ product: component.name, error })
        this.ui.tell(error, component.name)
      }
    }
    const printed = results.map((result) => resultJson(result, this.isDryRun))
    const failed = failures.map(({ product, error: { code, message, hint } }) => ({
      product,
      error: { code, message, hint: hint ?? null },
    }))
    this.ui.json(components.length === 1 ? printed[0] : [...printed, ...failed])
    this.sayOneKey(
      node,
      components.filter(({ name }) => results.some(({ product }) => product === name)),
    )
    if (
      results.some((result) =>
        'slot' in result ? result.pending : 'onTrial' in result && this.isRebooting && result.changed && result.onTrial,
      ) &&
      !this.isDryRun &&
      this.disk === undefined
    ) {
      this.ui.say('rebooting')
      await openRun(this.ui.report)(['reboot'])
    }
    return failures[0] === undefined ? 0 : exitCodes[failures[0].error.code]
  }

  #printPlan(result: Synced): void {
    const { changed, activated, plan, held } = result
    if (this.isDryRun && held === undefined && (changed || activated))
      this.ui.table([
        ['entry', 'how', 'size', 'fetch', 'reuse', 'requests', 'ways'],
        ...plan.map((line) => [
          visible(line.path),
          line.how,
          bytesText(line.size),
          bytesText(line.fetch),
          bytesText(line.reuse),
          String(line.requests),
          waysText(line.ways),
        ]),
      ])
  }
}
