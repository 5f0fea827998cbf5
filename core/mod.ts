// core: what things mean. No platform, clock, randomness or hash engine: they come in as arguments.
export { type CID, cidOf, digestBytes, digestOf, parseCid, shardOf } from './cid.ts'
export { type ErrorCode, type ErrorDetails, PsyblobError, exitBug, exitCodes, exitNo, isPsyblobError } from './errors.ts'
export type { Bytes, HashEngine, Hasher } from './hash.ts'
export { limits } from './limits.ts'
export { type DocumentName, documents, formatTime, parseName, parsePath, parseSerial, parseTime, pathTwin } from './names.ts'
export { utf8Decode, utf8Encode } from './utf8.ts'
export { visible } from './visible.ts'
export type { ProgressEvent, Report } from './progress.ts'
export { type ChunkerSizes, chunks, cut, defaultSizes } from './chunker.ts'
export { ChunkIndex, ChunkIndexBuilder, indexSize, parseChunkIndex } from './chunk-index.ts'
export { ChunkTable } from './chunk-table.ts'
export { type Component, type Place, parseComposition, type SlotsTarget, type Target } from './composition.ts'
export {
  comparePaths,
  type Entry,
  type EntryBlob,
  formatManifest,
  kindOf,
  type Manifest,
  type ManifestContent,
  parseManifest,
  type Role,
} from './manifest.ts'
export { formatPointer, joinPointerFile, type PointedRelease, type Pointer, parsePointer, splitPointerFile } from './pointer.ts'
