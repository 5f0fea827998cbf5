// The files of an EFI partition, wherever it is: in a folder, or on a device or in an image that nobody has mounted.

import { PsyblobError, visible } from '../../core/mod.ts'

/** No file of an EFI partition is read that is longer, unless somebody says so: it goes through memory. */
export const mostBytes = 512 * 1024 * 1024

export function tooLong(what: string, size: number, limit: number): PsyblobError {
  return new PsyblobError('malformed', `${visible(what)} has ${size} bytes, allowed are ${limit}`, {
    hint: 'it is not what psyblob wrote there: move it away',
  })
}

export type EfiFile = { /** Segments with `/` between them, none before the first. */ readonly path: string; readonly size: number }

/** Names are the same whatever their case. */
export interface EfiFiles {
  /** For people. */
  readonly label: string
  list(): Promise<readonly EfiFile[]>
  /** Undefined when there is no such file. `fresh`: from the disk itself, as far as the system allows. Throws `malformed` for one that is longer than `limit`. */
  read(path: string, options?: { readonly fresh?: boolean; readonly limit?: number }): Promise<Uint8Array | undefined>
  /** Makes the file and the folders above it, or replaces it, durably: a power cut leaves the old one or the new one. `beside`: the file next to which its name is best put. */
  write(path: string, bytes: Uint8Array, options?: { readonly beside?: string }): Promise<void>
  /** Nothing happens when there is no such file. A folder that is empty then goes as well. */
  remove(path: string): Promise<void>
  /** Gives a file another path; what lies there is replaced. A power cut may lose `from`, never what lies at `to`. Throws `not-found`. */
  move(from: string, to: string): Promise<void>
  /** What is free, and what files are a multiple of. */
  room(): Promise<{ readonly free: number; readonly cluster: number }>
  /** Takes back what a power cut left taken by nobody. Throws `corrupt` when files share bytes or a folder makes no sense. */
  mend(): Promise<void>
}

/** What no power cut may split. */
export interface LoaderSwitch {
  /** Three names in one folder: `current` has the bytes of `next` from one moment to the next, and the ones it had are called `former`, unless the power went right then. */
  promote(names: LoaderNames): Promise<void>
}

export type LoaderNames = { readonly current: string; readonly next: string; readonly former: string }
