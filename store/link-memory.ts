// What is remembered of the way to remotes, so that the next plan is made for the link that there is (spec/sync.md 3). A hint, no more.
import { join } from 'node:path'
import * as v from 'valibot'
import { checkShape, isPsyblobError, parseJson, recordOf, utf8Decode, utf8Encode } from '../core/mod.ts'
import { readLimited, writeWhole } from './files.ts'
import type { LinkFigures } from './link.ts'

const positive = v.pipe(v.number(), v.minValue(0), v.maxValue(Number.MAX_SAFE_INTEGER))
const memory = v.strictObject({
  psyblob: v.literal('links/1'),
  /** By the addresses of the remotes as one text. */
  links: recordOf((text) => text, v.strictObject({ roundTrip: positive, bandwidth: v.pipe(positive, v.minValue(1)) })),
})

const limit = 64 * 1024
const mostLinks = 16

async function read(dir: string): Promise<Readonly<Record<string, LinkFigures>>> {
  const path = join(dir, 'links.json')
  try {
    const bytes = await readLimited(path, limit)
    return bytes === undefined
      ? {}
      : checkShape(memory, parseJson(utf8Decode(bytes, path).trimEnd(), { what: path, spaced: true }), path).links
  } catch (error) {
    // what cannot be read is forgotten
    if (isPsyblobError(error, 'malformed')) return {}
    throw error
  }
}

/** What an earlier run with the store in `dir` learnt of the way to these remotes. */
export async function rememberedLink(dir: string, label: string): Promise<LinkFigures | undefined> {
  const links = await read(dir)
  return Object.hasOwn(links, label) ? links[label] : undefined
}

/** Keeps what this run learnt, if it differs enough to change a plan. */
export async function rememberLink(dir: string, label: string, learnt: LinkFigures): Promise<void> {
  const links = await read(dir)
  const before = Object.hasOwn(links, label) ? links[label] : undefined
  if (before !== undefined && isLike(before.bandwidth, learnt.bandwidth) && isLike(before.roundTrip, learnt.roundTrip)) return
  // the last ones that changed
  const others = Object.entries(links).filter(([other]) => other !== label)
  const kept = Object.fromEntries([...others, [label, learnt] as const].slice(-mostLinks))
  await writeWhole(join(dir, 'links.json'), utf8Encode(`${JSON.stringify({ psyblob: 'links/1', links: kept }, null, 2)}\n`))
}

function isLike(one: number, two: number): boolean {
  return one < 1.25 * two && two < 1.25 * one
}
