// An index and, when it is large, the index of its pages, and so on: what a publisher uploads beside a blob (spec/chunk-index.md 7).
import { ChunkIndexBuilder, type CID, cidOf, type IndexBlob, indexLevels, indexPages, pagedAbove } from '../core/mod.ts'
import { blake3 } from './blake3.ts'

export type IndexTree = {
  /** As a manifest names it. */
  readonly index: IndexBlob
  /** The index first, then the one of its pages. */
  readonly blobs: readonly { readonly cid: CID; readonly bytes: Uint8Array }[]
}

export function indexTree(bytes: Uint8Array, level = 1): IndexTree {
  const cid = cidOf(blake3().digest(bytes))
  const own = { cid, bytes }
  if (bytes.length <= pagedAbove || level === indexLevels) return { index: { cid, size: bytes.length }, blobs: [own] }
  const pages = new ChunkIndexBuilder()
  let at = 0
  for (const length of indexPages(bytes)) {
    pages.add(length, blake3().digest(bytes.subarray(at, at + length)))
    at += length
  }
  const above = indexTree(pages.finish(), level + 1)
  return { index: { cid, size: bytes.length, index: above.index }, blobs: [own, ...above.blobs] }
}
