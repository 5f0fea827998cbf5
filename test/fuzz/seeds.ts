// What inputs are made from: the vectors of the specification.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const vectors = join(process.cwd(), 'spec/vectors')

/** One field of every vector of a kind that has it as text. */
export function vectorTexts(
  kind: string,
  field: string,
  isWanted: (vector: Readonly<Record<string, unknown>>) => boolean = () => true,
): readonly string[] {
  return readdirSync(join(vectors, kind))
    .sort()
    .flatMap((name) => {
      const vector = JSON.parse(readFileSync(join(vectors, kind, name), 'utf8')) as Readonly<Record<string, unknown>>
      const value = vector[field]
      return typeof value === 'string' && isWanted(vector) ? [value] : []
    })
}

/** Whole vectors. */
export function vectorsOf<Vector>(kind: string): readonly Vector[] {
  return readdirSync(join(vectors, kind))
    .sort()
    .map((name) => JSON.parse(readFileSync(join(vectors, kind, name), 'utf8')) as Vector)
}

export function specText(name: string): string {
  return readFileSync(join(process.cwd(), 'spec', name), 'utf8')
}

export const utf8 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'utf8'))
export const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8')
export const base64 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'))
