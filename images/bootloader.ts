// What psyblob knows of a boot loader: which slot is tried first, which are known to boot, how many tries are used (spec/boot-state.md).
import type { SlotName } from './slot.ts'

export type BootOrder = readonly [SlotName, SlotName]

export type BootState = {
  /** Goes up by one with every write; undefined when neither copy could be read. */
  readonly seq: number | undefined
  /** First to try first. */
  readonly order: BootOrder
  /** Slots that booted well since they were last written. */
  readonly good: readonly SlotName[]
  /** Tries the boot loader has used for this `seq`: 0 to 3; undefined when its file cannot be read. */
  readonly tries: number | undefined
  /** How the two copies were found. */
  readonly copies: readonly [CopyState, CopyState]
}

export type CopyState = 'valid' | 'absent' | 'damaged'

export interface Bootloader {
  readonly name: string
  /**
   * Makes the state files that are absent or damaged, so that `write` never has to create, resize or rename anything. When both copies are
   * lost, the slot that runs (`first`) stands first: it is the one that is known to boot.
   */
  prepare(first?: SlotName): Promise<void>
  /** Never throws for damaged state: that is told in `copies`. */
  read(): Promise<BootState>
  /** One atomic step to a new state, `seq` one higher; reads it back. Throws `corrupt` when it did not stick. */
  write(next: { readonly order: BootOrder; readonly good: readonly SlotName[] }): Promise<BootState>
}
