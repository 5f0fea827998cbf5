// psyblob status
import { Command, Option } from 'clipanion'
import { exitCodes, exitNo, visible } from '../../core/mod.ts'
import { componentsOf, type Status as ProductStatus, type SlotStatus, status } from '../../images/mod.ts'
import { efiStatusText } from '../efi-text.ts'
import { NodeCommand } from '../node-command.ts'
import { treeStatusText } from '../tree-text.ts'

export class Status extends NodeCommand {
  static override paths = [['status']]
  static override usage = Command.Usage({
    category: 'Operator',
    description: 'What runs here, what boots next, what is known, what happened last',
    details:
      'Asks no remote: psyblob refresh first, to hear of news. Signatures of the slots’ manifests are checked; their bytes are not: that is psyblob verify.',
    examples: [
      ['This machine', '$0 status'],
      ['A disk image', '$0 status --disk disk.img --key os.pub'],
      ['For a program', '$0 status --json'],
    ],
  })

  products = Option.Rest({ name: 'PRODUCT' })
  isCheck = Option.Boolean('--check', false, { description: 'Exit status: 12 when a pointer or a root has expired, 1 when one is stale' })

  async work(): Promise<number> {
    const node = await this.node(this.products)
    const all: ProductStatus[] = []
    for (const component of componentsOf(node, this.products)) all.push(await status(node, component))
    this.ui.json(all.length === 1 ? all[0] : all)
    for (const one of all) this.#print(one)
    return this.isCheck ? freshnessCode(all) : 0
  }

  #print(one: ProductStatus): void {
    const { product, channel, repo, slots, boot, known, floor, avoided, hold, pointer, upToDate, last, fellBackFrom } = one
    this.ui.data(`${product}, channel ${channel}${repo === null ? '' : ` of ${repo}`}\n`)
    this.ui.table(
      slots.map((slot) => [
        `  slot ${slot.slot}`,
        slotText(slot),
        [slot.booted ? 'booted' : '', slot.next ? 'boots next' : '', slot.good ? 'known to boot' : '']
          .filter((text) => text !== '')
          .join(', '),
        visible(slot.place),
      ]),
    )
    if (one.efi !== null) this.ui.data(efiStatusText(one.efi))
    if (one.tree !== null) this.ui.data(treeStatusText(one.tree))
    if (boot !== null) {
      const copies = boot.copies.every((copy) => copy === 'valid') ? '' : `; copies: ${boot.copies.join(', ')}`
      const tries = boot.tries === undefined ? 'tries unreadable' : `${boot.tries} of 3 tries used`
      this.ui.data(
        boot.seq === undefined ? `  boot: no state yet${copies}\n` : `  boot: ${boot.order.join(', then ')}; ${tries}${copies}\n`,
      )
    }
    if (fellBackFrom !== null) this.ui.data(`  ${fellBackFrom} did not boot in three tries: this machine went back to slot ${one.booted}\n`)
    const isInSlot = slots.some((slot) => slot.serial === known.latest && slot.next)
    const serial = (value: number | null) => (value === null ? 'none' : String(value))
    this.ui.data(
      `  known: latest ${serial(known.latest)}, current ${serial(known.current)}, previous ${serial(known.previous)}${upToDate === null ? '' : upToDate ? '; up to date' : isInSlot ? '; installed, and boots next' : '; an update is waiting: psyblob sync'}\n`,
    )
    if (floor !== null) this.ui.data(`  nothing older than ${floor} is installed\n`)
    if (avoided.length > 0)
      this.ui.data(`  not installed by itself: ${avoided.join(', ')} (did not boot, rolled back or marked bad here)\n`)
    if (hold !== null)
      this.ui.data(`  held since ${hold.at}${hold.why === '' ? '' : `: ${visible(hold.why)}`}; psyblob unhold ${product} lets it go on\n`)
    if (pointer !== null) this.ui.data(`  pointer: version ${pointer.version}, ${pointer.freshness}, expires ${pointer.expires}\n`)
    if (one.root !== null) this.ui.data(`  root: ${one.root.version}, ${one.root.isExpired ? 'expired' : 'expires'} ${one.root.expires}\n`)
    else if (pointer !== null) this.ui.data('  root: none; one key signs everything, and nothing can take it away (psyblob root init)\n')
    if (last !== null)
      this.ui.data(`  last: ${last.command} at ${last.at}: ${last.result}${last.message === '' ? '' : `: ${visible(last.message)}`}\n`)
  }
}

/** The worst of all products. One whose pointer was never seen is not fresh either. */
function freshnessCode(all: readonly ProductStatus[]): number {
  if (all.some(({ pointer, root }) => pointer?.freshness === 'expired' || root?.isExpired === true)) return exitCodes.expired
  return all.every(({ pointer }) => pointer?.freshness === 'fresh') ? 0 : exitNo
}

function slotText({ state, serial, version, why }: SlotStatus): string {
  if (state === 'release') return `${serial} (${visible(version ?? '')})`
  if (state === 'refused') return `not believed: ${visible(why ?? '')}`
  return state === 'unfinished' ? 'an installation that was cut short' : 'empty'
}
