// Licence and corresponding source of a file of the system, as its release states them (spec/tree.md 7).
import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import { type CID, type Component, type Entry, isPsyblobError, kindOf, type Manifest, PsyblobError, visible } from '../../core/mod.ts'
import { cidOfFile, fetchBlobs, findRelease, flushFolder, hasCode, makeFolder, type Release, readLimited } from '../../store/mod.ts'
import { type Node, openSource, trustOf } from '../node.ts'
import { installedTree, lookAt } from './tree.ts'

export type Licence = {
  readonly product: string
  readonly serial: number
  readonly path: string
  /** What the record says: a path in the release, or a text. */
  readonly licence: string
  /** The text of the file that it names; null when it is a text itself. */
  readonly text: string | null
}

export type SourcePackage = {
  readonly product: string
  readonly serial: number
  readonly path: string
  readonly name: string
  readonly cid: CID
  readonly size: number
  /** Where it is now. */
  readonly file: string
}

type Owned = { readonly component: Component; readonly release: Release; readonly record: Entry }

/** A licence of more bytes than that is none. */
const longestLicence = 4 * 1024 * 1024
const mostLinks = 40

/** Throws `not-found` when no product here has the path, or its release states none. */
export async function licenceOf(node: Node, path: string): Promise<Licence> {
  const { component, release, record } = await ownerOf(node, path)
  const { licence } = record
  const { manifest } = release
  if (licence === null) {
    throw new PsyblobError('not-found', `${component.name} ${manifest.serial} states no licence of ${visible(record.path)}`, {
      hint: 'ask the publisher: psyblob publish --licence-map FILE adds it',
    })
  }
  const answer = { product: component.name, serial: manifest.serial, path: record.path, licence }
  const named = licence.startsWith('/') ? resolved(manifest, licence) : undefined
  if (named?.bin === null || named?.bin === undefined) return { ...answer, text: null }
  const bytes = await bytesOf(node, component, { path: named.path, cid: named.bin.cid, size: named.bin.size })
  return { ...answer, text: Buffer.from(bytes).toString('utf8') }
}

/** Downloads the source package of a file into `out`. What lies there with these bytes already is not fetched again. */
export async function sourceOf(node: Node, path: string, out: string): Promise<SourcePackage> {
  const { component, release, record } = await ownerOf(node, path)
  const { ccs } = record
  const { serial } = release.manifest
  if (ccs === null) {
    throw new PsyblobError('not-found', `${component.name} ${serial} states no source of ${visible(record.path)}`, {
      hint: 'ask the publisher: psyblob publish --sources DIR adds it',
    })
  }
  const { cid, size } = ccs
  const name = plainName(ccs.name)
  const file = join(out, name)
  const answer = { product: component.name, serial, path: record.path, name, cid, size, file }
  if (cidOfFile(file) === cid) return answer
  await makeFolder(out)
  await refuseOther(file)
  const source = await openSource(node, component)
  try {
    node.report({ type: 'step', step: 'fetch', about: name })
    await fetchBlobs(new Map([[cid, size]]), { store: node.store, mirrors: source.mirrors, report: node.report, signal: node.signal })
  } finally {
    await source.close()
  }
  await node.store.takeBlob(cid, file)
  await flushFolder(out)
  return answer
}

/** The product that has a record at `path`, links of its release followed. */
async function ownerOf(node: Node, path: string): Promise<Owned> {
  const trees = node.components.filter(({ target }) => target.kind === 'tree')
  if (trees.length === 0)
    throw new PsyblobError('not-found', 'no product of the composition is files of a system', {
      hint: 'a product with "target":{"kind":"tree","root":"/"} is',
    })
  for (const component of trees) {
    const release = await knownRelease(node, component)
    const record = release === undefined ? undefined : resolved(release.manifest, path)
    if (release !== undefined && record !== undefined) return { component, release, record }
  }
  throw new PsyblobError('not-found', `no release that is known here has ${visible(path)}`, {
    hint: `psyblob refresh, or psyblob show ${trees[0]?.name ?? 'PRODUCT'} lists what there is`,
  })
}

/** What is installed, else the newest that is known. */
async function knownRelease(node: Node, component: Component): Promise<Release | undefined> {
  const installed = await installedTree(node, component).catch((error: unknown) => {
    if (isPsyblobError(error, 'corrupt')) return undefined
    throw error
  })
  if (installed !== undefined) return installed
  if ((await node.store.link(component.name, 'latest')) === undefined) return undefined
  const source = await openSource(node, component)
  try {
    const query = { trust: trustOf(node, component), store: node.store, mirrors: source.mirrors, signal: node.signal }
    return await findRelease(query, 'latest')
  } finally {
    await source.close()
  }
}

/** The record at `path`, links of the same release followed as a system would follow them. */
function resolved({ records }: Manifest, path: string): Entry | undefined {
  const known = new Map(records.map((record) => [record.path, record]))
  let left = path
  for (let links = 0; links < mostLinks; links++) {
    const next = firstLink(known, left)
    if (next === undefined) return known.get(left)
    left = next
  }
  return undefined
}

/** `path` with its first link replaced by where that leads; undefined when there is none in it. */
function firstLink(known: ReadonlyMap<string, Entry>, path: string): string | undefined {
  for (let end = path.indexOf('/', 1); ; end = path.indexOf('/', end + 1)) {
    const head = end < 0 ? path : path.slice(0, end)
    const record = known.get(head)
    if (record !== undefined && kindOf(record) === 'link') {
      const target = record.target ?? ''
      const above = target.startsWith('/') ? '' : head.slice(0, head.lastIndexOf('/'))
      return normal(`${above}/${target}${end < 0 ? '' : path.slice(end)}`)
    }
    if (end < 0) return undefined
  }
}

function normal(path: string): string {
  const segments: string[] = []
  for (const segment of path.split('/')) {
    if (segment === '..') segments.pop()
    else if (segment !== '' && segment !== '.') segments.push(segment)
  }
  return `/${segments.join('/')}`
}

/** From the store, from what is installed if it is right, from the remotes. */
async function bytesOf(
  node: Node,
  component: Component,
  { path, cid, size }: { readonly path: string; readonly cid: CID; readonly size: number },
): Promise<Uint8Array> {
  if (size > longestLicence)
    throw new PsyblobError('unsupported', `${visible(path)} is ${size} bytes long, which no licence is`, {
      hint: `read it: ${visible(path)}`,
    })
  const kept = await node.store.blob(cid, size)
  if (kept !== undefined) return kept
  const installed = await lookAt(component, async (root) => {
    const way = root.way(path)
    return typeof way === 'string' && cidOfFile(way) === cid ? readLimited(way, size) : undefined
  }).catch((error: unknown) => {
    if (isPsyblobError(error, 'not-found', 'unsupported')) return undefined
    throw error
  })
  if (installed !== undefined) return installed
  const source = await openSource(node, component)
  try {
    return await source.mirrors.get(cid, { size, signal: node.signal })
  } finally {
    await source.close()
  }
}

/** Throws `malformed` for a name that would lead elsewhere: it comes from outside. */
function plainName(name: string): string {
  if (name !== '' && !name.startsWith('.') && !name.includes('/') && visible(name) === name && Buffer.byteLength(name) <= 255) return name
  throw new PsyblobError('malformed', `"${visible(name)}" is no name of a source package`, {
    hint: 'ask the publisher for another release',
  })
}

async function refuseOther(file: string): Promise<void> {
  const state = await lstat(file).catch((error: unknown) => {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  })
  if (state !== undefined)
    throw new PsyblobError('conflict', `${visible(file)} is something else`, { hint: 'move it away, or name another folder with --out' })
}
