// What core needs of a hash engine. The engines live in store/blake3; core only ever receives one.

export type Bytes = AsyncIterable<Uint8Array>

/** An incremental BLAKE3-256 computation. `digest` ends it: neither method may be called afterwards. */
export interface Hasher {
  update(bytes: Uint8Array): void
  /** 32 bytes. */
  digest(): Uint8Array
}

/** A BLAKE3-256 engine. */
export interface HashEngine {
  /** Its name as `psyblob --version` shows it, e.g. `native`. */
  readonly name: string
  create(): Hasher
  /** 32 bytes: BLAKE3-256 of `bytes` in one go. */
  digest(bytes: Uint8Array): Uint8Array
}
