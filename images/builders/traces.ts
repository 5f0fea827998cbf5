// What building leaves in a root file system and no image wants: secrets that would be everybody's, names, times, caches (spec/recipe.md 6).
import { globTest } from '../../store/mod.ts'
import { type RootTree, rootNode } from './root-tree.ts'

/** Taken out with everything below. */
const traces = globTest([
  // mounted over, or made anew at every boot
  '/dev/*',
  '/proc/*',
  '/sys/*',
  '/run/*',
  '/tmp/*',
  '/var/tmp/*',
  '/lost+found',
  '/.dockerenv',
  // keys that every machine must have for itself
  '/etc/ssh/ssh_host_*',
  '/etc/dropbear/dropbear_*_host_key',
  '/etc/ssl/private/ssl-cert-snakeoil.key',
  '/etc/ssl/certs/ssl-cert-snakeoil.pem',
  '/var/lib/systemd/random-seed',
  '/var/lib/systemd/credential.secret',
  // package lists and what is kept to go back to
  '/var/lib/apt/lists/*',
  '/var/cache/apt/*',
  '/var/cache/apk/*',
  '/var/cache/debconf/*-old',
  '/var/lib/dpkg/*-old',
  ...['passwd', 'group', 'shadow', 'gshadow', 'subuid', 'subgid'].map((name) => `/etc/${name}-`),
  // with inode numbers and times in them
  '/var/cache/ldconfig/aux-cache',
  '/var/cache/man/*',
  '/root/.*_history',
  '/root/.wget-hsts',
])

/** Taken out where it is a file: a symlink leads to what the running system makes. */
const hostFiles = globTest(['/etc/hostname', '/etc/resolv.conf', '/var/lib/dbus/machine-id', '/var/log/**'])

/** Where something is mounted at boot; permissions. */
const mountPoints: Readonly<Record<string, number>> = {
  dev: 0o755,
  proc: 0o555,
  sys: 0o555,
  run: 0o755,
  tmp: 0o1777,
  'var/tmp': 0o1777,
  'lib/modules': 0o755,
}

export function removeTraces(tree: RootTree): void {
  tree.drop((path, node) => traces(path) || (node.kind === 'file' && hostFiles(path)))
  // systemd takes an empty one for "to be made at boot", an absent one for the first boot of all
  if (tree.at('etc/machine-id') !== undefined) tree.put('etc/machine-id', rootNode({ kind: 'file', mode: 0o444 }))
}

export function makeMountPoints(tree: RootTree): void {
  for (const [path, mode] of Object.entries(mountPoints))
    if (tree.at(path) === undefined) tree.put(path, rootNode({ kind: 'folder', mode }))
}
