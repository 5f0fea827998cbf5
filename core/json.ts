// JSON as our formats use it: one value a line, exactly as JSON.stringify writes it, so that there is one reading (spec/names.md 5).
import * as v from 'valibot'
import { PsyblobError } from './errors.ts'
import { limits } from './limits.ts'
import { visible } from './visible.ts'

export type JsonOptions = {
  /** Names the text in errors, e.g. `manifest os/17, line 3`. */
  readonly what: string
  /** A person wrote it: white space between tokens is allowed. Default false. */
  readonly spaced?: boolean
}

/** Of what a message says of a field or a value: either may be as long as the document. */
const longestQuote = 300

const quoted = (text: string) => visible(text.length > longestQuote ? `${text.slice(0, longestQuote)}…` : text)

const loneSurrogate = /\\ud[89a-f]/

/** True when `value` is nested deeper than `levels`; looks no deeper than that. */
function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  return levels === 0 || Object.values(value).some((inner) => isDeeper(inner, levels - 1))
}

/** JSON without the white space between its tokens. A loop, for an expression would need a stack as deep as the longest string is long. */
function compacted(text: string): string {
  const kept: string[] = []
  let from = 0
  let inString = false
  for (let at = 0; at < text.length; at++) {
    const character = text[at]
    if (inString && character === '\\') at++
    else if (character === '"') inString = !inString
    else if (!inString && (character === ' ' || character === '\n' || character === '\t' || character === '\r')) {
      kept.push(text.slice(from, at))
      from = at + 1
    }
  }
  return kept.join('') + text.slice(from)
}

/**
 * One JSON value from `text`. Refused as `malformed`: bad JSON, nesting deeper than 8, and anything that writing the value again
 * would not reproduce, which covers repeated keys, numbers in other spellings, lone surrogates and needless escapes.
 */
export function parseJson(text: string, options: JsonOptions): unknown {
  const refuse = (why: string, cause?: unknown): never => {
    throw new PsyblobError('malformed', `${options.what}: ${why}`, { cause })
  }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    refuse('not JSON', cause)
  }
  if (isDeeper(value, limits.jsonDepth)) refuse(`nested deeper than ${limits.jsonDepth} levels`)
  const compact = options.spaced === true ? compacted(text) : text
  // written anew these come out as they were, but UTF-8 has no bytes for them
  if (compact.includes('\\u') && loneSurrogate.test(compact.replaceAll('\\\\', ''))) refuse('half a character, a lone surrogate')
  if (JSON.stringify(value) !== compact) refuse('JSON with repeated keys, needless escapes or another spelling of a number')
  return value
}

/** `value` as `schema` describes it. Throws `malformed` with the field and what was expected of it. */
export function checkShape<const Schema extends v.GenericSchema>(schema: Schema, value: unknown, what: string): v.InferOutput<Schema> {
  const result = v.safeParse(schema, value, { abortEarly: true })
  if (result.success) return result.output
  const issue = result.issues[0]
  const field = v.getDotPath(issue)
  // what the library says of absent and superfluous fields is about its own workings
  const strict = issue.type === 'strict_object' && issue.path !== undefined
  const why =
    strict && issue.expected === 'never'
      ? 'not a field of this format'
      : strict && issue.received === 'undefined'
        ? 'missing'
        : issue.message
  throw new PsyblobError('malformed', `${what}: ${field === null ? '' : `field ${quoted(field)}: `}${quoted(why)}`)
}

/**
 * A schema for an object whose keys `parseKey` accepts. Nothing is dropped: a key that an object would take for its own, such as
 * `__proto__`, comes before `parseKey` like any other.
 */
export function recordOf<const Schema extends v.GenericSchema>(parseKey: (text: string) => string, schema: Schema) {
  return v.pipe(
    v.custom<Readonly<Record<string, unknown>>>((value) => typeof value === 'object' && value !== null && !Array.isArray(value)),
    v.rawTransform<Readonly<Record<string, unknown>>, Readonly<Record<string, v.InferOutput<Schema>>>>(({ dataset, addIssue, NEVER }) => {
      const entries: [string, v.InferOutput<Schema>][] = []
      for (const [key, value] of Object.entries(dataset.value)) {
        try {
          entries.push([parseKey(key), checkShape(schema, value, visible(key))])
        } catch (error) {
          if (!(error instanceof PsyblobError)) throw error
          addIssue({ message: error.message })
          return NEVER
        }
      }
      return Object.fromEntries(entries)
    }),
  )
}

/** A schema for text that `parse` accepts; what it throws becomes the schema's complaint. */
export function parsedBy<Text extends string>(parse: (text: string) => Text) {
  return v.pipe(
    v.string(),
    v.rawTransform<string, Text>(({ dataset, addIssue, NEVER }) => {
      try {
        return parse(dataset.value)
      } catch (error) {
        if (!(error instanceof PsyblobError)) throw error
        addIssue({ message: error.message })
        return NEVER
      }
    }),
  )
}
