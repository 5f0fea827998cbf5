// Images of any size that nothing compresses, the same on every machine: runs of AES-CTR key streams.
import { createCipheriv, createHash } from 'node:crypto'
import { closeSync, existsSync, openSync, renameSync, writeSync } from 'node:fs'

/** `length` bytes of the stream called `name`, from `offset` (a multiple of 16). */
export type StreamRun = { readonly name: string; readonly offset: number; readonly length: number }

const piece = 16 << 20

/**
 * The two releases of an image of `size` bytes. In the second, eight places of 0.1 % each are other bytes and one place
 * has 0.2 % and an odd number of bytes put in, so that all behind it moves.
 */
export function releases(size: number): readonly [readonly StreamRun[], readonly StreamRun[]] {
  const part = Math.floor(size / 1000 / 16) * 16
  const next: StreamRun[] = []
  let done = 0
  const keep = (end: number) => {
    next.push({ name: 'image', offset: done, length: end - done })
    done = end
  }
  for (let place = 1; place <= 8; place++) {
    keep(Math.floor((size * place) / 9 / 16) * 16)
    next.push({ name: `change ${place}`, offset: 0, length: part })
    done += part
    if (place === 4) next.push({ name: 'insertion', offset: 0, length: 2 * part + 1 })
  }
  keep(size)
  return [[{ name: 'image', offset: 0, length: size }], next]
}

function write(file: number, { name, offset, length }: StreamRun): void {
  const counter = Buffer.alloc(16)
  counter.writeBigUInt64BE(BigInt(offset / 16), 8)
  const cipher = createCipheriv('aes-128-ctr', createHash('sha256').update(name).digest().subarray(0, 16), counter)
  const zeros = Buffer.alloc(Math.min(piece, length))
  for (let done = 0; done < length; done += piece) writeSync(file, cipher.update(zeros.subarray(0, length - done)))
}

/** Writes an image unless it is there. */
export function makeSynthetic(path: string, runs: readonly StreamRun[]): void {
  if (existsSync(path)) return
  const file = openSync(`${path}.part`, 'w')
  for (const run of runs) write(file, run)
  closeSync(file)
  renameSync(`${path}.part`, path)
}
