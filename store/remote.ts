// The seam between psyblob and the places a repository can lie: what every remote can do, and what a publisher needs besides.
import type { Bytes, CID, DocumentName } from '../core/mod.ts'
import type { Lock } from './lock.ts'

/** A run of bytes inside a blob. */
export type Range = { readonly offset: number; readonly length: number }

export type ReadOptions = { readonly signal?: AbortSignal | undefined }

/**
 * A repository that can be read. Nothing it answers is trusted: documents are verified by whoever asked, ranges by their chunks.
 * Errors: `not-found` (a blob this remote does not have), `unavailable` (network, status, stall, short or wrong answers),
 * `unsupported` (it cannot do ranges), `corrupt` (a whole blob whose bytes are not what its CID names), `malformed` (longer than allowed).
 */
export interface Remote {
  /** For people: where it is, without credentials. Not yet safe to print. */
  readonly label: string
  /** A document of at most `limit` bytes; undefined when the remote says that there is none. */
  read(name: DocumentName, options: ReadOptions & { readonly limit: number }): Promise<Uint8Array | undefined>
  /** The whole blob of `size` bytes. Fails instead of ending when the bytes are not what `cid` names. */
  get(cid: CID, options: ReadOptions & { readonly size: number }): Bytes
  /** Exactly `at.length` bytes of the blob that is `size` bytes long; unverified. */
  range(cid: CID, at: Range, options: ReadOptions & { readonly size: number }): Bytes
}

/** A copy of a file in the repository that has no name yet. */
export interface Staged {
  /** Where it can be read: what is hashed here is what is kept. */
  readonly path: string
  /** Makes it the blob `cid`, durably. */
  keep(cid: CID): Promise<void>
  /** Removes it if it was not kept. */
  drop(): Promise<void>
}

/** What a publisher needs besides. A blob is there whole or not at all. */
export interface RemoteWriter extends Remote {
  /** True when the blob is there with that size, and with `hashed` the right bytes. */
  has(cid: CID, size: number, options?: { readonly hashed?: boolean }): Promise<boolean>
  /** Stores a blob that must hash to `cid`: `corrupt` otherwise, and nothing is kept. Storing it twice changes nothing. */
  put(cid: CID, bytes: Bytes): Promise<void>
  /** Those of `blobs` that are not there with that size, and with `hashed` the right bytes. `onBytes` hears of what was looked at. */
  lacking(
    blobs: Iterable<{ readonly cid: CID; readonly size: number }>,
    options: ReadOptions & { readonly hashed: boolean; readonly onBytes: (bytes: number) => void },
  ): Promise<ReadonlySet<CID>>
  /** Stores many small blobs as `put` does, each `bytes` valid until the next is asked for. All are durable when it ends. */
  putMany(blobs: Iterable<{ readonly cid: CID; readonly bytes: Uint8Array }>, options: ReadOptions): Promise<void>
  /** Copies a file of this machine, as cheaply as the file system can, before it is known which blob it is. */
  stage(path: string): Promise<Staged>
  /** Stores a document if what lies there now equals `expected` (undefined: nothing lies there), else `conflict`. */
  replace(name: DocumentName, bytes: Uint8Array, expected: Uint8Array | undefined): Promise<void>
  /** The file that the blob is, for whoever reads all over it and changes nothing. */
  fileOf(cid: CID): string
  /** The names of its channels, in order. */
  channels(): Promise<readonly string[]>
  /** Keeps other publishers of this machine away until it is released. Throws `conflict` when one is at work. */
  hold(): Promise<Lock>
  /** Removes what writers that were cut short left behind. */
  tidy(): Promise<void>
}

/** Where the verified part of a transfer goes. It takes bytes in order and keeps what it could verify. */
export interface RangeSink {
  /** Offset of the first byte that is not yet verified and kept: where the next remote has to go on. */
  readonly position: number
  /** Bytes from `position` plus those taken since on. Throws `corrupt` when they are not what was asked for: the remote is to blame. */
  take(bytes: Uint8Array): Promise<void>
  /** False when bytes before `position` are not verified yet: when they turn out wrong, whoever gave the last ones is not to blame alone. */
  readonly isVerified: boolean
  /** Drops what was taken but not verified since `position`: the next bytes begin there again. */
  reset(): void
  /** Drops everything that is not verified. */
  restart(): void
}
