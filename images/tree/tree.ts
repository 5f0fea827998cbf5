// A product that is files of a system: its root, what is installed there, who else has files there, and the lock of whoever writes.
import { realpath } from 'node:fs/promises'
import { relative } from 'node:path'
import {
  type Component,
  checkTree,
  type Entry,
  isPsyblobError,
  kindOf,
  type Manifest,
  PsyblobError,
  sharedPath,
  type TreeTarget,
  treeFolder,
  visible,
} from '../../core/mod.ts'
import { lock, type Release, type VerifiedManifest, verifyInstalled } from '../../store/mod.ts'
import { type Node, trustOf } from '../node.ts'
import { TreeRoot } from './tree-root.ts'

export function treeTarget({ name, target }: Component): TreeTarget {
  if (target.kind === 'tree') return target
  throw new PsyblobError('unsupported', `product ${name} has a target of kind ${target.kind}, and no files of a system`, {
    hint: 'give it "target":{"kind":"tree","root":"/"} in the composition',
  })
}

/** Looks at a root, without a lock. */
export async function lookAt<Result>(component: Component, work: (root: TreeRoot) => Promise<Result>): Promise<Result> {
  const { root: dir, mounts } = treeTarget(component)
  const root = new TreeRoot(dir, mounts)
  try {
    return await work(root)
  } finally {
    root.close()
  }
}

/** The same, held while `work` runs. Throws `locked`. */
export async function withTree<Result>(component: Component, work: (root: TreeRoot) => Promise<Result>): Promise<Result> {
  return lookAt(component, async (root) => {
    const held = await lock(`tree:${root.dir}:${component.name}`, { what: `${component.name} in ${root.dir}` })
    try {
      return await work(root)
    } finally {
      await held.release()
    }
  })
}

/** The release that the store says is installed; one of `known` is answered when it is that. Errors: as `signedTree`. */
export async function installedTree(
  node: Node,
  component: Component,
  ...known: readonly (Release | undefined)[]
): Promise<Release | undefined> {
  const serial = await node.store.link(component.name, 'current')
  // a hundred thousand entries need not be read, and kept, twice
  const same = known.find((one) => one?.manifest.serial === serial)
  if (serial !== undefined && same !== undefined && node.store.hasManifest(component.name, serial, same.cid)) return same
  const signed = await signedTree(node, component)
  return signed === undefined ? undefined : withoutBytes(signed)
}

export function withoutBytes({ manifest, cid }: VerifiedManifest): Release {
  return { manifest, cid }
}

/** The same with its signature. Throws `corrupt` when its manifest does not hold any more, for then nobody knows what is whose. */
export async function signedTree(node: Node, component: Component): Promise<VerifiedManifest | undefined> {
  const { name } = component
  const serial = await node.store.link(name, 'current')
  if (serial === undefined) return undefined
  const signed = await node.store.manifest(name, serial)
  const what = `manifest ${name}/${serial} in ${node.store.dir}`
  try {
    if (signed !== undefined) return verifyInstalled(signed, { authority: trustOf(node, component).authority, product: name }, what)
  } catch (error) {
    if (!isPsyblobError(error, 'untrusted', 'malformed', 'corrupt')) throw error
    node.report({ type: 'trace', text: error.message })
  }
  throw new PsyblobError('corrupt', `${what} is damaged or gone: what is installed is not known`, {
    hint: `psyblob apply ${name} --force compares every file with the newest release`,
  })
}

/** Throws what keeps a release from being written to this root, before anything is (spec/tree.md 1). */
export async function checkAdmissible(
  node: Node,
  component: Component,
  { root, manifest }: { readonly root: TreeRoot; readonly manifest: Manifest },
): Promise<{ readonly isClaimed: (path: string) => boolean }> {
  checkTree(manifest, component)
  const store = await realpath(node.store.dir).catch(() => node.store.dir)
  const inside = `/${relative(root.dir, store)}`
  const own = inside.startsWith('/..')
    ? undefined
    : manifest.records.find(
        (record) =>
          record.path === inside ||
          record.path.startsWith(`${inside}/`) ||
          // what replaces a folder above moves the store away
          (inside.startsWith(`${record.path}/`) && kindOf(record) !== 'directory'),
      )
  if (own !== undefined) {
    throw new PsyblobError(
      'conflict',
      `${manifest.name} ${manifest.serial}: ${visible(own.path)} lies in the store ${visible(store)}, or in its way`,
      {
        hint: 'name another store with --store',
      },
    )
  }
  const folders = new Set<string>()
  for (const other of node.components) {
    if (other.name === component.name || other.target.kind !== 'tree') continue
    const theirRoot = await realpath(other.target.root).catch(() => undefined)
    const nesting = theirRoot === undefined ? undefined : nestingOf(root.dir, theirRoot)
    if (nesting === undefined) continue
    const { below } = nesting
    if (below !== undefined) {
      refuseOwn(manifest, other, below)
      // it is to stay, whether something is installed there or not
      for (let end = below.length; end > 0; end = below.lastIndexOf('/', end - 1)) folders.add(below.slice(0, end))
    }
    const installed = await otherTree(node, other)
    const theirs = installed === undefined ? [] : nesting.seen(installed.manifest.records)
    const path = inTheWay(manifest, below) ?? sharedPath(manifest.records, theirs)
    if (path !== undefined) {
      const its = installed === undefined ? other.name : `${other.name} ${installed.manifest.serial}`
      throw new PsyblobError('conflict', `${component.name} ${manifest.serial} and ${its} both have ${visible(path)}`, {
        hint: 'one of the two publishers leaves it out, or the composition one of the two products',
      })
    }
    for (const record of theirs) if (kindOf(record) === 'directory') folders.add(record.path)
  }
  return { isClaimed: (path) => folders.has(path) }
}

/** What is installed of another product of the composition. Throws `corrupt` with what mends it. */
async function otherTree(node: Node, other: Component): Promise<Release | undefined> {
  return installedTree(node, other).catch((error: unknown) => {
    if (!isPsyblobError(error, 'corrupt')) throw error
    throw new PsyblobError('corrupt', error.message, { cause: error, hint: `psyblob repair ${other.name} fetches its manifest again` })
  })
}

/** Throws `untrusted` for what lies where psyblob keeps files of another product: its journal is believed. */
function refuseOwn({ name, serial, records }: Manifest, { name: other, target }: Component, below: string): void {
  const mounts = target.kind === 'tree' ? (target.mounts ?? []) : []
  const own = ['', ...mounts].map((mount) => `${below}${mount}/${treeFolder}`)
  const record = records.find(({ path }) => own.some((place) => path === place || path.startsWith(`${place}/`)))
  if (record === undefined) return
  throw new PsyblobError('untrusted', `${name} ${serial}: ${visible(record.path)} lies where psyblob keeps files of its own for ${other}`, {
    hint: 'the publisher leaves it out',
  })
}

/** The entry that another root would have to be replaced by. */
function inTheWay({ records }: Manifest, below: string | undefined): string | undefined {
  return records.find(
    (record) => below !== undefined && kindOf(record) !== 'directory' && (record.path === below || below.startsWith(`${record.path}/`)),
  )?.path
}

type Nesting = {
  seen(records: readonly Entry[]): readonly Entry[]
  /** Where the other root lies in ours. */
  readonly below?: string
}

/** How entries of another root look from ours: as they are, below a folder of ours, or those of them that lie in our root. Undefined: they do not meet. */
function nestingOf(ours: string, theirs: string): Nesting | undefined {
  if (ours === theirs) return { seen: (records) => records }
  const [above, below] = [ours, theirs].map((dir) => (dir === '/' ? '/' : `${dir}/`)) as [string, string]
  if (below.startsWith(above)) {
    const prefix = `/${theirs.slice(above.length)}`
    return { below: prefix, seen: (records) => records.map((record) => ({ ...record, path: `${prefix}${record.path}` })) }
  }
  if (!above.startsWith(below)) return undefined
  const prefix = `/${ours.slice(below.length)}`
  return {
    seen: (records) =>
      records.filter(({ path }) => path.startsWith(`${prefix}/`)).map((record) => ({ ...record, path: record.path.slice(prefix.length) })),
  }
}
