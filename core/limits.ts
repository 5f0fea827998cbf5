// Every limit on what is read from outside, in one place (spec/names.md 6). Bytes unless the name says otherwise.
export const limits = {
  pointer: 64 * 1024,
  minisig: 10 * 1024,
  /** What fits into the lines that stock minisign reads. */
  untrustedComment: 1003,
  trustedComment: 8173,
  /** 400 bytes an entry are usual, and 100,000 entries have to fit (spec/manifest.md 1). */
  manifest: 64 * 1024 * 1024,
  /** Manifests above it are compressed as well, and asked for so (spec/repository.md 9). */
  compressedAbove: 64 * 1024,
  entries: 100_000,
  composition: 1024 * 1024,
  /** A recipe of an OS. */
  recipe: 1024 * 1024,
  /** `psyblob.json`. */
  repository: 64 * 1024,
  /** The trusted state of a node. */
  state: 1024 * 1024,
  /** `index.json`: a hundred bytes a release. */
  listing: 16 * 1024 * 1024,
  jsonDepth: 8,
  signatures: 16,
  /** `root/N.json`. */
  root: 64 * 1024,
  /** Of one role of a root. */
  keys: 16,
  /** CIDs in a root. */
  revoked: 512,
  /** Repositories and keys of which a node keeps a root. */
  knownRoots: 64,
  /** Roots that one run follows. */
  rootSteps: 256,
  remotes: 16,
  /** The longest chunk: a squashfs data block is at most this. */
  chunk: 1024 * 1024,
  /** The largest blob: 2^43 bytes (8 TiB) keeps every sum of sizes far from 2^53. */
  blob: 2 ** 43,
  /** A chunk index: 36 bytes a chunk, so about 60 GB at 8 KiB a chunk. */
  index: 256 * 1024 * 1024,
  /** Of patches (spec/patch.md 7). */
  patch: {
    /** That one blob has. */
    ofBlob: 16,
    codecs: 16,
    groups: 65_536,
    /** What one encoder makes at once, and what one decoder undoes: a block of a kernel. One of squashfs is at most 1 MiB. */
    piece: 8 * 1024 * 1024,
    unit: 8 * 1024 * 1024,
    /** Extents of the old blob that one unit is made from, and their bytes once they are unpacked. */
    sources: 4096,
    sourceBytes: 16 * 1024 * 1024,
    sourceRaw: 32 * 1024 * 1024,
    /** What is unpacked of sources and taken from them, for a group that encodes `made` bytes. */
    handled: (made: number) => 128 * made + 1024 * 1024,
    /** Changes of one unit: 100,000 a MiB are many. */
    triples: 1024 * 1024,
    /** What a group encodes, and each of its streams unpacked. */
    groupMade: 16 * 1024 * 1024,
    stream: 16 * 1024 * 1024,
    /** All streams together, and all that is encoded, for a new blob of `size` bytes. */
    streams: (size: number) => 2 * size + 1024 * 1024,
    made: (size: number) => 8 * size + 16 * 1024 * 1024,
  },
  redirects: 3,
  /** How far ahead of the last seen version a pointer may jump. */
  pointerLeap: 1_000_000,
} as const
