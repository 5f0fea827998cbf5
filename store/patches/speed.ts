// How fast this machine encodes: measured, for a plan that weighs its work against the link.
import { open } from 'node:fs/promises'
import type { PatchCodec } from '../../core/mod.ts'
import { readFull } from '../files.ts'
import { loadEncoder } from './encoders.ts'
import { threadCount } from './threads.ts'

const sampleBytes = 128 * 1024
/** Where in the program that runs us: machine code, which is most of what changes in a system. */
const sampleAt = [8, 20, 32].map((megabytes) => megabytes * 1024 * 1024)
/** Beside encoding: undoing what the sources are packed with, differences, hashing, writing. */
const besides = 1.2
/** Two threads on two cores do not finish at one moment. */
const shared = 0.9

const measured = new Map<string, Promise<number>>()

/** Seconds to make `bytes` bytes with that codec, in all threads there are. Throws `unsupported`. */
export async function makingSeconds(bytes: number, codec: PatchCodec): Promise<number> {
  const name = `${codec.name} ${codec.level}`
  const speed = measured.get(name) ?? measure(codec)
  measured.set(name, speed)
  const threads = threadCount()
  return (besides * bytes) / ((await speed) * (threads === 1 ? 1 : threads * shared))
}

/** Bytes a second of one thread: the best of a few, for others may be at work. */
async function measure({ name, level }: PatchCodec): Promise<number> {
  const encode = await loadEncoder(name, level)
  const bytes = Buffer.alloc(sampleBytes, 'of a machine whose program cannot be read, some text')
  const file = await open(process.execPath, 'r').catch(() => undefined)
  let best = 1
  try {
    for (const at of sampleAt) {
      if (file !== undefined) await readFull(file, bytes, at).catch(() => undefined)
      const begun = performance.now()
      encode(bytes)
      best = Math.max(best, (sampleBytes * 1000) / (performance.now() - begun))
    }
  } finally {
    await file?.close()
  }
  return best
}
