// What the commands have that change the draft of a root: the file, the role, and what is said afterwards.
import { Option } from 'clipanion'
import { parseRoleName, type RoleName, type Root, type RootContent, visible } from '../core/mod.ts'
import { readDraft, writeDraft } from '../store/mod.ts'
import { BaseCommand } from './command.ts'
import { rootLines } from './root-text.ts'

export abstract class RootCommand extends BaseCommand {
  file = Option.String({ name: 'FILE' })

  abstract change(root: Root): RootContent | Promise<RootContent>

  async work(): Promise<void> {
    await this.write(await this.change(await readDraft(this.file)))
  }

  async write(content: RootContent): Promise<void> {
    const wasSigned = await writeDraft(this.file, content)
    const root = await readDraft(this.file)
    this.ui.json({ file: this.file, root: rootJson(root) })
    this.ui.data(`${visible(this.file)}: root ${root.version} of ${root.repo}\n`)
    this.ui.table(rootLines(root))
    if (wasSigned) this.ui.say('its signatures were of what it said before, and are gone')
  }
}

export abstract class RoleCommand extends RootCommand {
  role = Option.String('--role', { required: true, description: 'root, release, release/PRODUCT, pointer or pointer/CHANNEL' })

  get roleName(): RoleName {
    return parseRoleName(this.role)
  }
}

/** As it is signed. */
export function rootJson(root: Root): unknown {
  const plain = ({ threshold, keys }: Root['roles']['root']) => ({ threshold, keys: keys.map(({ text }) => text) })
  const all = (roles: Root['roles']['release']) => Object.fromEntries(Object.entries(roles).map(([name, role]) => [name, plain(role)]))
  const { roles } = root
  return { ...root, roles: { root: plain(roles.root), release: all(roles.release), pointer: all(roles.pointer) } }
}
