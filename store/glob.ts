// Patterns for paths of a root file system, as a recipe's `exclude` and a licence map have them (spec/recipe.md 5, manifest.md 9).

/**
 * Tests for paths without a slash at the start. `*` and `?` stay within one name, `**` does not, `[a-z]` is one character of these.
 * What a pattern names is meant with everything below it.
 */
export function globTest(patterns: readonly string[]): (path: string) => boolean {
  if (patterns.length === 0) return () => false
  const tests = patterns.map((pattern) => new RegExp(`^${expression(pattern.replace(/^\/+|\/+$/g, ''))}$`, 's'))
  return (path) => tests.some((test) => test.test(path))
}

function expression(pattern: string): string {
  // paths are compared byte by byte
  const bytes = Buffer.from(pattern, 'utf8').toString('latin1')
  return bytes.replace(/\*\*\/|\*\*|\*|\?|\[!?[^\]/]+\]|[\\^$.|+()[\]{}]/g, (part) => {
    if (part === '**/') return '(?:.*/)?'
    if (part === '**') return '.*'
    if (part === '*') return '[^/]*'
    if (part === '?') return '[^/]'
    if (part.length > 2) return `[${part.slice(1, -1).replace(/^!/, '^').replace(/[\\[]/g, '\\$&')}]`
    return `\\${part}`
  })
}
