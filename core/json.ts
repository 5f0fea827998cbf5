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

const stringOrSpace = /("(?:[^"\\]|\\.)*")|\s+/g

function depthOf(text: string): number {
  let depth = 0
  let deepest = 0
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{}]/g)) {
    if (token === '{' || token === '[') deepest = Math.max(deepest, ++depth)
    else if (token === '}' || token === ']') depth--
  }
  return deepest
}

/**
 * One JSON value from `text`. Refused as `malformed`: bad JSON, nesting deeper than 8, and anything that writing the value again
 * would not reproduce, which covers repeated keys, numbers in other spellings, lone surrogates and needless escapes.
 */
export function parseJson(text: string, options: JsonOptions): unknown {
  const refuse = (why: string, cause?: unknown): never => {
    throw new PsyblobError('malformed', `${options.what}: ${why}`, { cause })
  }
  if (depthOf(text) > limits.jsonDepth) refuse(`nested deeper than ${limits.jsonDepth} levels`)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    refuse('not JSON', cause)
  }
  const compact = options.spaced === true ? text.replace(stringOrSpace, '$1') : text
  if (JSON.stringify(value) !== compact) refuse('JSON with repeated keys, needless escapes or another spelling of a number')
  return value
}

/** `value` as `schema` describes it. Throws `malformed` with the field and what was expected of it. */
export function checkShape<const Schema extends v.GenericSchema>(schema: Schema, value: unknown, what: string): v.InferOutput<Schema> {
  const result = v.safeParse(schema, value, { abortEarly: true })
  if (result.success) return result.output
  const issue = result.issues[0]
  const field = v.getDotPath(issue)
  throw new PsyblobError('malformed', `${what}: ${field === null ? '' : `field ${visible(field)}: `}${visible(issue.message)}`)
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
