// Vectors of patches whose pieces an encoder makes, with the encoder itself.
import { loadEncoder } from '../../store/patches/encoders.ts'
import { numbers, step } from '../fixtures/patches.ts'
import { joined, type Numbers, type PatchVector, refused, text, vector } from './patch-vector.ts'

/** With the encoder itself: a data block, and a block of metadata made of one. */
export async function encodedOnes(): Promise<Readonly<Record<string, PatchVector>>> {
  const encode = await loadEncoder('zstd-1.5.5', 15)
  const [was, is] = ['1.0', '1.1'].map((version) =>
    text(Array.from({ length: 40 }, (_, line) => `line ${line} of version ${version}\n`).join('')),
  )
  if (was === undefined || is === undefined) throw new Error('no texts')
  const stored = encode(was)
  const codecs = [{ name: 'zstd-1.5.5', level: 15 }]
  const made = encode(is)
  /** New minus old: the last digit of each line. */
  const changes: number[] = []
  let zeros = 0
  for (const [at, byte] of is.entries()) {
    if (byte === was[at]) zeros++
    else {
      changes.push(zeros, 1, byte - (was[at] as number))
      zeros = 0
    }
  }
  const differences = numbers(...changes, zeros, 0)
  const unit: Numbers = [step.unit, 0, 1, 1, [4], stored.length, was.length, is.length, 1, is.length, 0, [0]]
  const old = joined(text('head'), stored, text('tail'))
  const of = (what: string, next: Uint8Array, steps: Numbers) =>
    vector(what, {
      old,
      next,
      packing: 'zstd',
      codecs,
      groups: [{ length: next.length, made: is.length, control: numbers(...steps), differences }],
    })
  return {
    zstd: of('a packed source, and a piece that zstd 1.5.5 makes at level 15', joined(text('head'), made, text('tail')), [
      ...[step.copy, [0] as const, 4],
      ...unit,
      ...[step.emit, 1, is.length, step.copy, [stored.length] as const, 4],
    ]),
    'zstd-metadata': of('the same as a block of metadata', joined(Uint8Array.of(made.length & 255, made.length >> 8), made), [
      ...unit,
      ...[step.emitMetadata, 1, is.length],
    ]),
    'source-size': refused(
      of('a source that becomes fewer bytes than it says', joined(made), [
        ...[
          step.unit,
          0,
          1,
          1,
          [4] as const,
          stored.length,
          was.length + 1,
          is.length,
          1,
          is.length,
          0,
          [0] as const,
          step.emit,
          1,
          is.length,
        ],
      ]),
    ),
  }
}
