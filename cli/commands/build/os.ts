// psyblob build os
import { Command, Option } from 'clipanion'
import { buildOs, osPrograms, programEntries, readRecipe } from '../../../images/mod.ts'
import { BuildCommand } from '../../build-command.ts'

export class BuildOs extends BuildCommand {
  static override paths = [['build', 'os']]
  static override usage = Command.Usage({
    category: 'Publisher',
    description: 'Make a release folder from a recipe: kernel, initramfs, squashfs and modloop',
    details:
      'The recipe is one YAML file; spec/recipe.md explains every key and spec/recipes has examples. Equal inputs give equal bytes. Packages are installed anew only when the recipe or the repositories have changed. OUT appears when all of it is done.',
    examples: [
      ['From the example', '$0 build os --recipe spec/recipes/debian.yaml --out build/os'],
      ['Then publish it', '$0 publish os build/os --remote ./repo --key os.key'],
    ],
  })

  recipe = Option.String('--recipe', { required: true, description: 'Recipe file' })
  out = Option.String('--out', { required: true, description: 'Release folder; an earlier one is replaced' })

  async work(): Promise<void> {
    const recipe = await readRecipe(this.recipe)
    await this.built(this.out, {
      programs: osPrograms(recipe),
      build: async (context) => buildOs(recipe, { out: this.out, entries: await programEntries(recipe, context) }, context),
    })
  }
}
