// Where an index is cut into pages, so that it can have an index itself and a small update fetches few of them (spec/chunk-index.md 7).
import { headerBytes, recordBytes } from './chunk-index.ts'

/** Records of a page: at least, on the way there on average, and at most. */
const least = 4
const often = 16
const most = 64

/** An index of fewer bytes is fetched whole: pages would cost a round trip more than they save. */
export const pagedAbove = 4096
/** How often an index may have an index: chunks, pages, pages of pages. */
export const indexLevels = 3

/**
 * The lengths of the pages of an index, in bytes. A page ends after a record whose digest says so, wherever in the index it stands:
 * a page that did not change keeps its bytes, whatever was put in or taken out before it.
 */
export function* indexPages(bytes: Uint8Array): Generator<number> {
  let start = 0
  let records = 0
  for (let at = headerBytes; at + recordBytes <= bytes.length; at += recordBytes) {
    records++
    // the first byte of the digest, after the four of the length
    const ends = records >= most || (records >= least && (bytes[at + 4] as number) % often === 0)
    if (!ends) continue
    yield at + recordBytes - start
    start = at + recordBytes
    records = 0
  }
  if (start < bytes.length) yield bytes.length - start
}
