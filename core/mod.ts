// core: what things mean. No platform, clock, randomness or hash engine: they come in as arguments.
export { type CID, cidOf, digestBytes, digestOf, parseCid, shardOf } from './cid.ts'
export { type ErrorCode, type ErrorDetails, PsyblobError, exitBug, exitCodes, exitNo, isPsyblobError } from './errors.ts'
export type { Bytes, HashEngine, Hasher } from './hash.ts'
export { limits } from './limits.ts'
export { type DocumentName, documents, formatTime, parseName, parsePath, parseSerial, parseTime, pathTwin } from './names.ts'
export { utf8Decode, utf8Encode } from './utf8.ts'
export { visible } from './visible.ts'
export type { ProgressEvent, Report } from './progress.ts'
