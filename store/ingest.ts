// A file becomes a blob: hashed in one pass, cut into chunks in the same pass when that is worth it (spec/chunk-index.md 2).
import { open, stat } from 'node:fs/promises'
import { type Bytes, ChunkIndexBuilder, type CID, chunks, cidOf, PsyblobError } from '../core/mod.ts'
import { blake3 } from './blake3.ts'
import { borrow, giveBack } from './buffers.ts'
import { coarseCutter, cutterOf, layoutOf } from './cutter.ts'
import { translated } from './files.ts'
import { beginSecondHalf } from './second-half.ts'

/** Smaller blobs are fetched whole: an index would cost more than it saves. */
const indexedAbove = 64 * 1024
const pieceBytes = 1024 * 1024

export type Ingested = {
  readonly cid: CID
  readonly size: number
  /** The bytes of the chunk index, and its name; undefined when the blob gets none. */
  readonly index: { readonly cid: CID; readonly bytes: Uint8Array } | undefined
}

/** The bytes of a file, in pieces that are valid until the next is asked for. One is read while the one before is looked at. */
export async function* fileBytes(path: string, options: { readonly from?: number; readonly signal?: AbortSignal | undefined } = {}): Bytes {
  const file = await open(path, 'r').catch((error: unknown) => {
    throw translated(error, `reading ${path}`)
  })
  let [current, next] = [borrow(pieceBytes), borrow(pieceBytes)]
  let at = options.from ?? 0
  const read = (into: Buffer) => file.read(into, 0, pieceBytes, at)
  let reading = read(current)
  // whoever awaits it sees the failure; until then it is nobody's
  reading.catch(() => undefined)
  try {
    for (;;) {
      options.signal?.throwIfAborted()
      const { bytesRead } = await reading
      if (bytesRead === 0) return
      at += bytesRead
      reading = read(next)
      reading.catch(() => undefined)
      yield current.subarray(0, bytesRead)
      ;[current, next] = [next, current]
    }
  } catch (error) {
    throw translated(error, `reading ${path}`)
  } finally {
    // a read under way still writes into its buffer
    await reading.catch(() => undefined)
    for (const buffer of [current, next]) giveBack(buffer)
    await file.close()
  }
}

/** False: it gets no index. `coarse`: one that says no more than what of a patch came out as it should. */
export type Cutting = boolean | 'coarse'

/** Hashes the file at `path`, and cuts it as suits its first bytes when `chunked` and it is large enough. `onBytes` hears of each piece read. */
export async function ingest(
  path: string,
  options: { readonly chunked: Cutting; readonly onBytes?: (bytes: number) => void; readonly signal?: AbortSignal | undefined },
): Promise<Ingested> {
  const engine = blake3()
  const whole = engine.create()
  let size = 0
  const counted = async function* (): Bytes {
    for await (const piece of fileBytes(path, { from: size, signal: options.signal })) {
      whole.update(piece)
      size += piece.length
      options.onBytes?.(piece.length)
      yield piece
    }
  }
  const builder = options.chunked === false ? undefined : await cutFile(path, counted, options.chunked === 'coarse')
  // what the other thread has cut, or nobody needs cut, is hashed all the same
  for await (const _ of counted());
  const cid = cidOf(whole.digest())
  if (builder === undefined || size <= indexedAbove) return { cid, size, index: undefined }
  const bytes = builder.finish()
  return { cid, size, index: { cid: cidOf(engine.digest(bytes)), bytes } }
}

/** Cuts what `source` gives, the bytes of the file at `path`, up to where another thread has done it. */
async function cutFile(path: string, source: () => Bytes, isCoarse: boolean): Promise<ChunkIndexBuilder> {
  const engine = blake3()
  const builder = new ChunkIndexBuilder()
  const layout = isCoarse ? undefined : await layoutOf(path)
  const size = await sizeOf(path)
  const second = isCoarse ? undefined : beginSecondHalf(path, size, layout)
  try {
    let offset = 0
    for await (const chunk of chunks(source(), { cutter: isCoarse ? coarseCutter() : cutterOf(layout, { size }) })) {
      const met = second !== undefined && offset >= second.from ? await second.meets(offset) : undefined
      if (met !== undefined) {
        builder.append(met.index, met.first)
        break
      }
      builder.add(chunk.length, engine.digest(chunk))
      offset += chunk.length
    }
    return builder
  } finally {
    await second?.end()
  }
}

async function sizeOf(path: string): Promise<number> {
  return (
    await stat(path).catch((error: unknown) => {
      throw translated(error, `reading ${path}`)
    })
  ).size
}

/** What a blob's bytes turned out to be when the file behind it changed between hashing and storing. */
export function changedWhileRead(path: string, cause: unknown): PsyblobError {
  return new PsyblobError('conflict', `${path} changed while it was being published`, {
    cause,
    hint: 'wait until the build has finished, then publish again; nothing was published',
  })
}
