// Which bytes of a blob to ask for: chunks that are missing, joined to runs, one run a request (spec/sync.md 3).
import type { ChunkIndex } from './chunk-index.ts'

/** Chunks `first` to `last`, both included: one range request. */
export type Run = { readonly first: number; readonly last: number }

/** A run is cut after this many bytes, so that a cut connection loses little and several connections share the work. */
const runLength = 8 * 1024 * 1024

export type RunOptions = {
  /** Bytes between two missing chunks that are read over rather than asked for apart. */
  readonly gap: number
  /** A run is not longer, unless one chunk is. */
  readonly length?: number
}

/** Joins the missing chunks. `missing(chunk)` is asked once a chunk, in order. */
export function joinRuns(
  index: ChunkIndex,
  missing: (chunk: number) => boolean,
  { gap, length: most = runLength }: RunOptions,
): readonly Run[] {
  const runs: Run[] = []
  let first = -1
  let last = -1
  const endOf = (chunk: number) => index.offset(chunk) + index.length(chunk)
  for (let chunk = 0; chunk < index.count; chunk++) {
    if (!missing(chunk)) continue
    if (first >= 0 && (index.offset(chunk) - endOf(last) > gap || endOf(chunk) - index.offset(first) > most)) {
      runs.push({ first, last })
      first = -1
    }
    if (first < 0) first = chunk
    last = chunk
  }
  if (first >= 0) runs.push({ first, last })
  return runs
}

/** Bytes that a run asks for. */
export function runBytes(index: ChunkIndex, run: Run): number {
  return index.offset(run.last) + index.length(run.last) - index.offset(run.first)
}
