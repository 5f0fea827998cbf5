// psyblob build rootfs
import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { Command, Option } from 'clipanion'
import { programEntries, readRecipe, rootfs, rootfsPrograms } from '../../../images/mod.ts'
import { BuildCommand } from '../../build-command.ts'

export class BuildRootfs extends BuildCommand {
  static override paths = [['build', 'rootfs']]
  static override usage = Command.Usage({
    category: 'Publisher',
    description: 'Make the root file system of a recipe as a tar file',
    details:
      'Debian by mmdebstrap, Alpine by apk, or from a tar file or folder that something else made. Entries are sorted, times are SOURCE_DATE_EPOCH or 1970, and what says something about the building machine is left out.',
    examples: [['From the example', '$0 build rootfs --recipe spec/recipes/debian.yaml --out root.tar']],
  })

  recipe = Option.String('--recipe', { required: true, description: 'Recipe file' })
  out = Option.String('--out', { required: true, description: 'Tar file; an earlier one is replaced' })

  async work(): Promise<void> {
    const recipe = await readRecipe(this.recipe)
    await this.built(this.out, {
      programs: rootfsPrograms(recipe),
      build: async (context) => {
        const made = join(context.work, 'out.tar')
        const artifact = await rootfs(recipe, { out: made, entries: await programEntries(recipe, context) }, context)
        await rename(made, this.out)
        return [{ ...artifact, path: this.out }]
      },
    })
  }
}
