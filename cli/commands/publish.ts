// psyblob publish
import { Command, Option } from 'clipanion'
import { limits, PsyblobError, parseName, type SecretKey, visible } from '../../core/mod.ts'
import { defaultCompat, xzCompressor, xzStreams } from '../../images/mod.ts'
import { openWriter, publish, refreshPointer } from '../../store/mod.ts'
import { BaseCommand, wholeNumber } from '../command.ts'
import { readSecretKey } from '../password.ts'
import { bytesText, countText } from '../ui/sizes.ts'

const noneOfTrees = 'files of a system have no patches, nodes fetch those that differ'

export class Publish extends BaseCommand {
  static override paths = [['publish']]
  static override usage = Command.Usage({
    category: 'Publisher',
    description: 'Publish a folder as the next release of a product',
    details:
      'Every file below DIR becomes an entry: its name says what it is (kernel, initramfs, squashfs, modloop, System.map, config, *.dtb, *.efi). New blobs go first, the signed manifest next, the pointer last. Publishing the same folder again changes nothing. The pointer expires: run publish --refresh daily, from a timer.',
    examples: [
      ['After a build', '$0 publish os build/release --remote ./repo --key os.key'],
      [
        'With patches for nodes that are up to three releases behind',
        '$0 publish os build/release --remote ./repo --key os.key --patches 3',
      ],
      ['Sign the pointer again before it expires', '$0 publish --refresh --remote ./repo --key os.key'],
    ],
  })

  product = Option.String({ name: 'PRODUCT', required: false })
  dir = Option.String({ name: 'DIR', required: false })
  remote = Option.String('--remote', { required: true, description: 'Repository folder' })
  keys = Option.Array('--key', { required: true, description: 'Secret key file; several where a root asks for more than one' })
  channel = Option.String('--channel', 'stable', { description: 'Channel' })
  version = Option.String('--version', { description: 'A label for people (the time)' })
  description = Option.String('--description', { description: 'One line about the product' })
  compat = Option.String('--compat', { description: `Kind of machine it is for (${defaultCompat()})` })
  hints = Option.Array('--mirror', { description: 'Address where nodes may find it: a hint in the manifest' })
  expires = Option.String('--expires', '7', { description: 'Days until the pointer expires' })
  tree = Option.Boolean('--tree', { description: 'The folder is a system: entries as they are (--no-tree: it is for slots)' })
  licenceMap = Option.String('--licence-map', { description: 'Of a tree: which files are under which licence, and where their source is' })
  sources = Option.String('--sources', { description: 'Of a tree: folder of source packages' })
  postExec = Option.String('--post-exec', { description: 'A file of the tree that is run after it was installed' })
  patches = Option.String('--patches', {
    description: 'From how many releases before patches are made: what a node fetches in place of chunks (1)',
  })
  isWithoutPatches = Option.Boolean('--no-patches', false, { description: 'Make no patches' })
  isRefresh = Option.Boolean('--refresh', false, { description: 'Only sign the pointer again' })
  passwordFile = Option.String('--password-file', { description: 'Read the password from a file' })

  async work(): Promise<void> {
    const days = wholeNumber('--expires', this.expires, { least: 1, most: 3650 })
    const former = this.#patches()
    const channel = parseName(this.channel, 'channel')
    const { product, dir } = this
    if (this.isRefresh === (product !== undefined)) {
      throw new PsyblobError('usage', this.isRefresh ? 'publish --refresh takes no product' : 'publish takes a product and a folder', {
        hint: 'psyblob publish os DIR --remote ./repo --key os.key',
      })
    }
    if (product !== undefined && dir === undefined)
      throw new PsyblobError('usage', `publish ${visible(product)}: no folder given`, {
        hint: `psyblob publish ${visible(product)} DIR --remote ./repo --key os.key`,
      })
    for (const [option, text] of [
      ['--version', this.version],
      ['--description', this.description],
    ] as const) {
      if (text !== undefined && visible(text) !== text)
        throw new PsyblobError('usage', `${option} has a control or invisible character in it`, {
          hint: 'write it in one line of plain text',
        })
    }
    const named = product === undefined ? undefined : parseName(product, 'product')
    if ((this.hints?.length ?? 0) > limits.remotes)
      throw new PsyblobError('usage', `at most ${limits.remotes} --mirror`, { hint: 'leave some out' })
    const remote = openWriter(this.remote)
    const keys: SecretKey[] = []
    for (const file of this.keys) keys.push(await readSecretKey(file, { context: this.context, file: this.passwordFile }))
    const now = this.context.clock()
    if (named === undefined || dir === undefined) {
      const refreshed = await refreshPointer({ remote, keys, channel, now, days })
      this.ui.json(refreshed)
      this.ui.data(`channel ${channel}: version ${refreshed.version}, expires ${refreshed.expires}\n`)
      return
    }
    const published = await publish({
      product: named,
      dir,
      remote,
      keys,
      channel,
      compat: parseName(this.compat ?? defaultCompat(), 'compat'),
      version: this.version,
      description: this.description,
      remotes: this.hints ?? [],
      kind: this.#kind(),
      postExec: this.postExec,
      licenceMap: this.licenceMap,
      sources: this.sources,
      compress: xzCompressor({ report: this.ui.report, signal: this.signal }),
      patches: { count: former, isAsked: this.patches !== undefined, compress: xzStreams({ report: this.ui.report, signal: this.signal }) },
      now,
      days,
      report: this.ui.report,
      signal: this.signal,
    })
    this.ui.json(published)
    const { serial, version, changed, bytes, blobs, patches, expires, tree } = published
    const asTree =
      tree === null
        ? ''
        : ` as a tree of ${countText(tree.files, 'file')}, ${countText(tree.folders, 'folder')} and ${countText(tree.links, 'link')}${tree.unlicensed === 0 || tree.unlicensed === tree.files ? '' : ` (of ${countText(tree.unlicensed, 'file')} neither licence nor source is known)`}`
    if (!changed) {
      this.ui.data(
        `${named} ${serial} (${visible(version)}) has this content already${asTree}: ${bytes.uploaded === 0 ? 'nothing changed' : `${countText(blobs.uploaded, 'missing blob')} put back`}\n`,
      )
      this.ui.say(`the pointer expires ${expires}; psyblob publish --refresh signs it again`)
      const lacking = patches.lacking ?? 0
      if (lacking > 0)
        this.ui.say(
          `${countText(lacking, 'image')} of it ${lacking === 1 ? 'has' : 'have'} no patches: they are made with the next release that differs`,
        )
    } else
      this.ui.data(
        `${named} ${serial} (${visible(version)}) published to ${channel}${asTree}: ${countText(blobs.uploaded, 'new blob')} of ${blobs.total}, ${bytesText(bytes.uploaded)} written${patches.made === 0 ? '' : `, ${countText(patches.made, 'patch', 'patches')} of ${bytesText(patches.bytes)} among them`}, expires ${expires}\n`,
      )
    if (tree !== null && this.patches !== undefined && former > 0) this.ui.say(`no patches were made: ${noneOfTrees}`)
  }

  /** From how many releases before patches are made. Throws `usage` where that says nothing. */
  #patches(): number {
    if (this.patches !== undefined && this.isWithoutPatches)
      throw new PsyblobError('usage', '--patches and --no-patches say opposite things', { hint: 'leave one of them out' })
    if (this.isRefresh && (this.patches !== undefined || this.isWithoutPatches))
      throw new PsyblobError('usage', 'publish --refresh only signs the pointer again: it makes no patches, whatever is said of them', {
        hint: 'leave out --patches and --no-patches',
      })
    const count = this.isWithoutPatches ? 0 : wholeNumber('--patches', this.patches ?? '1', { least: 0, most: limits.patch.ofBlob })
    if (this.patches !== undefined && count > 0 && this.#kind() === 'tree')
      throw new PsyblobError('usage', `--patches is for images: ${noneOfTrees}`, { hint: 'leave out --patches' })
    return count
  }

  #kind(): 'tree' | 'slots' | undefined {
    const isAsked = this.postExec !== undefined || this.licenceMap !== undefined || this.sources !== undefined
    if (this.tree === false && isAsked)
      throw new PsyblobError('usage', '--post-exec, --licence-map and --sources are for trees, and --no-tree says that it is none', {
        hint: 'leave one of them out',
      })
    if (this.tree === false) return 'slots'
    return this.tree === true || isAsked ? 'tree' : undefined
  }
}
