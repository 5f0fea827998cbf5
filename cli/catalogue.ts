// Every command: where it stands, what it does in one line, and how its module is loaded, one a run.
import type { CommandClass } from 'clipanion'
import type { BaseCommand } from './command.ts'

export const groups = ['Publisher', 'Node', 'Operator'] as const
export type Group = (typeof groups)[number]

export type CatalogueEntry = {
  /** The words after `psyblob`. */
  readonly path: readonly [string, ...string[]]
  /** What it takes besides options. */
  readonly takes: string
  readonly group: Group
  readonly summary: string
  readonly load: () => Promise<CommandClass<BaseCommand['context']>>
}

export const catalogue: readonly CatalogueEntry[] = [
  {
    path: ['key', 'new'],
    takes: 'OUT',
    group: 'Publisher',
    summary: 'make a key pair',
    load: async () => (await import('./commands/key/new.ts')).KeyNew,
  },
  {
    path: ['key', 'show'],
    takes: 'FILE',
    group: 'Publisher',
    summary: 'say what a key file is',
    load: async () => (await import('./commands/key/show.ts')).KeyShow,
  },
  {
    path: ['sign'],
    takes: 'FILE',
    group: 'Publisher',
    summary: 'sign any file, as minisign does',
    load: async () => (await import('./commands/sign.ts')).Sign,
  },
  {
    path: ['init'],
    takes: 'REMOTE',
    group: 'Publisher',
    summary: 'make an empty repository',
    load: async () => (await import('./commands/init.ts')).Init,
  },
  {
    path: ['publish'],
    takes: 'PRODUCT DIR',
    group: 'Publisher',
    summary: 'publish a folder as the next release',
    load: async () => (await import('./commands/publish.ts')).Publish,
  },
  {
    path: ['serve'],
    takes: '[DIR]',
    group: 'Publisher',
    summary: 'serve a repository over HTTP',
    load: async () => (await import('./commands/serve.ts')).Serve,
  },
  {
    path: ['sync'],
    takes: '[PRODUCT...]',
    group: 'Node',
    summary: 'bring this machine up to date',
    load: async () => (await import('./commands/sync.ts')).Sync,
  },
  {
    path: ['refresh'],
    takes: '[PRODUCT...]',
    group: 'Node',
    summary: 'fetch and verify pointers and manifests only',
    load: async () => (await import('./commands/refresh.ts')).Refresh,
  },
  {
    path: ['download'],
    takes: 'PRODUCT DIR',
    group: 'Node',
    summary: 'copy a release to a folder, e.g. a USB stick',
    load: async () => (await import('./commands/download.ts')).Download,
  },
  {
    path: ['apply'],
    takes: 'PRODUCT [a|b]',
    group: 'Node',
    summary: 'write a release into a slot',
    load: async () => (await import('./commands/apply.ts')).Apply,
  },
  {
    path: ['activate'],
    takes: 'a|b',
    group: 'Node',
    summary: 'let a slot boot first',
    load: async () => (await import('./commands/activate.ts')).Activate,
  },
  {
    path: ['mark'],
    takes: 'good|bad [a|b]',
    group: 'Node',
    summary: 'say that a slot boots well, or does not',
    load: async () => (await import('./commands/mark.ts')).Mark,
  },
  {
    path: ['rollback'],
    takes: '',
    group: 'Node',
    summary: 'go back to the release in the other slot',
    load: async () => (await import('./commands/rollback.ts')).Rollback,
  },
  {
    path: ['repair'],
    takes: '[PRODUCT]',
    group: 'Node',
    summary: 'mend a slot, fetching only what is bad',
    load: async () => (await import('./commands/repair.ts')).Repair,
  },
  {
    path: ['status'],
    takes: '[PRODUCT...]',
    group: 'Operator',
    summary: 'what runs where, what boots next, and why',
    load: async () => (await import('./commands/status.ts')).Status,
  },
  {
    path: ['show'],
    takes: 'PRODUCT',
    group: 'Operator',
    summary: 'print a release',
    load: async () => (await import('./commands/show.ts')).Show,
  },
  {
    path: ['history'],
    takes: 'PRODUCT',
    group: 'Operator',
    summary: 'list the releases of a product',
    load: async () => (await import('./commands/history.ts')).History,
  },
  {
    path: ['diff'],
    takes: 'PRODUCT A B',
    group: 'Operator',
    summary: 'what changed, and what an update fetches',
    load: async () => (await import('./commands/diff.ts')).Diff,
  },
  {
    path: ['check'],
    takes: 'current|latest [PRODUCT...] | PRODUCT [a|b]',
    group: 'Operator',
    summary: 'is it that release? yes or no',
    load: async () => (await import('./commands/check.ts')).Check,
  },
  {
    path: ['verify'],
    takes: '[PRODUCT...]',
    group: 'Operator',
    summary: 'audit every byte against its signature',
    load: async () => (await import('./commands/verify.ts')).Verify,
  },
  {
    path: ['gc'],
    takes: '',
    group: 'Operator',
    summary: 'drop what is not needed from the local store',
    load: async () => (await import('./commands/gc.ts')).Gc,
  },
]

/** The entry that the first words of `argv` name. */
export function findEntry(argv: readonly string[]): CatalogueEntry | undefined {
  return catalogue.find(({ path }) => path.every((word, at) => argv[at] === word))
}
