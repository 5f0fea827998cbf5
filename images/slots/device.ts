// A slot that is an ext4 file system on a block device, or on a partition inside an image file. Mounted when needed, put back as it was.

import { attachLoop, detachLoop } from '../loop.ts'
import type { MountedPlace } from '../mounts.ts'
import { mountPlace } from '../mounts.ts'
import type { Run } from '../run.ts'
import type { Slot, SlotName } from '../slot.ts'

/** Where the file system is. */
export type DevicePlace =
  | { readonly device: () => Promise<string> }
  | { readonly image: string; readonly offset: number; readonly size: number }

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

  const mount = async (write: boolean): Promise<MountedPlace> => {
    if ('device' in place) return mountPlace({ device: await place.device(), label, type: 'ext4', write, run })
    const device = await attachLoop({ ...place, run })
    try {
      return await mountPlace({ device, label, type: 'ext4', write, run })
    } finally {
      // from here on the kernel drops the device by itself when it is unmounted
      await detachLoop(device, run)
    }
  }

  return {
    name,
    label,
    async open({ write }) {
      mounted ??= mount(write)
      const { dir, makeWritable } = await mounted.catch((error: unknown) => {
        mounted = undefined
        throw error
      })
      if (write) await makeWritable()
      return { dir, close: async () => undefined }
    },
    async close() {
      const open = mounted
      mounted = undefined
      await (await open?.catch(() => undefined))?.close()
    },
  }
}
