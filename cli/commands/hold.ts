// psyblob hold
import { Command, Option } from 'clipanion'
import { PsyblobError, visible } from '../../core/mod.ts'
import { componentsOf, type Held, hold } from '../../images/mod.ts'
import { NodeCommand } from '../node-command.ts'

/** As much as a line of the state may say. */
const longest = 1000

export class Hold extends NodeCommand {
  static override paths = [['hold']]
  static override usage = Command.Usage({
    category: 'Node',
    description: 'Keep a product as it is: sync and agent install nothing and do not reboot into what waits',
    details:
      'Without a product: all of them. News is still heard of. psyblob sync --force and psyblob apply install all the same; psyblob unhold ends it.',
    examples: [
      ['Not before the fair is over', '$0 hold os --why "fair until Sunday"'],
      ['All products', '$0 hold'],
    ],
  })

  products = Option.Rest({ name: 'PRODUCT' })
  why = Option.String('--why', '', { description: 'The reason, for whoever asks later' })

  async work(): Promise<void> {
    if (this.why.length > longest)
      throw new PsyblobError('usage', `--why has at most ${longest} characters; got ${this.why.length}`, { hint: 'say it shorter' })
    const node = await this.node(this.products)
    const results: Held[] = []
    for (const component of componentsOf(node, this.products)) {
      const result = await hold(node, component, this.why)
      results.push(result)
      const why = this.why === '' ? '' : `: ${visible(this.why)}`
      this.ui.data(`${result.product} is held since ${result.hold?.at}${why}${result.changed ? '' : '; nothing changed'}\n`)
    }
    this.ui.json(results.length === 1 ? results[0] : results)
  }
}
