// core: what things mean. No platform, clock, randomness or hash engine: they come in as arguments.

export { bsdiff } from './bsdiff.ts'
export { readBzImage } from './bzimage.ts'
export { ChunkIndex, ChunkIndexBuilder, parseChunkIndex } from './chunk-index.ts'
export { ChunkTable } from './chunk-table.ts'
export { type ChunkerSizes, type Cutter, chunks, cut, defaultSizes, fastCdc, grown, growth } from './chunker.ts'
export { type CID, cidOf, codecOf, digestOf, parseCid, shardOf } from './cid.ts'
export {
  type Component,
  type EspTarget,
  type Place,
  type Preference,
  parseComposition,
  preferences,
  type SlotsTarget,
  type Target,
  type TreeTarget,
} from './composition.ts'
export type { Content, Packing, Piece, Span } from './content.ts'
export type { RawVerify } from './ed25519.ts'
export { type Entry, type EntryBlob, type EntrySource, type IndexBlob, indexesOf, isTree, kindOf, type Role } from './entry.ts'
export { type ErrorCode, type ErrorDetails, exitBug, exitCodes, exitNo, isPsyblobError, PsyblobError } from './errors.ts'
export { checkFreshness, type PointerExpectation, type SeenPointer, trustedNow } from './freshness.ts'
export { type GroupContent, writeGroup } from './group-writer.ts'
export type { Bytes, HashEngine, Hasher } from './hash.ts'
export { indexLevels, indexPages, pagedAbove } from './index-pages.ts'
export { checkShape, parsedBy, parseJson, recordOf } from './json.ts'
export { limits } from './limits.ts'
export { unpackLz4 } from './lz4.ts'
export { packLz4Fast } from './lz4-fast.ts'
export { packLz4Hc } from './lz4-hc.ts'
export { comparePaths, formatManifest, type Manifest, type ManifestContent, parseManifest, sameContent } from './manifest.ts'
export {
  composed,
  type DocumentName,
  documents,
  formatTime,
  parseName,
  parsePath,
  parseSerial,
  parseTime,
  pathFault,
  pathTwin,
} from './names.ts'
export { nearest } from './nearest.ts'
export {
  formatPatchHead,
  type Patch,
  type PatchCodec,
  type PatchGroup,
  type PatchHead,
  type PatchStream,
  parsePatch,
  parsePatchHead,
  patchHeadBytes,
  patchTableBytes,
  readFirstMade,
  readPatchCodecs,
  type SourcePacking,
  type StreamPacking,
} from './patch.ts'
export { applyGroup, type GroupStreams, type PatchMachine } from './patch-group.ts'
export { type GroupOutline, outline } from './patch-outline.ts'
export { metadataHeadBytes } from './patch-steps.ts'
export { formatPointer, joinPointerFile, type PointedRelease, type Pointer, parsePointer, splitPointerFile } from './pointer.ts'
export type { ProgressEvent, Report } from './progress.ts'
export { formatPublicKeyFile, keyIdText, type PublicKey, parsePublicKey } from './public-key.ts'
export {
  checkNotRevoked,
  checkRootFloor,
  checkRootLife,
  checkRootOrder,
  formatRoot,
  parseRoot,
  pointerSigners,
  type Root,
  type RootContent,
  releaseSigners,
} from './root.ts'
export {
  addKey,
  parseRoleName,
  type RoleName,
  removeKey,
  revoke,
  setFloor,
  setThreshold,
} from './root-edits.ts'
export { joinRuns, type Run, runBytes } from './runs.ts'
export { Scratch } from './scratch.ts'
export {
  formatSecretKeyFile,
  type KeyEngine,
  newSecretKey,
  openSecretKey,
  parseSecretKeyFile,
  type SecretKey,
  type SecretKeyFile,
} from './secret-key.ts'
export { parseSignatures, type Signature, signPrehash, verifySignatures } from './signature.ts'
export { anySigner, type Signers, soleSigner } from './signers.ts'
export { SortedEntries } from './sorted-entries.ts'
export { readSquashfs, type SquashfsLayout, type SquashfsReader } from './squashfs.ts'
export { defaultGroups, type GroupSizes, squashfsCutter } from './squashfs-cutter.ts'
export type { Decompress } from './squashfs-metadata.ts'
export { readSquashfsOptions, type SquashfsOptions } from './squashfs-options.ts'
export { readSquashfsPieces } from './squashfs-pieces.ts'
export type { Compressor } from './squashfs-superblock.ts'
export { tableText } from './table-text.ts'
export { checkTree, sharedPath, treeFolder } from './tree.ts'
export { checkTrustedComment, manifestComment, pointerComment, rootComment } from './trusted-comment.ts'
export { utf8Decode, utf8Encode } from './utf8.ts'
export { visible, visibleJson } from './visible.ts'
export { readXz } from './xz.ts'
export { readZstdFrames } from './zstd-frames.ts'
