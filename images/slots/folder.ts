// A slot that is a plain folder: containers, tests, a partition that something else has mounted.
import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { PsyblobError, visible } from '../../core/mod.ts'
import { makeFolder } from '../../store/mod.ts'
import type { Slot, SlotName } from '../slot.ts'

export function folderSlot(name: SlotName, path: string): Slot {
  const dir = resolve(path)
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
      return { dir, close: async () => undefined }
    },
  }
}
