// How fast this machine encodes: measured, for a plan that weighs its work against the link.
import { statSync } from 'node:fs'
import { type PatchCodec, PsyblobError } from '../../core/mod.ts'
import { Threads, threadCount } from './threads.ts'

const sampleBytes = 128 * 1024
/** Where in the program that runs us: machine code, which is most of what changes in a system. */
const sampleAt = [8, 20, 32].map((megabytes) => megabytes * 1024 * 1024)
/** Beside encoding: undoing what the sources are packed with, differences, hashing, writing. */
const besides = 1.2
/** Two threads on two cores do not finish at one moment. */
const shared = 0.9

/** Bytes a second that one thread of no machine encodes. */
const fastest = 60_000_000

/** Seconds to make `bytes` bytes on the best of machines with as many threads. */
export function leastMakingSeconds(bytes: number): number {
  return bytes / (fastest * threadCount())
}

const measured = new Map<string, Promise<number>>()

/** Seconds to make `bytes` bytes with that codec, in all threads there are. Throws `unsupported`. */
export async function makingSeconds(bytes: number, codec: PatchCodec): Promise<number> {
  const name = `${codec.name} ${codec.level}`
  const speed = measured.get(name) ?? measure(codec)
  measured.set(name, speed)
  const threads = threadCount()
  return (besides * bytes) / ((await speed) * (threads === 1 ? 1 : threads * shared))
}

/** Bytes a second of one thread. In a thread of its own, which takes what the encoder needs away with it. */
async function measure(codec: PatchCodec): Promise<number> {
  const { size } = statSync(process.execPath)
  const threads = new Threads({ old: { path: process.execPath, size }, packing: 'none', codecs: [codec] }, 1)
  try {
    const at = sampleAt.filter((place) => place + sampleBytes <= size)
    const answer = await threads.run({ do: 'measure', codec: 1, at, length: sampleBytes })
    if (answer.did === 'measure') return answer.speed
    throw new PsyblobError('unsupported', answer.did === 'fail' ? answer.why : 'no encoder', { hint: 'psyblob is not installed whole' })
  } finally {
    await threads.end()
  }
}
