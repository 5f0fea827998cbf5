// psyblob why
import { Command, Option } from 'clipanion'
import { visible } from '../../core/mod.ts'
import { type Why as Account, componentsOf, why } from '../../images/mod.ts'
import { NodeCommand } from '../node-command.ts'

export class Why extends NodeCommand {
  static override paths = [['why']]
  static override usage = Command.Usage({
    category: 'Operator',
    description: 'Say in sentences why this machine runs what it runs',
    details:
      'Which release runs, whether it was marked good, what waits for a reboot, what was fallen back from, rolled back or held, and what was tried last. Asks no remote and changes nothing. psyblob status has the plain facts.',
    examples: [
      ['Why is this machine not on the newest release?', '$0 why os'],
      ['For a program', '$0 why --json'],
    ],
  })

  products = Option.Rest({ name: 'PRODUCT' })

  async work(): Promise<void> {
    const node = await this.node(this.products)
    const all: Account[] = []
    for (const component of componentsOf(node, this.products)) all.push(await why(node, component))
    this.ui.json(all.length === 1 ? all[0] : all)
    for (const one of all) this.#print(one)
  }

  #print({ product, runs, reasons, attempts }: Account): void {
    if (runs === null) this.ui.data(`${product}: nothing runs here\n`)
    else {
      const what =
        runs.serial === null ? `something else than a release of ${product}` : `${product} ${runs.serial} (${visible(runs.version ?? '')})`
      this.ui.data(
        `${what} ${runs.booted ? 'runs from' : 'counts as in use, though nothing of it is booted here:'} slot ${runs.slot}${runs.since === null ? '' : ` since ${runs.since}`}\n`,
      )
    }
    for (const { text } of reasons) this.ui.data(`  ${visible(text)}\n`)
    if (attempts.length === 0) return
    this.ui.data('  what was tried last:\n')
    this.ui.table(
      attempts.map(({ at, last, count, what, result, slot, serial, message }) => [
        `    ${last ?? at}`,
        what,
        result,
        `${serial ?? ''}`,
        slot === undefined ? '' : `slot ${slot}`,
        `${visible(message ?? '')}${count === undefined ? '' : ` (${count} times since ${at})`}`,
      ]),
    )
  }
}
