// A slot that is a plain folder: containers, tests, a partition that something else has mounted.
import { stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { PsyblobError, visible } from '../../core/mod.ts'
import { makeFolder } from '../../store/mod.ts'
import { loopInside, slotInUse } from '../loop-list.ts'
import { numberText } from '../mount-list.ts'
import type { Run } from '../run.ts'
import type { Slot, SlotName } from '../slot.ts'

export function folderSlot(name: SlotName, path: string, run: Run): Slot {
  const dir = resolve(path)

  /** A folder where a file system of its own is mounted may be what a system runs from. */
  const refuseInUse = async () => {
    const [own, above] = await Promise.all([stat(dir), stat(dirname(dir))])
    const loop = own.dev === above.dev ? undefined : await loopInside(numberText(own.dev), run)
    if (loop !== undefined) throw slotInUse(name, dir, loop)
  }

  return {
    name,
    label: dir,
    async open({ write }) {
      const there = await stat(dir).catch(() => undefined)
      if (there !== undefined && !there.isDirectory())
        throw new PsyblobError('usage', `slot ${name}: ${visible(dir)} is no folder`, { hint: 'name a folder, or a block device' })
      if (there === undefined) {
        if (!write) throw new PsyblobError('not-found', `slot ${name}: no folder ${visible(dir)}`, { hint: 'psyblob sync makes it' })
        await makeFolder(dir)
      }
      if (write) await refuseInUse()
      return { dir, close: async () => undefined }
    },
  }
}
