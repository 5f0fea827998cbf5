// Copying what seeds have into a new file: one group of chunks is read while the one before it is checked and written.
import { type FileHandle, open } from 'node:fs/promises'
import type { ChunkIndex } from '../core/mod.ts'
import { blake3 } from './blake3.ts'
import { readFull, writeAll } from './files.ts'
import type { Following } from './following.ts'
import { type ChunkSources, type Seed, sameBytes } from './seeds.ts'
import type { Tally } from './tally.ts'

/** Bytes of a seed that are copied at once; no chunk is longer. */
const groupBytes = 2 * 1024 * 1024

export type SeedCopy = {
  readonly sources: ChunkSources
  readonly file: FileHandle
  readonly tally: Tally
  readonly following: Following
  /** Seeds that became unfinished files, by their former paths. */
  readonly moved: ReadonlyMap<string, string>
  readonly signal: AbortSignal
}

/** Chunks that follow one another in the new file and in one seed. Offsets and lengths in bytes; `first` and `last` are chunks. */
type Group = { readonly first: number; readonly last: number; readonly seed: Seed; readonly offset: number; readonly length: number }

function* groups(sources: ChunkSources): Generator<Group> {
  const { index } = sources
  for (let chunk = 0; chunk < index.count; ) {
    const found = sources.isInPlace(chunk) ? undefined : sources.where(chunk)
    if (found === undefined) {
      chunk++
      continue
    }
    let length = index.length(chunk)
    let next = chunk + 1
    for (; next < index.count && length + index.length(next) <= groupBytes; next++) {
      const more = sources.isInPlace(next) ? undefined : sources.where(next)
      if (more?.seed !== found.seed || more.offset !== found.offset + length) break
      length += index.length(next)
    }
    yield { first: chunk, last: next - 1, seed: found.seed, offset: found.offset, length }
    chunk = next
  }
}

/** A group on its way: its bytes are being read, or checked and being written. */
type Load = { readonly group: Group; readonly bytes: Uint8Array; readonly got: Promise<number> }

/**
 * Copies what seeds have; one group is read while the one before it is checked and written. A chunk that is not what it was said to be
 * counts as missing from then on.
 */
export async function copyChunks({ sources, file, tally, following, moved, signal }: SeedCopy): Promise<void> {
  const opened = new Map<Seed, FileHandle | undefined>()
  const buffers = [0, 1, 2].map(() => Buffer.allocUnsafeSlow(groupBytes))
  let turn = 0
  const load = async (group: Group): Promise<Load> => {
    const { path } = group.seed
    if (!opened.has(group.seed)) opened.set(group.seed, await open(moved.get(path) ?? path, 'r').catch(() => undefined))
    const seed = opened.get(group.seed)
    const bytes = (buffers[turn++ % buffers.length] as Buffer).subarray(0, group.length)
    // a seed that is gone or unreadable has nothing
    const got = seed === undefined ? Promise.resolve(0) : readFull(seed, bytes, group.offset).catch(() => 0)
    return { group, bytes, got }
  }
  let writing: Promise<void> = Promise.resolve()
  try {
    const all = groups(sources)
    let next = all.next()
    let ahead = next.done === true ? undefined : await load(next.value)
    while (ahead !== undefined) {
      const { group, bytes, got } = ahead
      signal.throwIfAborted()
      const read = await got
      next = all.next()
      ahead = next.done === true ? undefined : await load(next.value)
      const lost = wrongChunks(sources.index, group, bytes, read)
      // three buffers: one is read into, one is checked, one is written
      await writing
      writing = place(group, bytes, lost)
      // whoever awaits it later sees the failure; until then it is nobody's
      writing.catch(() => undefined)
    }
    await writing
  } finally {
    await writing.catch(() => undefined)
    for (const seed of opened.values()) await seed?.close()
  }

  async function place(group: Group, bytes: Uint8Array, lost: ReadonlySet<number>): Promise<void> {
    // bytes that are not right are overwritten by the fetch that follows, and not before: it learns of them when these are written
    await writeAll(file, bytes, sources.index.offset(group.first))
    for (const chunk of lost) sources.forget(chunk)
    let kept = 0
    for (let chunk = group.first; chunk <= group.last; chunk++) {
      if (lost.has(chunk)) continue
      sources.setInPlace(chunk)
      kept += sources.index.length(chunk)
    }
    tally.reuse(kept)
    following.wrote(bytes.length)
  }
}

/** The chunks of a group that are not what the index says, of which only the first `read` bytes were there. */
function wrongChunks(index: ChunkIndex, { first, last }: Group, bytes: Uint8Array, read: number): ReadonlySet<number> {
  const engine = blake3()
  const wrong = new Set<number>()
  for (let chunk = first; chunk <= last; chunk++) {
    const at = index.offset(chunk) - index.offset(first)
    const end = at + index.length(chunk)
    if (end > read || !sameBytes(engine.digest(bytes.subarray(at, end)), index.digest(chunk))) wrong.add(chunk)
  }
  return wrong
}
