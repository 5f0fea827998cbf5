// A slot: one of the two places a release can be installed to, whatever it is made of. Parts: slots/.

export const slotNames = ['a', 'b'] as const
export type SlotName = (typeof slotNames)[number]

export function otherSlot(slot: SlotName): SlotName {
  return slot === 'a' ? 'b' : 'a'
}

/** A slot whose files can be reached. `close` puts everything back as it was and may be called twice. */
export interface OpenSlot {
  /** Absolute path of the folder that holds the slot's files. */
  readonly dir: string
  close(): Promise<void>
}

export interface Slot {
  readonly name: SlotName
  /** For people, e.g. `/dev/sda3 (psyopsOS-A)`. Not yet safe to print. */
  readonly label: string
  /**
   * Mounts what has to be mounted. Errors: `not-found` (no such folder, device or label), `command-failed` (mount said no),
   * `unsupported` (a file system that is not there to be mounted), `locked` (somebody else has it mounted for writing).
   */
  open(options: { readonly write: boolean }): Promise<OpenSlot>
}
