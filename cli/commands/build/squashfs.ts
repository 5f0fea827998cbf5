// psyblob build squashfs
import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { Command, Option } from 'clipanion'
import { defaultSquashfs, readRecipe, squashfs, squashfsPrograms } from '../../../images/mod.ts'
import { BuildCommand } from '../../build-command.ts'

export class BuildSquashfs extends BuildCommand {
  static override paths = [['build', 'squashfs']]
  static override usage = Command.Usage({
    category: 'Publisher',
    description: 'Make a squashfs of a tar file or a folder',
    details:
      'The same bytes wherever and whenever it is made. Without a recipe: zstd of level 15 in blocks of 128 KiB without fragments, which makes small updates.',
    examples: [
      ['Of a root file system', '$0 build squashfs root.tar build/os/squashfs'],
      ['With what a recipe says of it', '$0 build squashfs root.tar build/os/squashfs --recipe os.yaml'],
    ],
  })

  input = Option.String({ name: 'INPUT' })
  out = Option.String({ name: 'OUT' })
  recipe = Option.String('--recipe', { description: 'Recipe file: squashfs and exclude count' })

  async work(): Promise<void> {
    const recipe = this.recipe === undefined ? undefined : await readRecipe(this.recipe)
    await this.built(this.out, {
      programs: squashfsPrograms,
      build: async (context) => {
        const out = join(context.work, 'out')
        const options = { ...(recipe?.squashfs ?? defaultSquashfs), exclude: recipe?.exclude ?? [], name: 'squashfs', out }
        const artifact = await squashfs(this.input, options, context)
        await rename(out, this.out)
        return [{ ...artifact, path: this.out }]
      },
    })
  }
}
