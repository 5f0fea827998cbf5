// psyblob build disk
import { resolve } from 'node:path'
import { Command, Option } from 'clipanion'
import { PsyblobError, visible } from '../../../core/mod.ts'
import { buildDisk, diskPrograms, mebibyte } from '../../../images/mod.ts'
import { choice } from '../../command.ts'
import { ImageCommand } from '../../image-command.ts'
import { bytesText } from '../../ui/sizes.ts'

export class BuildDisk extends ImageCommand {
  static override paths = [['build', 'disk']]
  static override usage = Command.Usage({
    category: 'Publisher',
    description: 'Make a disk image that boots, filled from signed releases of an OS and a boot loader',
    details:
      'Fetches and verifies as a node does, then fills four partitions as psyopsOS has them and one for the store. Nothing is mounted, and root is not needed. Equal releases give equal bytes, identifiers too; --unique or a --seed of its own tells two disks in one machine apart. The image is sparse: cp --sparse=always keeps it so. Sizes are written as 64M or 4G.',
    examples: [
      ['From a repository', '$0 build disk disk.img --remote ./repo --key os.pub'],
      ['With what is one node’s alone', '$0 build disk node1.img --remote ./repo --key os.pub --secret-tarball node1.tar --seed node1'],
      ['Without network', '$0 build disk disk.img --path /mnt/stick --key os.pub'],
      ['Onto a stick', 'cp disk.img /dev/sdX; sync'],
    ],
  })

  slots = Option.String('--slots', 'a', { description: 'Fill slot a, or both' })
  size = Option.String('--size', { description: 'Of the whole image; as much as it takes unless said' })
  slotSize = Option.String('--slot-size', { description: 'Of each slot; two releases and some air unless said' })
  dataSize = Option.String('--data-size', '64M', { description: 'Of the partition for the store (64M); 0 for none' })
  secretTarball = Option.String('--secret-tarball', { description: 'What psyops-secret holds: a tar file, also compressed' })
  secretDir = Option.String('--secret', { description: 'What psyops-secret holds: a folder' })
  seed = Option.String('--seed', { description: 'A text that makes identifiers others, e.g. a name of the node' })
  isUnique = Option.Boolean('--unique', false, { description: 'Random identifiers, which no other disk has' })

  async work(): Promise<void> {
    if (this.secretTarball !== undefined && this.secretDir !== undefined)
      throw new PsyblobError('usage', '--secret-tarball and --secret exclude each other', { hint: 'give one of them' })
    if (this.isUnique && this.seed !== undefined)
      throw new PsyblobError('usage', '--unique and --seed exclude each other', { hint: 'give one of them' })
    const options = {
      out: this.out,
      slots: choice('--slots', this.slots, ['a', 'both']),
      secret: this.#secret(),
      size: this.size === undefined ? undefined : sizeOf('--size', this.size),
      slotSize: this.slotSize === undefined ? undefined : sizeOf('--slot-size', this.slotSize),
      dataSize: sizeOf('--data-size', this.dataSize),
      identity: this.isUnique ? ('unique' as const) : { seed: this.seed ?? '' },
    }
    if (options.dataSize > 0 && options.dataSize < 8 * mebibyte)
      throw new PsyblobError('usage', '--data-size is 0 or at least 8M', { hint: 'an ext4 file system with a journal takes that' })
    const programs = [...diskPrograms, ...(this.secretTarball === undefined ? [] : ['tar'])]
    const { layout, os, efisys } = await this.built(programs, (sources, context) => buildDisk({ ...options, ...sources }, context))
    const release = ({ product, serial, version }: typeof os) => ({ product, serial, version })
    const { size, guid, partitions } = layout
    this.ui.json({ out: this.out, size, os: release(os), efisys: release(efisys), guid, partitions })
    this.ui.table([
      ['', 'partition', 'MiB', 'at MiB', 'holds'],
      ...partitions.map(({ number, name, size, offset }) => [
        String(number),
        name,
        String(size / mebibyte),
        String(offset / mebibyte),
        this.#holds(name, { os, efisys }),
      ]),
    ])
    this.ui.data(`${visible(this.out)}: ${bytesText(size)}\n`)
  }

  #secret(): { readonly tar: string } | { readonly dir: string } | undefined {
    if (this.secretTarball !== undefined) return { tar: resolve(this.secretTarball) }
    return this.secretDir === undefined ? undefined : { dir: resolve(this.secretDir) }
  }

  #holds(
    partition: string,
    { os, efisys }: Readonly<Record<'os' | 'efisys', { product: string; serial: number; version: string }>>,
  ): string {
    const text = ({ product, serial, version }: typeof os) => `${product} ${serial} (${visible(version)})`
    if (partition === 'PSYOPSOSEFI') return text(efisys)
    if (partition === 'psyopsOS-A' || (partition === 'psyopsOS-B' && this.slots === 'both')) return text(os)
    const secret = this.secretTarball ?? this.secretDir
    return partition === 'psyops-secret' && secret !== undefined ? visible(secret) : 'nothing yet'
  }
}

const units: Readonly<Record<string, number>> = { M: mebibyte, G: 1024 * mebibyte, '': 1 }

/** `64M`, `4G`, or bytes: whole mebibytes. Throws `usage`. */
function sizeOf(option: string, text: string): number {
  const [, digits = '', unit = ''] = /^(\d{1,15})([MG]?)$/.exec(text) ?? []
  const size = Number(digits) * (units[unit] ?? 1)
  if (digits !== '' && Number.isSafeInteger(size) && size % mebibyte === 0) return size
  throw new PsyblobError('usage', `${option} is a size such as 512M or 4G, in whole MiB; got ${text}`, {
    hint: 'psyblob build disk --help lists the options',
  })
}
