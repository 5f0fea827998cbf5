// What the commands of a node have besides: where its store and its slots are.
import { join } from 'node:path'
import { Option } from 'clipanion'
import { type Component, type Place, PsyblobError, type SlotsTarget } from '../core/mod.ts'
import { isOfOneKey, type Node, openNode, openRun, type SlotName, slotNames } from '../images/mod.ts'
import { choice } from './command.ts'
import { TrustCommand } from './trust-command.ts'

const defaultStore = '/var/psyblob'

export abstract class NodeCommand extends TrustCommand {
  storeDir = Option.String('--store', { description: `Local store (PSYBLOB_STORE, else ${defaultStore})` })
  disk = Option.String('--disk', { description: 'Image file or disk whose partitions are the slots' })
  booted = Option.String('--booted', { description: 'Which slot counts as booted: a or b' })
  slotA = Option.String('--slot-a', { description: 'Slot a: a folder, a device, or LABEL=…' })
  slotB = Option.String('--slot-b', { description: 'Slot b' })
  esp = Option.String('--esp', { description: 'EFI partition: a folder, a device, or LABEL=…' })

  readonly #told = new Set<string>()

  /** The node as options, environment and composition say. `products` are names that flags alone may describe. */
  async node(products: readonly string[] = []): Promise<Node> {
    const components = await this.components(products)
    return openNode({
      storeDir:
        this.storeDir ?? (this.root === undefined ? this.context.env['PSYBLOB_STORE'] : undefined) ?? join(this.systemRoot, defaultStore),
      components: components.map((component) => this.#placed(component)),
      disk: this.disk,
      booted: slotName('--booted', this.booted),
      cmdline: this.context.env['PSYBLOB_CMDLINE'],
      stallSeconds: this.stallSeconds,
      ipfsGateway: this.ipfsGateway,
      run: openRun(this.ui.report),
      report: this.ui.report,
      signal: this.signal,
      clock: this.context.clock,
    })
  }

  /** Once a run for each product, after its remotes were asked: until there is a root, whoever has the key is the publisher for ever (spec/threats.md 2). */
  sayOneKey(node: Node, components: readonly Component[]): void {
    const names = components.filter((component) => !this.#told.has(component.name) && isOfOneKey(node, component)).map(({ name }) => name)
    if (names.length === 0) return
    for (const name of names) this.#told.add(name)
    this.ui.say(`warning: one key signs all of ${names.join(', ')}, and nothing can take it away: the publisher runs psyblob root init`)
  }

  #placed(component: Component): Component {
    const places = { a: place(this.slotA), b: place(this.slotB), esp: place(this.esp) }
    const given = Object.fromEntries(Object.entries(places).filter(([, value]) => value !== undefined)) as Omit<SlotsTarget, 'kind'>
    const { target } = component
    const foreign = target.kind === 'slots' ? [] : Object.keys(given).filter((name) => name !== 'esp' || target.kind !== 'esp')
    if (foreign.length > 0) {
      throw new PsyblobError('usage', `product ${component.name} has no slots: its target is of kind ${target.kind}`, {
        hint: `leave ${target.kind === 'esp' ? '--slot-a and --slot-b' : '--slot-a, --slot-b and --esp'} out, or name another product`,
      })
    }
    return { ...component, target: target.kind === 'tree' ? target : { ...target, ...given } }
  }
}

/** `a`, `b` or undefined. Throws `usage` for anything else. */
export function slotName(option: string, value: string | undefined): SlotName | undefined {
  return value === undefined ? undefined : choice(option, value, slotNames)
}

function place(text: string | undefined): Place | undefined {
  if (text === undefined) return undefined
  if (text === '')
    throw new PsyblobError('usage', 'an empty name of a slot', { hint: 'name a folder, a device such as /dev/sda3, or LABEL=psyopsOS-A' })
  if (text.startsWith('LABEL=')) return { label: text.slice('LABEL='.length) }
  return text.startsWith('/dev/') ? { device: text } : { dir: text }
}
