// Who encoded an image: some of its pieces are encoded again by each encoder that may have done it, and compared.
import { stat } from 'node:fs/promises'
import { type PatchCodec, type Piece, PsyblobError, type Report } from '../../core/mod.ts'
import { contentOf, type ImageContent } from './content.ts'
import { encodersFor } from './encoders.ts'
import type { Side } from './job.ts'
import { Threads } from './threads.ts'

/** An encoder that makes fewer of them as they are is another one. */
const exactEnough = 0.9

export type ProbeOptions = {
  readonly image: Side
  readonly content: ImageContent
  /** Of which some are tried. */
  readonly pieces: readonly Piece[]
  readonly most: number
  readonly report: Report
  readonly signal?: AbortSignal | undefined
}

/** The encoder that makes the pieces as they are; undefined when none at hand does. Throws `unsupported` when one that may have could not be tried. */
export async function probe({ image, content, pieces, most, report, signal }: ProbeOptions): Promise<PatchCodec | undefined> {
  const packed = pieces.filter((piece) => piece.isPacked && !piece.isMetadata)
  const every = Math.max(1, Math.ceil(packed.length / most))
  const samples = packed.filter((_, number) => number % every === 0).map(({ at, length, raw }) => [at, length, raw] as const)
  const largest = packed.reduce((most, { raw }) => Math.max(most, raw), 0)
  let untried: string | undefined
  for (const { encoder, level } of encodersFor(content.packing, { ...content, largest })) {
    const codec = { name: encoder.name, level }
    const next = { side: image, packing: content.packing }
    const threads = new Threads({ old: image, packing: 'none', codecs: [codec], next }, 1)
    const stop = () => void threads.end()
    signal?.addEventListener('abort', stop, { once: true })
    try {
      const answer = await threads.run({ do: 'probe', pieces: samples, codec: 1 })
      signal?.throwIfAborted()
      if (answer.did === 'probe' && answer.exact >= exactEnough * samples.length) return codec
      if (answer.did === 'fail') untried ??= answer.why
      const found = answer.did === 'probe' ? `${answer.exact} of ${samples.length} pieces` : answer.did === 'fail' ? answer.why : ''
      report({ type: 'trace', text: `${image.path}: ${encoder.name} at level ${level} makes ${found}` })
    } finally {
      signal?.removeEventListener('abort', stop)
      await threads.end()
    }
  }
  if (untried !== undefined)
    throw new PsyblobError('unsupported', untried, {
      hint: 'patches of such images need a psyblob that is installed whole, and WebAssembly',
    })
  return undefined
}

/** Pieces that a look at an image is worth. */
const glance = 16

/** Who encoded the image at `path`. `codec` is undefined when no encoder at hand did; all of it when patches are not made of such files. Throws as `probe` does. */
export async function encoderOf(path: string, report: Report): Promise<{ readonly codec: PatchCodec | undefined } | undefined> {
  const content = await contentOf(path)
  if (content === undefined) return undefined
  const { size } = await stat(path)
  return { codec: await probe({ image: { path, size }, content, pieces: content.pieces, most: glance, report }) }
}
