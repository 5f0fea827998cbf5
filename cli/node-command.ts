// What the commands of a node have besides: where store, composition and slots are, and whom to trust.
import { readFile } from 'node:fs/promises'
import { Option } from 'clipanion'
import {
  type Component,
  limits,
  type Place,
  PsyblobError,
  parseComposition,
  parseName,
  parsePublicKey,
  type SlotsTarget,
  utf8Decode,
  visible,
} from '../core/mod.ts'
import { type Node, openNode, openRun, type SlotName, slotNames } from '../images/mod.ts'
import { BaseCommand, choice, wholeNumber } from './command.ts'

const defaultComposition = '/etc/composition'
const defaultStore = '/var/psyblob'

export abstract class NodeCommand extends BaseCommand {
  storeDir = Option.String('--store', { description: `Local store (PSYBLOB_STORE, else ${defaultStore})` })
  composition = Option.String('--composition', { description: `Configuration (PSYBLOB_COMPOSITION, else ${defaultComposition})` })
  disk = Option.String('--disk', { description: 'Image file or disk whose partitions are the slots' })
  booted = Option.String('--booted', { description: 'Which slot counts as booted: a or b' })
  key = Option.String('--key', { description: 'Public key: a .pub file or the line that begins with RW' })
  remotes = Option.Array('--remote', { description: 'Folder or address of a repository; may be given several times' })
  channel = Option.String('--channel', { description: 'Channel (stable)' })
  compat = Option.String('--compat', { description: 'Kind of machine, e.g. x86_64-uefi' })
  slotA = Option.String('--slot-a', { description: 'Slot a: a folder, a device, or LABEL=…' })
  slotB = Option.String('--slot-b', { description: 'Slot b' })
  esp = Option.String('--esp', { description: 'EFI partition: a folder, a device, or LABEL=…' })
  timeout = Option.String('--timeout', '30', { description: 'Seconds without a byte before a remote is given up' })

  /** The node as options, environment and composition say. `products` are names that flags alone may describe. */
  async node(products: readonly string[] = []): Promise<Node> {
    const { env } = this.context
    const key = this.key === undefined ? undefined : await publicKeyText(this.key)
    const written = await readComposition(this.composition ?? env['PSYBLOB_COMPOSITION'])
    const described =
      key === undefined
        ? []
        : (products.length === 0 && written.length === 0 ? ['os'] : products).filter((name) =>
            written.every((component) => component.name !== name),
          )
    const fromFlags = described.map(
      (name): Component => ({ name: parseName(name, 'product'), key: key ?? '', uris: [], channel: 'stable', target: { kind: 'slots' } }),
    )
    const components = [...written, ...fromFlags].map((component) => this.#overridden(component, key))
    if (components.length === 0) {
      throw new PsyblobError('not-found', `no composition at ${defaultComposition}, and no --key`, {
        hint: 'write one line a product there (spec/composition.md), or give --key KEY.pub --remote ADDRESS',
      })
    }
    return openNode({
      storeDir: this.storeDir ?? env['PSYBLOB_STORE'] ?? defaultStore,
      components,
      disk: this.disk,
      booted: slotName('--booted', this.booted),
      stallSeconds: wholeNumber('--timeout', this.timeout, { least: 1, most: 3600 }),
      run: openRun(this.ui.report),
      report: this.ui.report,
      signal: this.signal,
      clock: this.context.clock,
    })
  }

  #overridden(component: Component, key: string | undefined): Component {
    const places = { a: place(this.slotA), b: place(this.slotB), esp: place(this.esp) }
    const given = Object.fromEntries(Object.entries(places).filter(([, value]) => value !== undefined)) as Omit<SlotsTarget, 'kind'>
    if (Object.keys(given).length > 0 && component.target.kind !== 'slots') {
      throw new PsyblobError('usage', `product ${component.name} has no slots: its target is of kind ${component.target.kind}`, {
        hint: 'leave --slot-a, --slot-b and --esp out, or name another product',
      })
    }
    return {
      ...component,
      ...(key === undefined ? {} : { key }),
      ...(this.remotes === undefined ? {} : { uris: this.remotes }),
      ...(this.channel === undefined ? {} : { channel: parseName(this.channel, 'channel') }),
      ...(this.compat === undefined ? {} : { compat: parseName(this.compat, 'compat') }),
      target: component.target.kind === 'slots' ? { ...component.target, ...given } : component.target,
    }
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

/** The line of a public key: as it is, or out of the file with that name. */
async function publicKeyText(source: string): Promise<string> {
  if (/^RW[\w+/=]{54}$/.test(source)) return parsePublicKey(source).text
  const text = await readFile(source, 'utf8').catch((cause: unknown) => {
    throw new PsyblobError('not-found', `no public key ${visible(source)}`, {
      cause,
      hint: 'name a .pub file, or give the line in it that begins with RW',
    })
  })
  return parsePublicKey(text.slice(0, 4096)).text
}

async function readComposition(named: string | undefined): Promise<readonly Component[]> {
  const path = named ?? defaultComposition
  const bytes = await readFile(path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT' && named === undefined) return undefined
    if (cause.code === 'ENOENT')
      throw new PsyblobError('not-found', `no composition at ${visible(path)}`, {
        cause,
        hint: 'check the path; spec/composition.md shows what it looks like',
      })
    throw new PsyblobError('usage', `cannot read the composition ${visible(path)}: ${cause.code ?? cause.message}`, {
      cause,
      hint: 'name another file with --composition, or run as a user who may read it',
    })
  })
  if (bytes === undefined) return []
  if (bytes.length > limits.composition) throw new PsyblobError('malformed', `${visible(path)} is longer than ${limits.composition} bytes`)
  return parseComposition(utf8Decode(bytes, path), path)
}
