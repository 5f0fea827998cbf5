// psyblob check
import { Command, Option } from 'clipanion'
import { exitNo, PsyblobError, visible } from '../../core/mod.ts'
import { type Checked, check, checkEfi, checkTreeProduct, componentOf, componentsOf } from '../../images/mod.ts'
import { NodeCommand, slotName } from '../node-command.ts'

export class Check extends NodeCommand {
  static override paths = [['check']]
  static override usage = Command.Usage({
    category: 'Operator',
    description: 'Is it that release? Exit status 0 for yes, 1 for no',
    details:
      'Two forms. check current|latest [PRODUCT…] asks whether the slot in use holds the release that the store calls so. check PRODUCT [a|b] asks it of a slot, and of the newest known release, of --version, or of a manifest file by --path. Every byte is hashed; nothing is changed; no network is needed when the release is known here.',
    examples: [
      ['Is this machine up to date, as far as it knows', '$0 refresh && $0 check latest'],
      ['Is slot b release 17', '$0 check os b --version 17'],
      ['Is it what lies on the stick', '$0 check os --path /mnt/stick/manifests/os/17'],
    ],
  })

  first = Option.String({ name: 'current|latest|PRODUCT' })
  rest = Option.Rest({ name: 'PRODUCT|a|b' })
  version = Option.String('--version', { description: 'Serial, version label, latest, current or previous' })
  file = Option.String('--path', { description: 'A manifest file' })

  async work(): Promise<number> {
    const answers = this.first === 'current' || this.first === 'latest' ? await this.#all(this.first) : [await this.#one()]
    this.ui.json(answers.length === 1 ? answers[0] : answers)
    for (const { product, slot, matches, expected, reasons } of answers) {
      const where = slot === null ? product : `slot ${slot}`
      this.ui.data(
        `${where}: ${matches ? 'is' : 'is not'} ${product} ${expected.serial} (${visible(expected.version)})${matches ? '' : reasons.length > 3 ? reasons.map((reason) => `\n  ${visible(reason)}`).join('') : `: ${reasons.map(visible).join('; ')}`}\n`,
      )
    }
    return answers.every((answer) => answer.matches) ? 0 : exitNo
  }

  async #all(release: 'current' | 'latest'): Promise<readonly Checked[]> {
    if (this.version !== undefined || this.file !== undefined)
      throw new PsyblobError('usage', `check ${release} takes neither --version nor --path`, { hint: `psyblob check PRODUCT --version V` })
    const node = await this.node(this.rest)
    const answers: Checked[] = []
    for (const component of componentsOf(node, this.rest))
      answers.push(
        component.target.kind === 'slots'
          ? await check(node, component, { slot: undefined, wanted: { release } })
          : await (component.target.kind === 'esp' ? checkEfi : checkTreeProduct)(node, component, { release }),
      )
    return answers
  }

  async #one(): Promise<Checked> {
    if (this.version !== undefined && this.file !== undefined)
      throw new PsyblobError('usage', '--version and --path exclude each other', { hint: 'give one of them' })
    const [slot, more] = this.rest
    if (more !== undefined)
      throw new PsyblobError('usage', `check PRODUCT takes one slot; got ${visible(this.rest.join(' '))}`, {
        hint: 'psyblob check current|latest takes several products',
      })
    const node = await this.node([this.first])
    const wanted = this.file === undefined ? { release: this.version ?? 'latest' } : { path: this.file }
    const component = componentOf(node, this.first)
    if (component.target.kind !== 'slots') {
      if (slot !== undefined)
        throw new PsyblobError('usage', `product ${component.name} has no slots: its target is of kind ${component.target.kind}`, {
          hint: 'leave the slot out',
        })
      return (component.target.kind === 'esp' ? checkEfi : checkTreeProduct)(node, component, wanted)
    }
    return check(node, component, { slot: slotName('the slot', slot), wanted })
  }
}
