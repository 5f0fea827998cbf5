// What commands have that ask a repository: the composition, or flags in its place, and whom to trust.
import { statSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { Option } from 'clipanion'
import { type Component, limits, PsyblobError, parseComposition, parseName, parsePublicKey, utf8Decode, visible } from '../core/mod.ts'
import { BaseCommand, wholeNumber } from './command.ts'

const defaultComposition = '/etc/composition'
/** What the product of the EFI partition is called where no composition says so. */
const efiProduct = 'efisys'

export abstract class TrustCommand extends BaseCommand {
  composition = Option.String('--composition', { description: `Configuration (PSYBLOB_COMPOSITION, else ${defaultComposition})` })
  key = Option.String('--key', { description: 'Public key: a .pub file or the line that begins with RW' })
  remotes = Option.Array('--remote', {
    description: 'Folder or address of a repository; may be given several times. In IPFS: by the gateway in PSYBLOB_IPFS_GATEWAY',
  })
  channel = Option.String('--channel', { description: 'Channel (stable)' })
  compat = Option.String('--compat', { description: 'Kind of machine, e.g. x86_64-uefi' })
  root = Option.String('--root', { description: 'Where the system is that is meant, e.g. one under construction (/)' })
  timeout = Option.String('--timeout', '30', { description: 'Seconds without a byte before a remote is given up' })

  get stallSeconds(): number {
    return wholeNumber('--timeout', this.timeout, { least: 1, most: 3600 })
  }

  /** Address of the gateway to IPFS, where the environment names one. */
  get ipfsGateway(): string | undefined {
    return this.context.env['PSYBLOB_IPFS_GATEWAY']
  }

  /** The products that options, environment and composition describe. `products` are names that flags alone may describe. */
  async components(products: readonly string[] = []): Promise<readonly Component[]> {
    const key = this.key === undefined ? undefined : await publicKeyText(this.key)
    const named = this.composition ?? (this.root === undefined ? this.context.env['PSYBLOB_COMPOSITION'] : undefined)
    const written = await readComposition(named, join(this.systemRoot, defaultComposition))
    const described =
      key === undefined
        ? []
        : (products.length === 0 && written.length === 0 ? ['os'] : products).filter((name) =>
            written.every((component) => component.name !== name),
          )
    const fromFlags = described.map(
      (name): Component => ({
        name: parseName(name, 'product'),
        key: key ?? '',
        uris: [],
        channel: 'stable',
        // another root than this system's has files, and no slots of its own
        target: this.root !== undefined ? { kind: 'tree', root: '/' } : { kind: name === efiProduct ? 'esp' : 'slots' },
      }),
    )
    const components = [...written, ...fromFlags].map((component) => this.#overridden(component, key))
    if (components.length > 0) return components
    throw new PsyblobError('not-found', `no composition at ${visible(join(this.systemRoot, defaultComposition))}, and no --key`, {
      hint: 'write one line a product there (spec/composition.md), or give --key KEY.pub --remote ADDRESS',
    })
  }

  /** The root of the system that is meant. Throws `not-found` when `--root` names no folder: a slip must not fill a new one. */
  get systemRoot(): string {
    if (this.root === undefined) return '/'
    const dir = resolve(this.root)
    if (statSync(dir, { throwIfNoEntry: false })?.isDirectory() === true) return dir
    throw new PsyblobError('not-found', `--root: no folder ${visible(dir)}`, { hint: 'check the path, or make the folder first' })
  }

  #overridden(component: Component, key: string | undefined): Component {
    const { target } = component
    return {
      ...component,
      ...(target.kind === 'tree' && this.root !== undefined ? { target: { ...target, root: join(this.systemRoot, target.root) } } : {}),
      ...(key === undefined ? {} : { key }),
      ...(this.remotes === undefined ? {} : { uris: this.remotes }),
      ...(this.channel === undefined ? {} : { channel: parseName(this.channel, 'channel') }),
      ...(this.compat === undefined ? {} : { compat: parseName(this.compat, 'compat') }),
    }
  }
}

/** The line of a public key: as it is, or out of the file with that name. */
export async function publicKeyText(source: string): Promise<string> {
  if (/^RW[\w+/=]{54}$/.test(source)) return parsePublicKey(source).text
  const text = await readFile(source, 'utf8').catch((cause: unknown) => {
    throw new PsyblobError('not-found', `no public key ${visible(source)}`, {
      cause,
      hint: 'name a .pub file, or give the line in it that begins with RW',
    })
  })
  return parsePublicKey(text.slice(0, 4096)).text
}

async function readComposition(named: string | undefined, usual: string): Promise<readonly Component[]> {
  const path = named ?? usual
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
