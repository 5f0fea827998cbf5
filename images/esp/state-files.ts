// The few small files on the EFI partition that say what boots, wherever that partition is. Never truncated, renamed or resized.

export interface StateFiles {
  /** For people. */
  readonly label: string
  /** The bytes of a file named like `state1/select`; undefined when there is none. */
  read(name: string): Promise<Uint8Array | undefined>
  /** Makes the file, or replaces one of the wrong length. Not atomic: only for files that are of no use as they are. */
  create(name: string, bytes: Uint8Array): Promise<void>
  /** Writes the first 512 of `bytes` over the first sector of a file that is there: one write, flushed. */
  writeSector(name: string, bytes: Uint8Array): Promise<void>
}
