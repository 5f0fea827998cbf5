// A licence map, which people write: which files are under which licence, and where their source is (spec/manifest.md 9).
import * as v from 'valibot'
import { checkShape, limits, PsyblobError, parseJson, utf8Decode, visible } from '../core/mod.ts'
import { readLimited } from './files.ts'
import { globTest } from './glob.ts'

const text = (most: number) => v.pipe(v.string(), v.minLength(1), v.maxLength(most))
const rule = v.strictObject({ path: text(1024), licence: v.exactOptional(text(1024)), source: v.exactOptional(text(255)) })

export type MappedLicence = { readonly licence?: string; readonly source?: string }
/** What the map says of a path, the last line that says something of it first. */
export type LicenceMap = (path: string) => MappedLicence

/** More than that in one pattern takes for ever on some paths. */
const mostStars = 4

function patternOf(path: string, where: string): (path: string) => boolean {
  const refuse = (why: string, cause?: unknown) =>
    new PsyblobError('malformed', `${where}: ${why}`, { cause, hint: 'spec/recipe.md 5 says what patterns are like' })
  if ((path.match(/\*+/g)?.length ?? 0) > mostStars) throw refuse(`more than ${mostStars} stars in one pattern`)
  try {
    return globTest([path])
  } catch (cause) {
    throw refuse('no pattern', cause)
  }
}

/** Throws `not-found`, `malformed` with the line. */
export async function readLicenceMap(file: string): Promise<LicenceMap> {
  const bytes = await readLimited(file, limits.composition)
  if (bytes === undefined)
    throw new PsyblobError('not-found', `no licence map ${visible(file)}`, {
      hint: 'check the path; spec/manifest.md 9 shows what it looks like',
    })
  const rules = utf8Decode(bytes, file)
    .split('\n')
    .flatMap((line, at) => {
      if (line.trim() === '') return []
      const where = `${visible(file)}, line ${at + 1}`
      const { path, ...said } = checkShape(rule, parseJson(line.trim(), { what: where, spaced: true }), where)
      if (!path.startsWith('/') || (said.licence === undefined && said.source === undefined))
        throw new PsyblobError(
          'malformed',
          `${where}: ${path.startsWith('/') ? 'neither licence nor source' : 'the path is not absolute'}`,
          {
            hint: 'a line looks like {"path":"/usr/lib/foo/**","licence":"GPL-2.0-only","source":"foo_1.2.tar.xz"}',
          },
        )
      return [{ test: patternOf(path, where), said }]
    })
  return (path) => {
    const found: { licence?: string; source?: string } = {}
    for (const { test, said } of rules) if (test(path.slice(1))) Object.assign(found, said)
    return found
  }
}
