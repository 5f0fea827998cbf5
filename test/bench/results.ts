// What a run of the benchmark found out, as it lies in the work folder.
import type { Machine } from './machine.ts'
import type { Delta } from './ostree.ts'
import type { Figures } from './race.ts'

export type Packing = 'default' | 'no-fragments'
export type UpdateName = 'month' | 'small'

export type Update = {
  readonly packing: Packing
  readonly update: UpdateName
  /** Bytes of the new image. */
  readonly size: number
  readonly rows: readonly Figures[]
  /** Undefined when nobody asked for a patch, or none could be made. */
  readonly making?: Making
}

/** A release published with patches from the one before: seconds and memory of all of it, bytes and number of the patches. */
export type Making = { readonly seconds: number; readonly memory: number; readonly bytes: number; readonly count: number }

export type Growth = {
  readonly size: number
  readonly publish: Figures
  readonly sync: Figures
  readonly verify: Figures
  readonly b3sum: Figures
}

/** The link as asked for (milliseconds, bits a second) and as curl found it: one handshake, one file of 20 MB. */
export type LinkFound = {
  readonly roundTrip: number
  readonly rate: number
  readonly by: 'netem' | 'tun'
  readonly measured: { readonly roundTrip: number; readonly rate: number }
}

/** Seconds for roots that were slept through, and for all signatures of a sync: of a process that has just begun, and once more. */
export type Trust = {
  readonly roots: { readonly count: number; readonly seconds: number }
  readonly signatures: { readonly seconds: number; readonly again: number }
}

/** System files: the first release published and installed, the second over it; and what is done again and again. */
export type Trees = Readonly<Record<'publish' | 'apply' | 'update' | 'idle' | 'coldCheck' | 'coldB3sum' | 'check' | 'b3sum', Figures>>

/** How a whole release, of several files, came by patches. */
export type Release = {
  readonly making?: Making
  readonly files: readonly {
    readonly path: string
    readonly size: number
    readonly how: string
    /** As it came, and as it would have come by chunks. */
    readonly bytes: number
    readonly chunks: number
  }[]
  /** By the plan, signed documents and indexes included. */
  readonly bytes: number
  readonly sync: Figures
}

/** What `--prefer time` chose over a link, and what each way takes. Seconds as the plan reckoned them, where it did. */
export type Choice = {
  readonly link: LinkFound
  readonly updates: readonly {
    readonly update: UpdateName
    readonly ways: readonly { readonly how: string; readonly seconds: number; readonly reckoned?: number }[]
    readonly chosen: string
    /** The sync that chose, the weighing included. */
    readonly seconds: number
  }[]
}

/** Of `--patches`, which measures them apart from the rest. */
export type Patches = {
  readonly date: string
  readonly machine: Machine
  readonly runs: number
  readonly updates?: readonly Update[]
  readonly deltas?: Readonly<Record<string, Delta>>
  readonly release?: Release
  /** By the link as it is written. */
  readonly choice?: Readonly<Record<string, Choice>>
}

export type Results = {
  readonly date: string
  readonly machine: Machine
  readonly runs: number
  readonly link?: LinkFound
  readonly updates: readonly Update[]
  /** `sync` of a machine that has the newest release. */
  readonly idle: Figures
  readonly deltas?: Readonly<Record<string, Delta>>
  readonly publish?: { readonly size: number; readonly rows: readonly Figures[] }
  readonly start?: { readonly psyblob: Figures; readonly node: Figures }
  readonly growth?: readonly Growth[]
  readonly trust?: Trust
  /** A real Debian, and as many entries as a release may have. */
  readonly trees?: { readonly real: Trees; readonly large: Trees }
}

export function rowOf(rows: readonly Figures[], tool: string): Figures | undefined {
  return rows.find((row) => row.tool === tool)
}

/** The rows of tools that do what psyblob does on any file, so neither OSTree (trees) nor a plain download. */
export function peersOf(rows: readonly Figures[]): readonly Figures[] {
  return rows.filter(({ tool }) => /^(casync|zsync|zchunk)/.test(tool))
}
