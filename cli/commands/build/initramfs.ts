// psyblob build initramfs
import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { Command, Option } from 'clipanion'
import { initramfs, readRecipe } from '../../../images/mod.ts'
import { BuildCommand } from '../../build-command.ts'

export class BuildInitramfs extends BuildCommand {
  static override paths = [['build', 'initramfs']]
  static override usage = Command.Usage({
    category: 'Publisher',
    description: 'Make the initramfs that finds the slot and starts the system in it',
    details:
      'A static busybox of this machine, the modules that disks, file systems and watchdogs need, those that the recipe names, and psyblob’s init (spec/initramfs.md). A module that the recipe names and the kernel does not have is an error.',
    examples: [
      [
        'With the modules of a kernel',
        '$0 build initramfs --recipe spec/recipes/debian.yaml --modules build/kernel/modules --out build/initramfs',
      ],
    ],
  })

  recipe = Option.String('--recipe', { required: true, description: 'Recipe file' })
  modules = Option.String('--modules', { required: true, description: 'Folder with lib/modules/VERSION, as build kernel leaves it' })
  out = Option.String('--out', { required: true, description: 'File; an earlier one is replaced' })

  async work(): Promise<void> {
    const recipe = await readRecipe(this.recipe)
    await this.built(this.out, {
      programs: ['busybox'],
      build: async (context) => {
        const made = join(context.work, 'initramfs')
        const artifact = await initramfs(recipe, { out: made, modules: this.modules }, context)
        await rename(made, this.out)
        return [{ ...artifact, path: this.out }]
      },
    })
  }
}
