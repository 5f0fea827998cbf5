// `verify --store` means "audit the store", `--store DIR` means "it is there"; the same with --remote. Told apart by what follows.
import { existsSync } from 'node:fs'

const bare: Readonly<Record<string, string>> = { '--store': '--audit-store', '--remote': '--audit-remote' }

/** Replaces flags that have no value by names of their own. A word with a slash or colon is a value, another one if it exists as a folder. */
export function nameBareFlags(argv: readonly string[]): string[] {
  return argv.map((word, at) => {
    const replacement = bare[word]
    const next = argv[at + 1]
    if (replacement === undefined || (next !== undefined && !next.startsWith('-') && (/[/:]/.test(next) || existsSync(next)))) return word
    return replacement
  })
}
