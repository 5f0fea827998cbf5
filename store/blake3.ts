// BLAKE3: the native engine where its prebuilt binary loads, the portable WASM one otherwise. The only file that knows either package.
import { createRequire } from 'node:module'
import { type CID, cidOf, type HashEngine } from '../core/mod.ts'

type Native = typeof import('@napi-rs/blake-hash')
type Portable = typeof import('blake3')

const require = createRequire(import.meta.url)

export function nativeEngine(): HashEngine {
  const { Blake3Hasher, blake3UrlSafeBase64 } = require('@napi-rs/blake-hash') as Native
  return {
    name: 'native',
    create() {
      const hasher = new Blake3Hasher()
      return { update: (bytes) => void hasher.update(bytes), digest: () => hasher.digestBuffer() }
    },
    // a string and a pooled buffer: the engine's own buffers lie outside the heap, and a million of them are collected too late
    digest: (bytes) => Buffer.from(blake3UrlSafeBase64(bytes), 'base64url'),
  }
}

export function portableEngine(): HashEngine {
  const { createHash, hash } = require('blake3') as Portable
  return {
    name: 'portable',
    create() {
      const hasher = createHash()
      return { update: (bytes) => void hasher.update(bytes), digest: () => hasher.digest() }
    },
    digest: (bytes) => hash(bytes) as Uint8Array,
  }
}

let chosen: HashEngine | undefined

/** The engine of this process. `PSYBLOB_BLAKE3=portable` or `native` insists on one. */
export function blake3(): HashEngine {
  chosen ??= choose()
  return chosen
}

function choose(): HashEngine {
  const wish = process.env['PSYBLOB_BLAKE3']
  if (wish === 'portable') return portableEngine()
  if (wish === 'native') return nativeEngine()
  try {
    return nativeEngine()
  } catch {
    // no prebuilt binary for this platform, or not installed: the portable engine gives the same digests, slower
    return portableEngine()
  }
}

/** What bytes that are all in memory are called. */
export function cidOfBytes(bytes: Uint8Array): CID {
  return cidOf(blake3().digest(bytes))
}
