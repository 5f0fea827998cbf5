// What all builders share: what they are given, what they leave. Two builds of equal inputs give equal bytes.
import type { Report } from '../../core/mod.ts'
import type { Run } from '../run.ts'

/** A file that a build left. */
export type Artifact = {
  /** As the release calls it: `kernel`, `initramfs`, `squashfs`, `disk`. */
  readonly name: string
  readonly path: string
  /** Bytes. */
  readonly size: number
}

export type BuildContext = {
  readonly run: Run
  readonly report: Report
  /** Seconds since 1970 that stand wherever a time is written: SOURCE_DATE_EPOCH, else 0. */
  readonly epoch: number
  /** A folder for what is needed on the way; whoever made it removes it. */
  readonly work: string
  /** A folder for what the next build may use again. */
  readonly cache: string
  readonly signal?: AbortSignal | undefined
}

/** A file, folder or link of a root file system, above what the distribution put there. */
export type RootEntry = {
  /** Absolute, e.g. `/usr/bin/psyblob`. */
  readonly path: string
  /** Permissions, e.g. 0o644; of links 0o777. */
  readonly mode: number
  readonly content: { readonly bytes: Uint8Array } | { readonly file: string } | { readonly link: string } | 'folder'
}
