// `verify --store` means "audit the store", `--store DIR` means "it is there"; the same with --remote. Told apart by what stands around it.
import { existsSync } from 'node:fs'
import { join } from 'node:path'

const bare: Readonly<Record<string, string>> = { '--store': '--audit-store', '--remote': '--audit-remote' }
/** What makes a folder one that the flag can mean. */
const marks: Readonly<Record<string, string>> = { '--store': 'state.json', '--remote': 'psyblob.json' }
const withoutValue = ['--json', '-q', '--quiet', '-v', '--verbose', ...Object.values(bare)]

/**
 * Replaces flags that have no value by names of their own. A word with a slash or colon is a value, and any word once the product has
 * been named; so is a store or a repository of that name, but not any folder that is called like a product.
 */
export function nameBareFlags(argv: readonly string[]): string[] {
  const named: string[] = []
  let products = -1 // the command itself is the first word
  let isValue = false
  for (const [at, word] of argv.entries()) {
    const next = argv[at + 1]
    const replacement: string | undefined = isValue ? undefined : bare[word]
    const hasValue: boolean =
      next !== undefined && !next.startsWith('-') && (products > 0 || /[/:]/.test(next) || existsSync(join(next, marks[word] ?? '')))
    named.push(replacement === undefined || hasValue ? word : replacement)
    if (isValue) isValue = false
    else if (!word.startsWith('-')) products++
    else isValue = replacement === undefined ? !word.includes('=') && !withoutValue.includes(word) : hasValue
  }
  return named
}
