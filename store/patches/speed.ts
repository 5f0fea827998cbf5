// How long a patch takes to be applied here: measured, for a plan that weighs its work against the link (spec/sync.md 6).
import { statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type PatchCodec, PsyblobError } from '../../core/mod.ts'
import { fastestOf } from './encoders.ts'
import { Threads, threadCount } from './threads.ts'

/** What a patch has to encode. */
export type Making = {
  /** Bytes, before they are encoded. */
  readonly made: number
  /** Of those the bytes that one thread encodes, whatever the number of processors. */
  readonly alone: number
  readonly groups: number
  readonly codec: PatchCodec
}

const sampleBytes = 128 * 1024
/** Where in the program that runs us: machine code, which is most of what changes in a system. */
const sampleAt = [8, 20, 32].map((megabytes) => megabytes * 1024 * 1024)
/** Beside encoding: undoing what the sources are packed with, differences, hashing, writing. */
const besides = 1.2
/** Two threads on two cores do not finish at one moment. */
const shared = 0.9
/** Seconds until threads and encoders are there, and the streams of the first group are unpacked. */
const beginning = 0.5

/** Where nothing can be measured: what a core of a small server does. */
const usual = 3_000_000

const measured = new Map<string, Promise<number>>()

/** Seconds, in all threads that have something to do. Throws `unsupported`. */
export async function makingSeconds(making: Making): Promise<number> {
  const { codec } = making
  const name = `${codec.name} ${codec.level}`
  const speed = measured.get(name) ?? measure(codec)
  measured.set(name, speed)
  speed.catch(() => measured.delete(name))
  // never sooner than what is told beforehand: the same patches are left alone whoever asks
  return secondsAt(Math.min(await speed, fastestOf(codec)), making)
}

/** Seconds on the best of machines with as many threads; before it is known what a patch has to encode, `making` is less than that. */
export function leastMakingSeconds(making: Omit<Making, 'codec'> & { readonly codec: PatchCodec | undefined }): number {
  return secondsAt(fastestOf(making.codec), making)
}

function secondsAt(speed: number, { made, alone, groups }: Omit<Making, 'codec'>): number {
  const threads = Math.min(threadCount(), Math.max(1, groups))
  const together = threads === 1 ? 1 : threads * shared
  return beginning + (besides * (alone + (made - alone) / together)) / speed
}

/** Bytes a second of one thread. In a thread of its own, where there are any: it takes what the encoder needs away with it. */
async function measure(codec: PatchCodec): Promise<number> {
  // where Node is a small program beside a large library, our own bundle does as well
  const sample = [process.execPath, fileURLToPath(import.meta.url)]
    .map((path) => ({ path, size: sizeOf(path) }))
    .find(({ size }) => size >= sampleBytes)
  if (sample === undefined) return usual
  const threads = new Threads({ old: sample, packing: 'none', codecs: [codec] }, 1)
  try {
    const places = sampleAt.filter((place) => place + sampleBytes <= sample.size)
    const at = places.length === 0 ? [0, sample.size - sampleBytes] : places
    const answer = await threads.run({ do: 'measure', codec: 1, at, length: sampleBytes })
    if (answer.did === 'measure') return answer.speed
    throw new PsyblobError('unsupported', answer.did === 'fail' ? answer.why : 'no encoder', { hint: 'psyblob is not installed whole' })
  } finally {
    await threads.end()
  }
}

function sizeOf(path: string): number {
  try {
    return statSync(path).size
  } catch {
    return 0
  }
}
