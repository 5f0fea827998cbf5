// Writes one group of a patch: its steps as numbers, the differences of its units, what is brought along (spec/patch.md 4 and 5).
import type { Triple } from './bsdiff.ts'
import type { Piece } from './content.ts'
import type { Source } from './old-files.ts'
import type { GroupStreams } from './patch-group.ts'
import type { Step } from './patch-outline.ts'
import { isPacked, isPart, isSame, metadataHeadBytes, shapeFields, steps, unitKinds } from './patch-steps.ts'
import type { TableShape } from './table-text.ts'
import { VarintWriter } from './varint.ts'
import { packZeroRuns } from './zero-runs.ts'

/** What a maker of patches has: the difference of each unit, and what is brought along. */
export interface GroupContent {
  /** Of a unit that is reached: how its bytes differ from its sources. */
  difference(unit: Extract<Step, { do: 'unit' }>['unit']): {
    readonly triples: readonly Triple[]
    readonly differences: Uint8Array
    readonly inserted: Uint8Array
  }
  /** Bytes of the new blob as they are. */
  literal(at: number, length: number): Uint8Array
  /** The codec that makes that piece: its number from 1 on. */
  codec(piece: Piece): number
}

/** The streams of a group, and how many bytes it encodes. */
export function writeGroup(outline: readonly Step[], content: GroupContent): GroupStreams & { readonly made: number } {
  const control = new VarintWriter()
  const inserted = new VarintWriter()
  const differences: Uint8Array[] = []
  let [copied, sourced, made] = [0, 0, 0]
  for (const step of outline) {
    switch (step.do) {
      case 'copy':
        control.put(steps.indexOf('copy'))
        control.putSigned(step.from - copied)
        control.put(step.length)
        copied = step.from + step.length
        break
      case 'literal':
        control.put(steps.indexOf('literal'))
        control.put(step.length)
        inserted.putBytes(content.literal(step.at, step.length))
        break
      case 'unit': {
        const { sources, pieces, tables } = step.unit
        control.put(steps.indexOf('unit'))
        control.put(unitKinds.indexOf(tables === undefined ? 'bytes' : 'tables'))
        if (tables !== undefined) for (const shape of [tables.old, tables.next]) putShape(shape)
        control.put(sources.length)
        for (const [number, source] of sources.entries()) putSource(source, sources[number - 1])
        const raw = pieces.reduce((sum, piece) => sum + piece.raw, 0)
        control.put(raw)
        made += raw
        const difference = content.difference(step.unit)
        control.put(difference.triples.length)
        for (const { add, insert, seek } of difference.triples) {
          control.put(add)
          control.put(insert)
          control.putSigned(seek)
        }
        differences.push(difference.differences.slice())
        inserted.putBytes(difference.inserted)
        break
      }
      case 'emit': {
        const { piece } = step
        control.put(steps.indexOf(piece.isMetadata ? 'emit metadata' : 'emit'))
        control.put(piece.isPacked ? content.codec(piece) : 0)
        control.put(piece.raw)
      }
    }
  }
  return { control: control.finish(), differences: packZeroRuns(joined(differences)), inserted: inserted.finish(), made }

  function putShape(shape: TableShape): void {
    for (const field of shapeFields) control.put(shape[field])
  }

  function putSource({ piece, from, length }: Source, before: Source | undefined): void {
    if (before?.piece === piece) control.put(isSame | isPart)
    else {
      const head = piece.isMetadata ? metadataHeadBytes : 0
      const part = from !== 0 || length !== piece.raw
      control.put((piece.isPacked ? isPacked : 0) | (part ? isPart : 0))
      const skipped = piece.at + head - sourced
      if (before === undefined) control.putSigned(skipped)
      else control.put(skipped)
      control.put(piece.length - head)
      sourced = piece.at + piece.length
      if (piece.isPacked) control.put(piece.raw)
      if (!part) return
    }
    control.put(from)
    control.put(length)
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}
