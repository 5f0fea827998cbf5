// A slot that is an ext4 file system on a block device, or on a partition inside an image file. Mounted when needed, put back as it was.

import { attachLoop } from '../loop.ts'
import { loopInside, slotInUse } from '../loop-list.ts'
import { deviceNumber } from '../mount-list.ts'
import type { MountedPlace } from '../mounts.ts'
import { mountPlace } from '../mounts.ts'
import type { Run } from '../run.ts'
import type { Slot, SlotName } from '../slot.ts'

/** Where the file system is. */
export type DevicePlace =
  | { readonly device: () => Promise<string> }
  | { readonly image: string; readonly number: number; readonly offset: number; readonly size: number }

export type DeviceSlot = Slot & { /** Unmounts. */ close(): Promise<void> }

/** The file system stays mounted until `close` of the slot itself: a command looks into it several times. */
export function deviceSlot(options: {
  readonly name: SlotName
  readonly label: string
  readonly place: DevicePlace
  readonly run: Run
}): DeviceSlot {
  const { name, label, place, run } = options
  let mounted: Promise<MountedPlace> | undefined

  let device = ''
  const mount = async (write: boolean): Promise<MountedPlace> => {
    if ('device' in place) {
      device = await place.device()
      return mountPlace({ device, label, type: 'ext4', write, run })
    }
    const loop = await attachLoop({ ...place, run })
    device = loop.device
    try {
      return await mountPlace({ device, label, type: 'ext4', write, run })
    } finally {
      await loop.letGo()
    }
  }

  /** A system that runs from this slot shows its squashfs through a loop device: whatever we were told, that slot is never written. */
  const refuseInUse = async () => {
    const number = await deviceNumber(device)
    const loop = number === undefined ? undefined : await loopInside(number, run)
    if (loop !== undefined) throw slotInUse(name, label, loop)
  }

  return {
    name,
    label,
    async open({ write }) {
      mounted ??= mount(false)
      const { dir, makeWritable } = await mounted.catch((error: unknown) => {
        mounted = undefined
        throw error
      })
      if (write) {
        await refuseInUse()
        await makeWritable()
      }
      return { dir, close: async () => undefined }
    },
    async close() {
      const open = mounted
      mounted = undefined
      await (await open?.catch(() => undefined))?.close()
    },
  }
}
