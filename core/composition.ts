// The composition: what this system consists of, one record a product (spec/composition.md). People write it.
import * as v from 'valibot'
import { PsyblobError } from './errors.ts'
import { checkShape, parsedBy, parseJson } from './json.ts'
import { limits } from './limits.ts'
import { parseName, parsePath } from './names.ts'

const name = (kind: string) => parsedBy((value: string) => parseName(value, kind))
const text = v.pipe(v.string(), v.minLength(1), v.maxLength(4096))
const place = v.union([v.strictObject({ dir: text }), v.strictObject({ device: text }), v.strictObject({ label: text })])
const target = v.variant('kind', [
  v.strictObject({ kind: v.literal('slots'), a: v.exactOptional(place), b: v.exactOptional(place), esp: v.exactOptional(place) }),
  v.strictObject({ kind: v.literal('esp'), esp: v.exactOptional(place) }),
  v.strictObject({ kind: v.literal('tree'), root: text, mounts: v.exactOptional(v.pipe(v.array(parsedBy(parsePath)), v.maxLength(64))) }),
])
/** What decides between a patch and chunks: the least seconds, or the least bytes. `chunks`: no patch is ever taken. */
export const preferences = ['time', 'bytes', 'chunks'] as const
export type Preference = (typeof preferences)[number]

const component = v.strictObject({
  name: name('product'),
  key: text,
  uris: v.pipe(v.array(text), v.minLength(1), v.maxLength(limits.remotes)),
  channel: v.optional(name('channel'), 'stable'),
  target: v.optional(target, { kind: 'slots' }),
  repo: v.exactOptional(name('repository')),
  compat: v.exactOptional(name('compat')),
  'post-exec': v.exactOptional(v.boolean()),
  prefer: v.exactOptional(v.picklist(preferences)),
  allow: v.exactOptional(v.array(v.picklist(['setuid']))),
})

/** Where a slot or the EFI partition is. */
export type Place = v.InferOutput<typeof place>
export type Target = v.InferOutput<typeof target>
export type SlotsTarget = Extract<Target, { kind: 'slots' }>
export type EspTarget = Extract<Target, { kind: 'esp' }>
export type TreeTarget = Extract<Target, { kind: 'tree' }>
/** One product of a composition. */
export type Component = v.InferOutput<typeof component>

/** Reads a composition: JSON Lines with any spacing; empty lines are skipped. Throws `malformed` with the line. */
export function parseComposition(source: string, what: string): readonly Component[] {
  const components: Component[] = []
  for (const [at, line] of source.split('\n').entries()) {
    if (line.trim() === '') continue
    const where = `${what}, line ${at + 1}`
    const parsed = checkShape(component, parseJson(line.trim(), { what: where, spaced: true }), where)
    if (components.some((other) => other.name === parsed.name))
      throw new PsyblobError('malformed', `${where}: product ${parsed.name} is listed twice`)
    components.push(parsed)
  }
  if (components.length === 0)
    throw new PsyblobError('malformed', `${what}: no product in it`, { hint: 'spec/composition.md shows what a line looks like' })
  return components
}
