// What the commands have that fill an image from signed releases: which products, from where, made where.
import { resolve } from 'node:path'
import { Option } from 'clipanion'
import { type Component, PsyblobError, visible } from '../core/mod.ts'
import { type BuildContext, checkOutFile, openRun, requirePrograms, type SourceOptions, workBeside } from '../images/mod.ts'
import { sourceDateEpoch } from './build-command.ts'
import { TrustCommand } from './trust-command.ts'

export type Sources = {
  readonly os: Component
  readonly efisys: Component
  readonly source: SourceOptions
  readonly version: string | undefined
}

export abstract class ImageCommand extends TrustCommand {
  out = Option.String({ name: 'OUT', required: true })
  os = Option.String('--os', 'os', { description: 'Product that boots (os)' })
  efisys = Option.String('--efisys', 'efisys', { description: 'Product with the boot loader (efisys)' })
  version = Option.String('--version', { description: 'Serial or version label of the OS; the newest unless named' })
  folders = Option.Array('--path', { description: 'Folder made by psyblob download, instead of the remotes; several times if need be' })

  /** Runs `build` once `programs` are known to be there, with a place to work beside OUT. */
  async built<Result>(programs: readonly string[], build: (sources: Sources, context: BuildContext) => Promise<Result>): Promise<Result> {
    const epoch = sourceDateEpoch(this.context.env['SOURCE_DATE_EPOCH'])
    if (this.folders !== undefined && this.remotes !== undefined)
      throw new PsyblobError('usage', '--remote and --path exclude each other', { hint: 'give one of them' })
    const components = await this.components([this.os, this.efisys])
    const [os, efisys] = [this.os, this.efisys].map((name) => this.#source(components, name)) as [Component, Component]
    await requirePrograms(programs)
    await checkOutFile(this.out)
    const { report } = this.ui
    const run = openRun(report)
    const { signal, stallSeconds, ipfsGateway } = this
    const source = { run, report, signal, clock: this.context.clock, stallSeconds, ipfsGateway }
    return workBeside(this.out, (work) =>
      build({ os, efisys, source, version: this.version }, { run, report, epoch, work, cache: work, signal }),
    )
  }

  #source(components: readonly Component[], name: string): Component {
    const found = components.find((component) => component.name === name)
    if (found === undefined)
      throw new PsyblobError('not-found', `no product ${visible(name)} in the composition`, {
        hint: `it has: ${components.map((component) => component.name).join(', ')}. Add a line for it, or give --key and --remote`,
      })
    const uris = this.folders?.map((folder) => resolve(folder)) ?? found.uris
    if (uris.length === 0)
      throw new PsyblobError('usage', `nothing says where ${visible(name)} is`, { hint: 'give --remote ADDRESS, or --path FOLDER' })
    return { ...found, uris }
  }
}
