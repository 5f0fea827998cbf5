// What long work tells whoever watches. cli/ui is the only place that turns it into text.

/** One thing that happened. Texts in it are not yet safe to print: the printer escapes them. */
export type ProgressEvent =
  /** A named step of an operation begins, e.g. `plan`, `write`, `read back`. */
  | { readonly type: 'step'; readonly step: string; readonly about?: string }
  /** How far the current step is, in bytes; `fetched` and `reused` are parts of `done`. */
  | { readonly type: 'bytes'; readonly done: number; readonly total: number; readonly fetched?: number; readonly reused?: number }
  /** Something the user ought to know although the work goes on, e.g. a remote that was dropped. */
  | { readonly type: 'warning'; readonly text: string }
  /** For `-v` and the log: a program that runs, a request that is made. */
  | { readonly type: 'trace'; readonly text: string }

export type Report = (event: ProgressEvent) => void
