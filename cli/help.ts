// What psyblob says when it is asked what it can do. No command is loaded for this.
import { type CatalogueEntry, catalogue, groups } from './catalogue.ts'

const title = 'psyblob keeps OS images as signed, content-addressed blobs and updates machines that must never brick'

const exitCodeText = `Exit status: 0 done, 1 a check that says no, 2 usage, 10 not found, 11 locked or conflict, 12 untrusted,
expired or rollback, 13 corrupt or malformed, 14 unavailable, 15 no space, 16 unsupported,
17 a program failed, 70 a bug, 130 interrupted.
`

/** All commands in their groups, one line each. */
export function overview(): string {
  const width = Math.max(...catalogue.map(({ path }) => path.join(' ').length))
  const sections = groups.map((group) => {
    const lines = catalogue
      .filter((entry) => entry.group === group)
      .map(({ path, summary }) => `  ${path.join(' ').padEnd(width)}  ${summary}\n`)
    return `${group}\n${lines.join('')}`
  })
  return `${title}\n\nUsage: psyblob COMMAND [PRODUCT] ...\n\n${sections.join('\n')}\npsyblob COMMAND --help explains a command and gives examples.\n${exitCodeText}`
}

/** The line that shows what a command takes. */
export function usageLine({ path, takes }: CatalogueEntry): string {
  return `Usage: psyblob ${path.join(' ')}${takes === '' ? '' : ` ${takes}`} [options]\n`
}

type Described = {
  readonly description?: string | undefined
  readonly details?: string | undefined
  readonly examples?: readonly (readonly [string, string])[] | undefined
  readonly options: readonly { readonly definition: string; readonly description?: string | undefined; readonly required: boolean }[]
}

/** What the value of an option is called; anything else is a VALUE. */
const values: Readonly<Record<string, string>> = {
  '--log': 'FILE',
  '--progress': 'MODE',
  '--store': 'DIR',
  '--composition': 'FILE',
  '--disk': 'IMAGE',
  '--booted': 'a|b',
  '--slot': 'a|b',
  '--key': 'KEY',
  '--remote': 'ADDRESS',
  '--mirror': 'ADDRESS',
  '--channel': 'NAME',
  '--compat': 'NAME',
  '--repo': 'NAME',
  '--slot-a': 'PLACE',
  '--slot-b': 'PLACE',
  '--esp': 'PLACE',
  '--timeout': 'SECONDS',
  '--expires': 'DAYS',
  '--path': 'PATH',
  '--password-file': 'FILE',
  '--recipe': 'FILE',
  '--out': 'OUT',
  '--modules': 'DIR',
  '--cache': 'DIR',
  '--menu': 'SECONDS',
  '--serial': 'SPEED',
  '--command-line': 'WORDS',
  '--os': 'PRODUCT',
  '--efisys': 'PRODUCT',
  '--slots': 'a|both',
  '--size': 'SIZE',
  '--slot-size': 'SIZE',
  '--data-size': 'SIZE',
  '--secret-tarball': 'FILE',
  '--secret': 'PATH',
  '--seed': 'TEXT',
  '--nodename': 'NAME',
  '--age-key': 'FILE',
  '--ssh-key': 'FILE',
  '--pubkey': 'KEY',
  '--mactab': 'FILE',
  '--network-interfaces': 'FILE',
  '--nebula-key': 'FILE',
  '--nebula-crt': 'FILE',
  '--nebula-ca': 'FILE',
  '--file': 'NAME=PATH',
  '--memory': 'MIB',
  '--cpus': 'COUNT',
  '--attach': 'IMAGE',
  '--vars': 'FILE',
  '--port': 'PORT',
  '--host': 'ADDRESS',
  '--limit': 'COUNT',
  '--comment': 'TEXT',
  '--untrusted-comment': 'TEXT',
  '--description': 'TEXT',
  '--version': 'VERSION',
  '--every': 'TIME',
  '--jitter': 'TIME',
  '--patience': 'TIME',
  '--health-time': 'TIME',
  '--health-dir': 'DIR',
  '--reboot': 'WHEN',
  '--why': 'TEXT',
}

/** Everything about one command. */
export function commandHelp(entry: CatalogueEntry, { description, details, examples, options }: Described): string {
  const rows = options.map((option) => {
    const name = option.definition.replace(/ #\d+/g, '').replaceAll(',', ', ')
    const value = option.definition.includes('#') ? ` ${values[name] ?? 'VALUE'}` : ''
    return [`  ${name}${value}`, `${option.description ?? ''}${option.required ? ' (required)' : ''}`] as const
  })
  const width = Math.max(...rows.map(([name]) => name.length))
  const list = rows.map(([name, text]) => `${name.padEnd(width)}  ${text}\n`).join('')
  const shown = (examples ?? []).map(([text, line]) => `  ${text}:\n    ${line.replaceAll('$0', 'psyblob')}\n`).join('')
  return `${description ?? ''}\n\n${usageLine(entry)}\n${wrapped(details ?? '')}\nExamples\n${shown}\nOptions\n${list}\n${exitCodeText}`
}

function wrapped(text: string): string {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + word.length < 100) lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines.map((line) => `${line}\n`).join('')
}

/** The commands below a word such as `key`. */
export function groupOverview(word: string): string | undefined {
  const below = catalogue.filter(({ path }) => path.length > 1 && path[0] === word)
  if (below.length === 0) return undefined
  return `Usage: psyblob ${word} COMMAND ...\n\n${below.map(({ path, summary }) => `  ${path.join(' ')}  ${summary}\n`).join('')}`
}
