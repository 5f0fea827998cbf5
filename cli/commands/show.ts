// psyblob show
import { Command, Option } from 'clipanion'
import { PsyblobError, visible } from '../../core/mod.ts'
import { componentOf, openSource, trustOf } from '../../images/mod.ts'
import { findRelease, releaseAt } from '../../store/mod.ts'
import { NodeCommand } from '../node-command.ts'
import { bytesText } from '../ui/sizes.ts'

export class Show extends NodeCommand {
  static override paths = [['show']]
  static override usage = Command.Usage({
    category: 'Operator',
    description: 'Print a release: what is in it, how large, signed by whom',
    details: 'Without more words: the newest release known here. The signature is verified before anything is printed.',
    examples: [
      ['The newest', '$0 show os'],
      ['A certain one', '$0 show os --version 17'],
      ['A file', '$0 show os --path manifests/os/17 --key os.pub'],
    ],
  })

  product = Option.String({ name: 'PRODUCT' })
  version = Option.String('--version', { description: 'Serial, version label, latest, current or previous' })
  file = Option.String('--path', { description: 'A manifest file' })
  isLatest = Option.Boolean('--latest', false, { description: 'The newest release known here' })

  async work(): Promise<void> {
    if ([this.version !== undefined, this.file !== undefined, this.isLatest].filter(Boolean).length > 1)
      throw new PsyblobError('usage', '--version, --path and --latest exclude each other', { hint: 'give one of them' })
    const node = await this.node([this.product])
    const component = componentOf(node, this.product)
    const trust = trustOf(node, component)
    const { manifest, cid } = await this.#release(node, component, trust)
    this.ui.json({ ...manifest, manifest: cid })
    this.ui.table([
      ['product', `${manifest.name} ${manifest.serial} (${visible(manifest.version)})`],
      ['repository', manifest.repo],
      ...(manifest.desc === '' ? [] : [['description', visible(manifest.desc)]]),
      ['created', manifest.created],
      ['for', manifest.compat],
      ['manifest', cid],
      ['previous', manifest.previous ?? 'none'],
      ['signed by', trust.key.text],
      ['size', `${bytesText(manifest.size)} in ${manifest.entries} entries`],
    ])
    this.ui.table([
      ['entry', 'role', 'size', 'blob'],
      ...manifest.records.map(({ path, role, bin }) => [visible(path), role, bin === null ? '' : bytesText(bin.size), bin?.cid ?? '']),
    ])
  }

  async #release(
    node: Awaited<ReturnType<NodeCommand['node']>>,
    component: ReturnType<typeof componentOf>,
    trust: ReturnType<typeof trustOf>,
  ) {
    if (this.file !== undefined) return (await releaseAt(this.file, trust)).release
    const source = await openSource(node, component)
    try {
      return await findRelease({ trust, store: node.store, mirrors: source.mirrors, signal: this.signal }, this.version ?? 'latest')
    } finally {
      await source.close()
    }
  }
}
