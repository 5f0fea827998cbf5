// psyblob build efisys
import { Command, Option } from 'clipanion'
import { buildEfisys, defaultEfisys, efisysPrograms, readRecipe } from '../../../images/mod.ts'
import { BuildCommand } from '../../build-command.ts'
import { wholeNumber } from '../../command.ts'

export class BuildEfisys extends BuildCommand {
  static override paths = [['build', 'efisys']]
  static override usage = Command.Usage({
    category: 'Publisher',
    description: 'Make a release folder for the EFI partition: GRUB with the A/B script built in',
    details:
      'A recipe may say how long the menu stays, what the kernel is told, and which extra EFI programs there are (spec/recipe.md, efisys); flags go before it. Equal inputs give equal bytes.',
    examples: [
      ['The plain one', '$0 build efisys --out build/efisys'],
      ['As a recipe says', '$0 build efisys --recipe spec/recipes/debian.yaml --out build/efisys'],
    ],
  })

  recipe = Option.String('--recipe', { description: 'Recipe file' })
  out = Option.String('--out', { required: true, description: 'Release folder; an earlier one is replaced' })
  wait = Option.String('--menu', { description: 'Seconds that the menu stays' })
  serial = Option.String('--serial', { description: 'Speed of the first serial port; 0 for none' })
  commandLine = Option.String('--command-line', { description: 'Words for the command line of the kernel' })

  async work(): Promise<void> {
    const recipe = this.recipe === undefined ? undefined : await readRecipe(this.recipe)
    const options = recipe?.efisys ?? defaultEfisys
    await this.built(this.out, {
      programs: efisysPrograms,
      build: (context) =>
        buildEfisys(
          {
            out: this.out,
            architecture: recipe?.architecture ?? (process.arch === 'arm64' ? 'aarch64' : 'x86_64'),
            dir: recipe?.dir ?? '.',
            options: {
              ...options,
              ...(this.wait === undefined ? {} : { timeout: wholeNumber('--menu', this.wait, { least: 0, most: 3600 }) }),
              ...(this.serial === undefined ? {} : { serial: wholeNumber('--serial', this.serial, { least: 0, most: 4_000_000 }) }),
              ...(this.commandLine === undefined ? {} : { commandLine: this.commandLine }),
            },
          },
          context,
        ),
    })
  }
}
