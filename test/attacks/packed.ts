// Attacks by compressed manifests: bombs, and streams that are cut, long or of something else. With the plain one beside it they do no harm, without it nothing is installed.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { documents } from '../../core/mod.ts'
import type { Attack } from './attack.ts'

const vector = (name: string): Uint8Array =>
  Buffer.from(JSON.parse(readFileSync(join(import.meta.dirname, '../../spec/vectors/xz', `${name}.json`), 'utf8')).base64, 'base64')

/** A stream that says it has so many blocks of zeros, each of a mebibyte. */
const bomb = vector('bomb')
const bombs = (count: number) => Buffer.concat(Array.from({ length: count }, () => bomb))

const streams: Readonly<Record<string, () => Uint8Array>> = {
  'a bomb': () => bomb,
  'a hundred bombs': () => bombs(100),
  'a dictionary of four gigabytes': () => vector('dictionary-4g'),
  'a stream of something else': () => vector('good'),
  'a stream that is cut': () => vector('good').subarray(0, 60),
  'a stream with more after it': () => vector('trailing'),
  'a stream that is damaged': () => vector('bit'),
  nothing: () => new Uint8Array(),
  zeros: () => new Uint8Array(50_000),
}

export const packedAttacks: readonly Attack[] = Object.entries(streams).flatMap(([what, make]) =>
  [true, false].map(
    (isPlainThere): Attack => ({
      kind: 'decompression bombs',
      what: `${what} for a manifest, the plain one ${isPlainThere ? 'beside it' : 'gone'}`,
      code: isPlainThere ? 'none' : 'not-found',
      bend: (arena, files) => {
        // large enough to be asked for compressed
        arena.manifest(files, ([header]) => void (header.remotes = Array.from({ length: 16 }, () => '\u8a9e'.repeat(2048))))
        files.set(documents.manifestXz('os', 3), make())
        if (!isPlainThere) files.delete(documents.manifest('os', 3))
      },
    }),
  ),
)
