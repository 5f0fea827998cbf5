// psyblob repair
import { Command, Option } from 'clipanion'
import { type Component, PsyblobError, parsePath, visible } from '../../core/mod.ts'
import { componentOf, type Node, repair, repairTrees } from '../../images/mod.ts'
import { NodeCommand, slotName } from '../node-command.ts'
import { resultJson, resultText } from '../result-text.ts'
import { slotsProduct } from '../slots-product.ts'
import { bytesText, countText } from '../ui/sizes.ts'

export class Repair extends NodeCommand {
  static override paths = [['repair']]
  static override usage = Command.Usage({
    category: 'Node',
    description: 'Make a slot, or files of the system, what the manifest says, fetching only what is bad',
    details:
      'Paths that begin with / are files of the system: they, and what lies below them, are put in order, whoever changed them; without a path, all files of the product that is named. Without --slot: the slot in use. The booted slot is refused: a machine that runs from a damaged slot syncs to the other one.',
    examples: [
      ['After verify found something', '$0 repair --slot b'],
      ['On a disk image', '$0 repair os --disk disk.img'],
      ['Files of the system', '$0 repair /usr/bin /etc/hosts'],
      ['All of them', '$0 repair base-system'],
    ],
  })

  words = Option.Rest({ name: 'PRODUCT|PATH' })
  slot = Option.String('--slot', { description: 'a or b' })
  folder = Option.String('--path', { description: 'A folder made by psyblob download, instead of the remotes' })
  isDryRun = Option.Boolean('-n,--dry-run', false, { description: 'Print what would be done; change nothing' })

  async work(): Promise<void> {
    const paths = this.words.filter((word) => word.startsWith('/'))
    const names = this.words.filter((word) => !word.startsWith('/'))
    if (names.length > 1)
      throw new PsyblobError('usage', `repair takes one product; got ${visible(names.join(' '))}`, { hint: 'psyblob repair PRODUCT' })
    const node = await this.node(names)
    const [name] = names
    const named = name === undefined ? undefined : componentOf(node, name)
    if (paths.length > 0 || named?.target.kind === 'tree') return this.#repairTrees(node, named, paths)
    const component = slotsProduct(named === undefined ? node.components : [named])
    const result = await repair(node, component, { slot: slotName('--slot', this.slot), dryRun: this.isDryRun, path: this.folder })
    this.ui.json({ ...result, dryRun: this.isDryRun })
    const { product, serial, version, slot, changed, bytes, requests, plan } = result
    const bad = plan.filter((line) => line.how !== 'keep').map((line) => visible(line.path))
    const what = !changed
      ? 'nothing was bad'
      : bad.length === 0
        ? `put in order${this.isDryRun ? ', or would be' : ''}`
        : `${bad.join(', ')} ${this.isDryRun ? 'would be mended' : 'mended'}`
    this.ui.data(
      `slot ${slot}, ${product} ${serial} (${visible(version)}): ${what}; ${bytesText(bytes.fetched)} fetched in ${countText(requests, 'request')}, ${bytesText(bytes.reused)} reused\n`,
    )
  }

  async #repairTrees(node: Node, named: Component | undefined, paths: readonly string[]): Promise<void> {
    if (this.slot !== undefined)
      throw new PsyblobError('usage', 'files of the system lie in no slot', { hint: 'leave --slot out, or name a product with slots' })
    const asked = paths.map((path) => (path === '/' ? path : parsePath(path.replace(/\/+$/, ''))))
    const repaired = await repairTrees(node, named, { paths: asked, dryRun: this.isDryRun, path: this.folder })
    const printed = repaired.map((result) => resultJson(result, this.isDryRun))
    this.ui.json(printed.length === 1 ? printed[0] : printed)
    for (const result of repaired) this.ui.data(resultText(result, this.isDryRun))
  }
}
