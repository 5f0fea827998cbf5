// What was found once: one file an input, in a folder for each parser, so that it is tried again for ever.
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

// tests and commands are run in the folder of the project
const root = join(process.cwd(), 'test/fuzz/corpus')

export type Case = { readonly name: string; readonly input: Uint8Array }

export function corpusOf(parser: string): readonly Case[] {
  const folder = join(root, parser)
  try {
    return readdirSync(folder)
      .sort()
      .map((name) => ({ name, input: Uint8Array.from(readFileSync(join(folder, name))) }))
  } catch {
    // nothing was found in it yet
    return []
  }
}

/** The folders there are: each must be a parser's. */
export function corpusFolders(): readonly string[] {
  return readdirSync(root).sort()
}

/** Answers the path. */
export function keepCase(parser: string, input: Uint8Array): string {
  const path = join(root, parser, createHash('sha256').update(input).digest('hex').slice(0, 12))
  mkdirSync(join(root, parser), { recursive: true })
  writeFileSync(path, input)
  return path
}
