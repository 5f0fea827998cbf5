// The files of an old blob, and what of them may be like what a piece of the new one holds.
import type { Content, Piece } from './content.ts'
import { Counterparts } from './counterparts.ts'

/** Bytes of the old blob, of which a part is wanted once they are decompressed. */
export type Source = {
  readonly piece: Piece
  /** Within its bytes before compression. */
  readonly from: number
  readonly length: number
}

/** A stretch of a file. */
export type Range = { from: number; to: number }

/** Old files that are taken whole, not only around the same place. */
const wholeFile = 1024 * 1024

type Extent = {
  readonly piece: Piece /** In the file, and in the piece. */
  readonly from: number
  readonly at: number
  readonly length: number
}

/** Where the files of the old blob lie. */
export class OldFiles {
  readonly #extents = new Map<string, Extent[]>()
  readonly #sizes: ReadonlyMap<string, number>
  readonly #counterparts: Counterparts
  readonly #margin: number

  constructor(content: Content) {
    this.#margin = content.margin
    for (const piece of content.pieces) {
      let at = 0
      for (const { path, from, length } of piece.spans) {
        if (path !== '') {
          const list = this.#extents.get(path)
          const extent = { piece, from, at, length }
          if (list === undefined) this.#extents.set(path, [extent])
          else list.push(extent)
        }
        at += length
      }
    }
    for (const list of this.#extents.values()) list.sort((one, two) => one.from - two.from)
    this.#sizes = sizesOf(content)
    this.#counterparts = new Counterparts(this.#sizes)
  }

  /** What of old files may be like what that new piece holds. */
  around(
    { spans }: Piece,
    sizes: ReadonlyMap<string, number>,
  ): readonly { readonly path: string; readonly from: number; readonly to: number }[] {
    return spans.flatMap(({ path, from, length }) => {
      const old = path === '' ? undefined : this.#counterparts.of(path, sizes.get(path) ?? 0)
      if (old === undefined) return []
      const size = this.#sizes.get(old) ?? 0
      if (size <= wholeFile) return [{ path: old, from: 0, to: size }]
      const margin = this.#margin
      return [{ path: old, from: Math.max(0, Math.min(from, size) - margin), to: Math.min(size, from + length + margin) }]
    })
  }

  /** In the order of the old blob, each byte once. */
  sources(ranges: ReadonlyMap<string, readonly Range[]>): readonly Source[] {
    const found: Source[] = []
    for (const [path, list] of ranges)
      for (const range of list)
        for (const { piece, from, at, length } of this.#extents.get(path) ?? []) {
          const [begin, end] = [Math.max(from, range.from), Math.min(from + length, range.to)]
          if (begin < end) found.push({ piece, from: at + begin - from, length: end - begin })
        }
    found.sort((one, two) => one.piece.at - two.piece.at || one.from - two.from)
    const sources: Source[] = []
    for (const source of found) {
      const last = sources.at(-1)
      if (last?.piece !== source.piece || last.from + last.length < source.from) sources.push(source)
      else {
        const length = Math.max(last.length, source.from + source.length - last.from)
        sources[sources.length - 1] = { piece: last.piece, from: last.from, length }
      }
    }
    return sources
  }
}

/** Sizes of the files of a blob, as far as their pieces tell. */
export function sizesOf({ pieces }: Content): ReadonlyMap<string, number> {
  const sizes = new Map<string, number>()
  for (const { spans } of pieces)
    for (const { path, from, length } of spans) if (path !== '') sizes.set(path, Math.max(sizes.get(path) ?? 0, from + length))
  return sizes
}
