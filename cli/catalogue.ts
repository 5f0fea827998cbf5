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
    path: ['root', 'init'],
    takes: 'FILE',
    group: 'Publisher',
    summary: 'begin the first root: which keys may sign what',
    load: async () => (await import('./commands/root/init.ts')).RootInit,
  },
  {
    path: ['root', 'prepare'],
    takes: 'FILE',
    group: 'Publisher',
    summary: 'begin the next root of a repository',
    load: async () => (await import('./commands/root/prepare.ts')).RootPrepare,
  },
  {
    path: ['root', 'add-key'],
    takes: 'FILE KEY',
    group: 'Publisher',
    summary: 'let a key sign something',
    load: async () => (await import('./commands/root/add-key.ts')).RootAddKey,
  },
  {
    path: ['root', 'remove-key'],
    takes: 'FILE KEY',
    group: 'Publisher',
    summary: 'let a key sign something no more',
    load: async () => (await import('./commands/root/remove-key.ts')).RootRemoveKey,
  },
  {
    path: ['root', 'set-threshold'],
    takes: 'FILE COUNT',
    group: 'Publisher',
    summary: 'say how many keys have to sign',
    load: async () => (await import('./commands/root/set-threshold.ts')).RootSetThreshold,
  },
  {
    path: ['root', 'set-floor'],
    takes: 'FILE PRODUCT SERIAL',
    group: 'Publisher',
    summary: 'say which serial is the least',
    load: async () => (await import('./commands/root/set-floor.ts')).RootSetFloor,
  },
  {
    path: ['root', 'revoke'],
    takes: 'FILE CID…',
    group: 'Publisher',
    summary: 'take releases or blobs back',
    load: async () => (await import('./commands/root/revoke.ts')).RootRevoke,
  },
  {
    path: ['root', 'sign'],
    takes: 'FILE',
    group: 'Publisher',
    summary: 'add a signature to a root',
    load: async () => (await import('./commands/root/sign.ts')).RootSign,
  },
  {
    path: ['root', 'publish'],
    takes: 'FILE',
    group: 'Publisher',
    summary: 'publish a signed root',
    load: async () => (await import('./commands/root/publish.ts')).RootPublish,
  },
  {
    path: ['root', 'show'],
    takes: '[FILE]',
    group: 'Publisher',
    summary: 'say who may sign what',
    load: async () => (await import('./commands/root/show.ts')).RootShow,
  },
  {
    path: ['build', 'disk'],
    takes: 'OUT',
    group: 'Publisher',
    summary: 'make a disk image that boots, from signed releases',
    load: async () => (await import('./commands/build/disk.ts')).BuildDisk,
  },
  {
    path: ['build', 'efisys'],
    takes: '',
    group: 'Publisher',
    summary: 'make a release folder with the boot loader',
    load: async () => (await import('./commands/build/efisys.ts')).BuildEfisys,
  },
  {
    path: ['build', 'initramfs'],
    takes: '',
    group: 'Publisher',
    summary: 'make what finds the slot and starts the system in it',
    load: async () => (await import('./commands/build/initramfs.ts')).BuildInitramfs,
  },
  {
    path: ['build', 'kernel'],
    takes: '',
    group: 'Publisher',
    summary: 'take kernel and modules out of a package or a folder',
    load: async () => (await import('./commands/build/kernel.ts')).BuildKernel,
  },
  {
    path: ['build', 'iso'],
    takes: 'OUT',
    group: 'Publisher',
    summary: 'make an ISO image that boots, from signed releases',
    load: async () => (await import('./commands/build/iso.ts')).BuildIso,
  },
  {
    path: ['build', 'os'],
    takes: '',
    group: 'Publisher',
    summary: 'make a release folder from a recipe',
    load: async () => (await import('./commands/build/os.ts')).BuildOs,
  },
  {
    path: ['build', 'rootfs'],
    takes: '',
    group: 'Publisher',
    summary: 'make the root file system of a recipe',
    load: async () => (await import('./commands/build/rootfs.ts')).BuildRootfs,
  },
  {
    path: ['build', 'secret'],
    takes: 'OUT',
    group: 'Publisher',
    summary: 'make what is one node’s alone: name, keys, network',
    load: async () => (await import('./commands/build/secret.ts')).BuildSecret,
  },
  {
    path: ['build', 'squashfs'],
    takes: 'INPUT OUT',
    group: 'Publisher',
    summary: 'make a squashfs of a tar file or a folder',
    load: async () => (await import('./commands/build/squashfs.ts')).BuildSquashfs,
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
    path: ['hold'],
    takes: '[PRODUCT...]',
    group: 'Node',
    summary: 'keep a product as it is',
    load: async () => (await import('./commands/hold.ts')).Hold,
  },
  {
    path: ['unhold'],
    takes: '[PRODUCT...]',
    group: 'Node',
    summary: 'let a held product go on',
    load: async () => (await import('./commands/unhold.ts')).Unhold,
  },
  {
    path: ['repair'],
    takes: '[PRODUCT]',
    group: 'Node',
    summary: 'mend a slot, fetching only what is bad',
    load: async () => (await import('./commands/repair.ts')).Repair,
  },
  {
    path: ['agent'],
    takes: '',
    group: 'Node',
    summary: 'health checks, updates and reboots by itself',
    load: async () => (await import('./commands/agent.ts')).Agent,
  },
  {
    path: ['status'],
    takes: '[PRODUCT...]',
    group: 'Operator',
    summary: 'what runs where, what boots next, and why',
    load: async () => (await import('./commands/status.ts')).Status,
  },
  {
    path: ['why'],
    takes: '[PRODUCT...]',
    group: 'Operator',
    summary: 'say why this machine runs what it runs',
    load: async () => (await import('./commands/why.ts')).Why,
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
    path: ['license'],
    takes: 'PATH',
    group: 'Operator',
    summary: 'print the licence of a file of the system',
    load: async () => (await import('./commands/license.ts')).License,
  },
  {
    path: ['source'],
    takes: 'PATH',
    group: 'Operator',
    summary: 'download the source of a file of the system',
    load: async () => (await import('./commands/source.ts')).Source,
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
    path: ['vm'],
    takes: 'DISK',
    group: 'Operator',
    summary: 'boot a disk image in QEMU',
    load: async () => (await import('./commands/vm.ts')).Vm,
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
