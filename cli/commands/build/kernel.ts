// psyblob build kernel
import { Command, Option } from 'clipanion'
import { buildKernel, kernelPrograms, readRecipe } from '../../../images/mod.ts'
import { BuildCommand } from '../../build-command.ts'

export class BuildKernel extends BuildCommand {
  static override paths = [['build', 'kernel']]
  static override usage = Command.Usage({
    category: 'Publisher',
    description: 'Take kernel, System.map, config and modules out of a package or a folder',
    details:
      'The recipe says which: kernel: package: NAME, of the repositories of the recipe, or kernel: dir: FOLDER. Nothing of the package is run. OUT gets kernel, System.map, config, dtbs (where there are any), and modules/lib/modules/VERSION, of which psyblob build initramfs takes what leads to the slot and psyblob build squashfs makes the modloop.',
    examples: [
      ['From the example', '$0 build kernel --recipe spec/recipes/debian.yaml --out build/kernel'],
      ['All modules as one squashfs', '$0 build squashfs build/kernel/modules/lib build/modloop'],
    ],
  })

  recipe = Option.String('--recipe', { required: true, description: 'Recipe file' })
  out = Option.String('--out', { required: true, description: 'Folder; an earlier one is replaced' })

  async work(): Promise<void> {
    const recipe = await readRecipe(this.recipe)
    await this.built(this.out, {
      programs: kernelPrograms(recipe),
      build: (context) => buildKernel(recipe, { out: this.out }, context),
    })
  }
}
